# SPDX-License-Identifier: Apache-2.0
"""Logs for a gateway to read, drawn by chance, and what a client must hold at any place in them.

The fold here shares nothing with the gateway's: it sorts and filters whole lists of records.
"""

import math
import random
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property

from gateway.city.grid import Grid
from gateway.city.view import Span, View
from taxi import codec
from taxi import messages as m
from taxi.bus import Record
from taxi.city import CityState, IllegalTransitionError
from taxi.client.rows import DriverRow, RideRow
from taxi.client.state import ClientState
from taxi.cursor import Cursor
from taxi.states import ENDED

EPOCH = "0123456789abcdef"
SPAN = Span(expiry_ms=8_000, resume_ms=12_000)
T0 = 1_000_000
SOMEWHERE = (-73.98, 40.75)
WEST, SOUTH, EAST, NORTH = -73.98, 40.75, -73.96, 40.77
GRID = Grid(-7_398_000, 4_075_000, 4, 4, 9)
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

    def fix(self, append_ms: int, value: bytes) -> None:
        self.locations.append(Record(len(self.locations), append_ms, b"", value))

    def batch(self, at_ms: int, events: list[m.AnyEvent], gap: int) -> None:
        """A transaction; `gap` offsets after it are control records."""
        number = len(self.closed)
        closing = m.BatchClosed(
            batch=number, at_ms=at_ms, count=len(events) + 1, commands_offset=0, locations_offset=0
        )
        offset = self.events[-1].offset + 1 + gap if self.events else 0
        for index, each in enumerate([*events, closing]):
            self.events.append(Record(offset + index, at_ms, b"", codec.encode(each)))
        self.closed.append((offset + len(events) + 1, at_ms))


# --- what must be held ---------------------------------------------------------------------------------


def tiles_of(box: Box | None, grid: Grid) -> set[tuple[int, int]]:
    """As docs/protocol.md says it, word for word."""
    if box is None:
        return {(c, r) for c in range(grid.columns) for r in range(grid.rows)}
    west, south = _tile(math.floor(box[0] * 1e5), math.floor(box[1] * 1e5), grid)
    east, north = _tile(math.ceil(box[2] * 1e5), math.ceil(box[3] * 1e5), grid)
    return {(c, r) for c in range(west, east + 1) for r in range(south, north + 1)}


def _tile(lng_e5: int, lat_e5: int, grid: Grid) -> tuple[int, int]:
    column, row = (lng_e5 - grid.west_e5) >> grid.shift, (lat_e5 - grid.south_e5) >> grid.shift
    return max(0, min(column, grid.columns - 1)), max(0, min(row, grid.rows - 1))


def in_tiles(row: DriverRow, tiles: set[tuple[int, int]], grid: Grid) -> bool:
    return _tile(row.lng_e5, row.lat_e5, grid) in tiles


@dataclass(frozen=True)
class Facts:
    """What events say after a batch."""

    now_ms: int
    statuses: dict[int, int]
    rides: Rides


@dataclass(eq=False)
class Oracle:
    """Folds a finished log. What it has once worked out it remembers."""

    log: Log
    span: Span = SPAN
    grid: Grid = GRID

    @cached_property
    def _fixes(self) -> list[tuple[Record, m.Fix | None]]:
        return [(record, _fix(record)) for record in self.log.locations]

    @cached_property
    def _appended_ms(self) -> list[int]:
        """Index `loc`: the greatest append time before it."""
        times = [0]
        for record in self.log.locations:
            times += [max(times[-1], record.timestamp_ms)] * (record.offset + 2 - len(times))
        return times

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

    def cut_ms(self, cursor: Cursor) -> int:
        return max(self._appended_ms[cursor.loc], self._facts[cursor.ev].now_ms)

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
        for record, fix in self._fixes:
            if record.offset >= loc or fix is None:
                continue
            if record.timestamp_ms - 5_000 <= fix.at_ms <= record.timestamp_ms + 1_000:
                key = (fix.at_ms, record.offset, record.timestamp_ms, fix)
                newest[fix.driver] = max(newest.get(fix.driver, key), key, key=lambda k: k[:2])
        return newest

    def rides(self, cursor: Cursor) -> Rides:
        now_ms = self.cut_ms(cursor)
        return {
            name: ride
            for name, ride in self._facts[cursor.ev].rides.items()
            if ride[0] not in ENDED or (ride[3] or 0) + self.span.expiry_ms > now_ms
        }

    def assert_right(self, client: ClientState, box: Box | None = None) -> None:
        assert client.cursor is not None
        assert client.drivers == self.drivers(client.cursor, box)
        assert {name: _told(row) for name, row in client.rides.items()} == self.rides(client.cursor)


def _told(row: RideRow) -> tuple[int, int, int | None, int | None]:
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
        self.city = CityState()
        self.rides = 0
        self.log.batch(T0, [m.EpochStarted(batch=1, at_ms=T0, epoch=EPOCH, city="grid")], 0)
        self.catch_up()

    def catch_up(self) -> None:
        self.city = city_before(self.log, self.log.closed[-1][0])

    def fixes(self) -> None:
        for _ in range(self.draw.randint(1, 6)):
            if self.draw.random() < 0.05:
                self.log.fix(self.now_ms, self.draw.choice(JUNK))
            elif self.draw.random() < 0.1 and self.log.locations:
                self.log.fix(self.now_ms, self.draw.choice(self.log.locations).value or b"")
            else:
                self.log.fix(self.now_ms, codec.encode(self.one_fix()))

    def one_fix(self) -> m.Fix:
        return m.Fix(
            driver=self.draw.randint(1, 5),
            at_ms=self.now_ms + self.draw.choice([0, 0, -200, -900, -4_999, -5_000, -5_001, 1_000, 1_001]),
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
        events: list[m.AnyEvent] = []
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
        self.now_ms += self.draw.choice([10, 100, 100, 500, 2_000, 4_000, 9_000])

    def write(self, steps: int) -> Log:
        for _ in range(steps):
            self.draw.choice([self.fixes, self.fixes, self.batch, self.pause])()
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
) -> View:
    """A gateway that has just read the log up to (loc, ev), from a snapshot and `back_ms` of locations."""
    log, span = oracle.log, oracle.span
    unread_ms = oracle.cut_ms(Cursor(log.epoch, loc, ev)) - (span.boot_ms if back_ms is None else back_ms)
    start = max((c for c in log.closed if c[0] <= ev and c[1] <= unread_ms), default=(0, 0))[0]
    first = next((r.offset for r in log.locations if r.timestamp_ms >= unread_ms), len(log.locations))
    first = min(first, loc)
    view = View(city_before(log, start), loc=first, ev=start, span=span, grid=oracle.grid)
    view.fold_events([r for r in log.events if start <= r.offset < ev])
    for at in range(first, loc, records_at_once):
        view.fold_locations([r for r in log.locations if at <= r.offset < min(loc, at + records_at_once)])
    view.went_live(unread_ms)
    view.close()
    return view


def advance(view: View, log: Log, loc: int, ev: int) -> None:
    """Read on, and close a cut."""
    view.fold_events([r for r in log.events if view.ev <= r.offset < ev])
    view.fold_locations([r for r in log.locations if view.loc <= r.offset < loc])
    view.close()
