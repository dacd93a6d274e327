# SPDX-License-Identifier: Apache-2.0
"""Random logs for a gateway, and the rows that a client must have at any cursor in them.

The fold here shares nothing with the gateway's: it sorts and filters whole lists of records.
"""

import math
import random
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property

from msgspec import structs

from gateway.updates.city_view import CityView, Span
from gateway.updates.grid import TileGrid
from taxi import messages as m
from taxi.bus import Record
from taxi.client.replica import Replica
from taxi.client.rows import DriverRow, RideRow
from taxi.cursor import Cursor
from taxi.messages import codec
from taxi.messages.states import ENDED
from taxi.state import CityState, IllegalTransitionError

EPOCH = "0123456789abcdef"
SPAN = Span(expiry_ms=8_000, resume_ms=12_000)
T0 = 100_000_000
SOMEWHERE = (-73.98, 40.75)
WEST, SOUTH, EAST, NORTH = -73.98, 40.75, -73.96, 40.77
GRID = TileGrid(-7_398_000, 4_075_000, 4, 4, 9)
Box = tuple[float, float, float, float]
Rides = dict[str, tuple[int, int, int | None, int | None]]


@dataclass
class Log:
    """Two topics as they were written, and where in them each batch ends."""

    locations: list[Record] = field(default_factory=list)
    events: list[Record] = field(default_factory=list)
    closed: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    """(ev, at_ms) of each batch; the beginning first."""
    epoch: str = EPOCH
    shift_ms: int = 0

    def index(self) -> None:
        """Find the epoch and where batches end in `events`."""
        for record in self.events:
            event = codec.decode("taxi.events", record)
            if isinstance(event, m.EpochStarted):
                self.epoch = event.epoch
            if isinstance(event, m.BatchClosed):
                self.closed.append((record.offset + 1, event.at_ms))

    def fix(self, append_ms: int, value: bytes) -> None:
        self.locations.append(Record(len(self.locations), append_ms, b"", value))

    def batch(self, at_ms: int, events: list[m.AnyEvent], gap: int) -> None:
        """A transaction; `gap` offsets after it are control records."""
        number = len(self.closed)
        for event in events:
            self.shift_ms = event.shift_ms if isinstance(event, m.ClockSetBack) else self.shift_ms
        closing = m.BatchClosed(
            batch=number,
            at_ms=at_ms,
            count=len(events) + 1,
            commands_offset=0,
            locations_offset=0,
            shift_ms=self.shift_ms,
        )
        offset = self.events[-1].offset + 1 + gap if self.events else 0
        for index, each in enumerate([*events, closing]):
            self.events.append(Record(offset + index, at_ms, b"", codec.encode(each)))
        self.closed.append((offset + len(events) + 1, at_ms))


# --- what must be held ---------------------------------------------------------------------------------


def tiles_of(box: Box | None, grid: TileGrid) -> set[tuple[int, int]]:
    """As docs/protocol.md says it, word for word."""
    if box is None:
        return {(c, r) for c in range(grid.columns) for r in range(grid.rows)}
    west, south = _tile(math.floor(box[0] * 1e5), math.floor(box[1] * 1e5), grid)
    east, north = _tile(math.ceil(box[2] * 1e5), math.ceil(box[3] * 1e5), grid)
    return {(c, r) for c in range(west, east + 1) for r in range(south, north + 1)}


def _tile(lng_e5: int, lat_e5: int, grid: TileGrid) -> tuple[int, int]:
    column, row = (lng_e5 - grid.west_e5) >> grid.shift, (lat_e5 - grid.south_e5) >> grid.shift
    return max(0, min(column, grid.columns - 1)), max(0, min(row, grid.rows - 1))


def in_tiles(row: DriverRow, tiles: set[tuple[int, int]], grid: TileGrid) -> bool:
    return _tile(row.lng_e5, row.lat_e5, grid) in tiles


@dataclass(frozen=True)
class Facts:
    """What events say after a batch."""

    now_ms: int
    statuses: dict[int, int]
    rides: Rides


