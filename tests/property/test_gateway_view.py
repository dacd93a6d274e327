# SPDX-License-Identifier: Apache-2.0
"""Whatever the log holds and however it was read: a client's rows are the fold of the log before its cursor.

The fold here shares nothing with the gateway: it sorts and filters whole lists of records.
"""

import random
from contextlib import suppress
from dataclasses import dataclass, field

from hypothesis import event, given, settings
from hypothesis import strategies as st

from gateway.city.drivers import SKEW_MS
from gateway.city.grid import Grid
from gateway.city.view import Span, View
from taxi import codec
from taxi import messages as m
from taxi.bus import Record
from taxi.city import CityState, IllegalTransitionError
from taxi.cursor import Cursor
from taxi.states import ENDED
from taxi.stream import ClientState, DriverRow, decode_cut

EPOCH = "0123456789abcdef"
SPAN = Span(expiry_ms=8_000, resume_ms=12_000)
T0 = 1_000_000
SOMEWHERE = (-73.98, 40.75)
GRID = Grid.over((-73.98, 40.75, -73.96, 40.77))


@dataclass
class Log:
    """Two topics as they were written, and where in them each batch ends."""

    locations: list[Record] = field(default_factory=list)
    events: list[Record] = field(default_factory=list)
    closed: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    """(ev, at_ms) of each batch; the beginning first."""

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


# --- the independent fold ------------------------------------------------------------------------------


def cut_time(log: Log, cursor: Cursor) -> int:
    appends = [record.timestamp_ms for record in log.locations if record.offset < cursor.loc]
    return max([0, *appends, *(at_ms for ev, at_ms in log.closed if ev <= cursor.ev)])


def city_before(log: Log, ev: int) -> CityState:
    city = CityState()
    for record in log.events:
        if record.offset < ev:
            city.apply(codec.decode("taxi.events", record))
    return city


def drivers_at(log: Log, cursor: Cursor) -> dict[int, DriverRow]:
    city, now_ms = city_before(log, cursor.ev), cut_time(log, cursor)
    newest: dict[int, tuple[int, int, int, m.Fix]] = {}
    for record in log.locations:
        if record.offset >= cursor.loc:
            continue
        try:
            fix: m.Fix = codec.decode("taxi.locations", record)
        except codec.DecodeError:
            continue
        if record.timestamp_ms - 5_000 <= fix.at_ms <= record.timestamp_ms + 1_000:
            key = (fix.at_ms, record.offset, record.timestamp_ms, fix)
            newest[fix.driver] = max(newest.get(fix.driver, key), key, key=lambda k: k[:2])
    return {
        driver: DriverRow(
            driver,
            round(fix.lng * 1e5),
            round(fix.lat * 1e5),
            fix.at_ms,
            round(fix.heading * 256 / 360) % 256,
            min(255, round(fix.speed * 2)),
            city.status(driver),
        )
        for driver, (_, _, append_ms, fix) in newest.items()
        if append_ms + SPAN.expiry_ms > now_ms
    }


def rides_at(log: Log, cursor: Cursor) -> dict[str, tuple[int, int, int | None, int | None]]:
    city, now_ms = city_before(log, cursor.ev), cut_time(log, cursor)
    return {
        name: (ride.state, ride.attempt, ride.driver, ride.ended_ms or None)
        for name, ride in city.rides.items()
        if ride.state not in ENDED or ride.ended_ms + SPAN.expiry_ms > now_ms
    }


def assert_right(client: ClientState, log: Log) -> None:
    assert client.cursor is not None
    assert client.drivers == drivers_at(log, client.cursor)
    held = {name: (row.state, row.attempt, row.driver, row.ended_ms) for name, row in client.rides.items()}
    assert held == rides_at(log, client.cursor)


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


def written(seed: int, steps: int) -> Log:
    return Writer(random.Random(seed)).write(steps)


def booted(log: Log, loc: int, at: tuple[int, int], back_ms: int = SPAN.boot_ms) -> View:
    """A gateway that has just read the log up to (loc, batch), from a snapshot and `back_ms` of locations."""
    ev, _ = at
    unread_ms = cut_time(log, Cursor(EPOCH, loc, ev)) - back_ms
    start = max((c for c in log.closed if c[0] <= ev and c[1] <= unread_ms), default=(0, 0))
    first = next((r.offset for r in log.locations if r.timestamp_ms >= unread_ms), len(log.locations))
    first = min(first, loc)
    view = View(city_before(log, start[0]), loc=first, ev=start[0], span=SPAN, grid=GRID)
    view.fold_events([r for r in log.events if start[0] <= r.offset < ev])
    view.fold_locations([r for r in log.locations if first <= r.offset < loc])
    view.went_live(unread_ms)
    view.close()
    return view