@dataclass
class Reading:
    """Positions in log time."""

    counting: list[tuple[int, int, m.Fix]] = field(default_factory=list)
    """Offset and append time of each fix that counts."""
    times_ms: list[int] = field(default_factory=lambda: [0])
    """Index `loc`: log time before it."""
    set_backs: list[tuple[int, int]] = field(default_factory=list)
    """From which offset on times are shifted, and by how much."""
    _appended: list[int] = field(default_factory=list)
    _greatest_ms: int = 0

    def take(self, record: Record) -> None:
        """One record more."""
        fix, time_ms = _fix(record), self.times_ms[-1]
        if fix is not None:
            time_ms = max(time_ms, self._hear(record.offset, record.timestamp_ms, fix))
        self.times_ms += [time_ms] * (record.offset + 2 - len(self.times_ms))

    def _hear(self, offset: int, broker_ms: int, fix: m.Fix) -> int:
        self._appended = [*self._appended, broker_ms][-5:]
        median_ms = sorted(self._appended)[(len(self._appended) - 1) // 2]
        shift_ms = self.set_backs[-1][1] if self.set_backs else 0
        if median_ms + shift_ms < self._greatest_ms - 5_000:
            shift_ms = self._greatest_ms - median_ms
            self.set_backs.append((offset, shift_ms))
        self._greatest_ms = max(self._greatest_ms, median_ms + shift_ms)
        off_ms = broker_ms - median_ms
        if abs(off_ms) <= 30_000 and -5_000 <= fix.at_ms - broker_ms <= 1_000:
            moved = structs.replace(fix, at_ms=fix.at_ms + shift_ms)
            self.counting.append((offset, broker_ms + shift_ms, moved))
        return (broker_ms if off_ms <= 5_000 else median_ms) + shift_ms


@dataclass(eq=False)
class Oracle:
    """Folds a finished log. What it has once worked out it remembers."""

    log: Log
    span: Span = SPAN
    grid: TileGrid = GRID

    @cached_property
    def _read(self) -> "Reading":
        """The positions, one after the other, as docs/protocol.md says it."""
        read = Reading()
        for record in self.log.locations:
            read.take(record)
        return read

    @cached_property
    def _facts(self) -> dict[int, Facts]:
        city, facts = CityState(), {0: Facts(0, {}, {})}
        ends, records = dict(self.log.closed), iter(self.log.events)
        for ev in sorted(ends)[1:]:
            for record in records:
                city.apply(codec.decode("taxi.events", record))
                if record.offset == ev - 1:
                    break
            statuses = {driver: int(city.status(driver)) for driver in city.drivers}
            rides = {
                name: (int(ride.state), ride.attempt, ride.driver, ride.ended_ms or None)
                for name, ride in city.rides.items()
            }
            facts[ev] = Facts(ends[ev], statuses, rides)
        return facts

    def shift_ms(self, offset: int) -> int:
        """What is added to the times of this position."""
        return next((ms for first, ms in reversed(self._read.set_backs) if first <= offset), 0)

    def cut_ms(self, cursor: Cursor) -> int:
        return max(self._read.times_ms[cursor.loc], self._facts[cursor.ev].now_ms)

    def drivers(self, cursor: Cursor, box: Box | None = None) -> dict[int, DriverRow]:
        now_ms, statuses = self.cut_ms(cursor), self._facts[cursor.ev].statuses
        tiles = tiles_of(box, self.grid)
        rows = {}
        for driver, (_, _, append_ms, fix) in self._newest(cursor.loc).items():
            row = _row(fix, statuses.get(driver, 0))
            if append_ms + self.span.expiry_ms > now_ms and in_tiles(row, tiles, self.grid):
                rows[driver] = row
        return rows

    @cache  # noqa: B019 - an oracle is as short-lived as its test
    def _newest(self, loc: int) -> dict[int, tuple[int, int, int, m.Fix]]:
        newest: dict[int, tuple[int, int, int, m.Fix]] = {}
        for offset, append_ms, fix in self._read.counting:
            if offset < loc:
                key = (fix.at_ms, offset, append_ms, fix)
                newest[fix.driver] = max(newest.get(fix.driver, key), key, key=lambda k: k[:2])
        return newest

    def rides(self, cursor: Cursor) -> Rides:
        now_ms = self.cut_ms(cursor)
        return {
            name: ride
            for name, ride in self._facts[cursor.ev].rides.items()
            if ride[0] not in ENDED or (ride[3] or 0) + self.span.expiry_ms > now_ms
        }

    def assert_right(self, client: Replica, box: Box | None = None) -> None:
        assert client.cursor is not None
        assert client.drivers == self.drivers(client.cursor, box)
        assert {name: _key_values(row) for name, row in client.rides.items()} == self.rides(client.cursor)


def _key_values(row: RideRow) -> tuple[int, int, int | None, int | None]:
    return row.state, row.attempt, row.driver, row.ended_ms


def _fix(record: Record) -> m.Fix | None:
    try:
        fix: m.Fix = codec.decode("taxi.locations", record)
    except codec.DecodeError:
        return None
    return fix


def _row(fix: m.Fix, status: int) -> DriverRow:
    heading, speed = round(fix.heading * 256 / 360) % 256, min(255, round(fix.speed * 2))
    return DriverRow(
        fix.driver, round(fix.lng * 1e5), round(fix.lat * 1e5), fix.at_ms, heading, speed, status
    )


# --- logs ----------------------------------------------------------------------------------------------

JUNK = [
    b"",
    b"{}",
    b"not json",
    b'{"type":"Fix"}',
    b'{"type":"Fix","driver":0,"at_ms":1,"lng":0,"lat":0}',
    b"\xff",
]


class Writer:
    """Writes a plausible log from draws: fixes late, repeated and shuffled; legal lives of rides."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.log = Log()
        self.now_ms = T0
        self.back_ms = 0
        """By how much the broker's clock, and those of the senders, were set back so far."""
        self.read = Reading()
        self.city = CityState()
        self.rides = 0
        self.log.batch(T0, [m.EpochStarted(batch=1, at_ms=T0, epoch=EPOCH, city="grid")], 0)
        self.catch_up()

    def catch_up(self) -> None:
        self.city = city_before(self.log, self.log.closed[-1][0])

    def fixes(self) -> None:
        for _ in range(self.draw.randint(1, 6)):
            if self.draw.random() < 0.05:
                self.fix(self.draw.choice(JUNK))
            elif self.draw.random() < 0.1 and self.log.locations:
                self.fix(self.draw.choice(self.log.locations).value or b"")
            else:
                self.fix(codec.encode(self.one_fix()))

    def fix(self, value: bytes) -> None:
        append_ms = self.now_ms - self.back_ms
        if self.draw.random() < 0.01:
            append_ms = max(0, append_ms + self.draw.choice([-3_600_000, -20_000, 4_000, 20_000, 3_400_000]))
        self.log.fix(append_ms, value)
        self.read.take(self.log.locations[-1])

    def one_fix(self) -> m.Fix:
        return m.Fix(
            driver=self.draw.randint(1, 5),
            at_ms=self.now_ms
            - self.back_ms
            + self.draw.choice([0, 0, -200, -900, -4_999, -5_000, -5_001, 1_000, 1_001]),
            lng=round(-73.98 + self.draw.random() / 50, 6),
            lat=round(40.75 + self.draw.random() / 50, 6),
            heading=self.draw.randint(0, 360),
            speed=self.draw.choice([0.0, 3.25, 200.0]),
        )

    def batch(self) -> None:
        number, at_ms = (
            self.city.batch + 1,
            max(self.now_ms - self.draw.choice([0, 0, 0, 300, 30_000]), self.city.now_ms),
        )
        events: list[m.AnyEvent] = [
            m.ClockSetBack(batch=number, at_ms=at_ms, locations_from=first, shift_ms=shift_ms)
            for first, shift_ms in self.read.set_backs
            if (first, shift_ms) not in self.city.shifts
        ]
        for event in events:
            self.city.apply(event)
        for _ in range(self.draw.randint(0, 4)):
            one = self.one_event(number, at_ms)
            with suppress(IllegalTransitionError):
                self.city.apply(one)
                events.append(one)
        self.log.batch(at_ms, events, self.draw.choice([0, 1, 1, 2]))
        self.catch_up()

    def one_event(self, batch: int, at_ms: int) -> m.AnyEvent:
        driver = self.draw.randint(1, 5)
        idle = [d for d in sorted(self.city.drivers) if self.city.status(d) == 1]
        live = [ride for _, ride in sorted(self.city.rides.items()) if ride.state not in ENDED]
        choice = self.draw.randint(0, 7)
        if choice <= 1 or not self.city.drivers:
            return m.DriverCameOnline(batch=batch, at_ms=at_ms, driver=driver)
        if choice == 2:
            return m.DriverLost(batch=batch, at_ms=at_ms, driver=self.draw.choice(sorted(self.city.drivers)))
        if choice == 3 or not live:
            self.rides += 1
            return m.RideRequested(
                batch=batch,
                at_ms=at_ms,
                ride=f"r{self.rides}",
                rider="x",
                pickup=SOMEWHERE,
                dropoff=SOMEWHERE,
            )
        ride = self.draw.choice(live)
        if choice == 4:
            return m.RideCancelled(
                batch=batch, at_ms=at_ms, ride=ride.ride, reason="rider", driver=ride.driver
            )
        if ride.state == 1 and idle:
            return m.RideOffered(
                batch=batch,
                at_ms=at_ms,
                ride=ride.ride,
                driver=self.draw.choice(idle),
                attempt=ride.attempt + 1,
                eta_s=60,
                expires_ms=at_ms + 9_000,
            )
        if ride.state == 2 and ride.driver:
            return m.RideAssigned(
                batch=batch, at_ms=at_ms, ride=ride.ride, driver=ride.driver, attempt=ride.attempt, eta_s=60
            )
        return m.DriverFound(batch=batch, at_ms=at_ms, driver=driver)

    def pause(self) -> None:
        if self.draw.random() < 0.03:
            self.back_ms += self.draw.choice([6_000, 60_000, 600_000])
        self.now_ms += self.draw.choice([10, 100, 100, 500, 2_000, 4_000, 9_000])

    def write(self, steps: int) -> Log:
        for _ in range(steps):
            self.draw.choice([self.fixes, self.fixes, self.batch, self.pause])()
        if any(set_back not in self.city.shifts for set_back in self.read.set_backs):
            self.batch()  # otherwise a gateway waits for it at the end of the log
        return self.log


# --- gateways ------------------------------------------------------------------------------------------


def city_before(log: Log, ev: int) -> CityState:
    """The state that a snapshot at `ev` holds."""
    city = CityState()
    for record in log.events:
        if record.offset < ev:
            city.apply(codec.decode("taxi.events", record))
    return city


def written(seed: int, steps: int) -> Log:
    return Writer(random.Random(seed)).write(steps)


def booted(
    oracle: Oracle, loc: int, ev: int, *, back_ms: int | None = None, records_at_once: int = 10_000
) -> CityView:
    """A gateway that has just read the log up to (loc, ev), from a snapshot and `back_ms` of locations."""
    log, span = oracle.log, oracle.span
    unread_ms = oracle.cut_ms(Cursor(log.epoch, loc, ev)) - (span.boot_ms if back_ms is None else back_ms)
    start = max((c for c in log.closed if c[0] <= ev and c[1] <= unread_ms), default=(0, 0))[0]
    appended = ((r.offset, r.timestamp_ms + oracle.shift_ms(r.offset)) for r in log.locations)
    first = next((offset for offset, append_ms in appended if append_ms >= unread_ms), len(log.locations))
    first = min(first, loc)
    writer = next((r.writer for r in log.events if r.offset < start), None)
    producer_id = writer.producer_id if writer is not None else None
    city_view = CityView(
        city_before(log, start), loc=first, ev=start, span=span, grid=oracle.grid, producer_id=producer_id
    )
    city_view.prime([r for r in log.locations if first - 16 <= r.offset < first])
    city_view.fold_events([r for r in log.events if start <= r.offset < ev])
    for at in range(first, loc, records_at_once):
        city_view.fold_positions(
            [r for r in log.locations if at <= r.offset < min(loc, at + records_at_once)]
        )
    city_view.went_live(unread_ms)
    city_view.close()
    return city_view


def read_to(city_view: CityView) -> int:
    """The next offset of `taxi.locations` to read: behind those that wait because the clock was set back."""
    return city_view.awaiting_shift[-1].next_offset if city_view.awaiting_shift else city_view.loc


def advance(city_view: CityView, log: Log, loc: int, ev: int) -> None:
    """Read on, and close a cut."""
    first = read_to(city_view)
    city_view.fold_events([r for r in log.events if city_view.ev <= r.offset < ev])
    city_view.fold_positions([r for r in log.locations if first <= r.offset < loc])
    city_view.close()