def advance(view: View, log: Log, loc: int, ev: int) -> None:
    view.fold_events([r for r in log.events if view.ev <= r.offset < ev])
    view.fold_locations([r for r in log.locations if view.loc <= r.offset < loc])
    view.close()


seeds = st.integers(0, 2**32)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(5, 80))
def test_every_cut_of_a_live_client_is_the_fold_of_the_log(seed: int, steps: int) -> None:
    log = written(seed, steps)
    draw = random.Random(seed + 1)
    view, client = booted(log, 0, log.closed[1]), ClientState(epoch=EPOCH)
    client.apply(decode_cut(view.diff(None, None, None)))
    assert_right(client, log)
    shown: list[int] = []
    while view.loc < len(log.locations) or view.ev < log.closed[-1][0]:
        loc = min(len(log.locations), view.loc + draw.randint(0, 6))
        ev = draw.choice([ev for ev, _ in log.closed if ev >= view.ev][:3])
        advance(view, log, loc, ev)
        if draw.random() < 0.7:  # else this client is slow, and its next frame spans several cuts
            assert client.cursor is not None
            if view.serves(client.cursor):
                cut = decode_cut(view.diff(client.cursor, None, None))
                shown += [offset for offset, *_ in cut.feed]
            else:
                cut, shown = decode_cut(view.diff(None, None, None)), []
            client.apply(cut)
            assert_right(client, log)
            told = [r.offset for r in log.events if shown and shown[0] <= r.offset < client.cursor.ev]
            assert shown == told


@settings(max_examples=300, deadline=None)
@given(seeds, st.integers(20, 140))
def test_a_client_moves_to_a_freshly_booted_gateway_and_its_picture_stays_right(
    seed: int, steps: int
) -> None:
    log = written(seed, steps)
    draw = random.Random(seed + 1)
    loc, batch = draw.randint(0, len(log.locations)), draw.choice(log.closed[1:])
    here = booted(log, loc, batch)
    client = ClientState(epoch=EPOCH)
    client.apply(decode_cut(here.diff(None, None, None)))
    assert_right(client, log)
    back_ms = draw.choice([SPAN.boot_ms, draw.randint(0, SPAN.boot_ms)])
    batches = [c for c in log.closed if c[0] >= batch[0]]
    later = booted(log, draw.randint(loc, len(log.locations)), draw.choice(batches), back_ms)
    assert client.cursor is not None
    served = later.serves(client.cursor)
    event(f"served: {served}, whole: {later.whole}, from the middle: {later._window._loc_start > 0}")
    if served or later.whole:
        client.apply(decode_cut(later.diff(client.cursor if served else None, None, None)))
        assert_right(client, log)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(20, 120))
def test_two_gateways_at_one_cut_send_the_same_bytes(seed: int, steps: int) -> None:
    log = written(seed, steps)
    draw = random.Random(seed + 1)
    fresh = booted(log, len(log.locations), log.closed[-1])
    old = booted(log, 0, log.closed[1])
    while old.loc < fresh.loc or old.ev < fresh.ev:
        loc = min(fresh.loc, old.loc + draw.randint(0, 9))
        ev = draw.choice([ev for ev, _ in log.closed if ev >= old.ev][:2])
        advance(old, log, loc, ev)
    assert old.diff(None, None, None) == fresh.diff(None, None, None)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(30, 140))
def test_what_is_served_reaches_back_as_far_as_promised(seed: int, steps: int) -> None:
    """A gateway that booted rightly serves every cursor of the resume horizon: no needless image."""
    log = written(seed, steps)
    view = booted(log, len(log.locations), log.closed[-1])
    for record in log.locations:
        cursor = Cursor(EPOCH, record.offset + 1, view.ev)
        age_ms = view.at_ms - record.timestamp_ms
        if age_ms <= SPAN.resume_ms and record.offset + 1 == view.loc:
            assert view.serves(cursor)


def test_the_margin_covers_the_skew_between_devices() -> None:
    assert SPAN.boot_ms == SPAN.expiry_ms + SPAN.resume_ms + SKEW_MS
