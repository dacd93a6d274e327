# SPDX-License-Identifier: Apache-2.0
"""The hand-written cases of the conformance kit: a small log for each rule of docs/protocol.md.

Each case states by hand which rows a reader must have. `scripts.conformance_kit` computes complete rows with
the gateway's city view and compares them with these statements before it writes them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec

from taxi import messages as m
from taxi.bus import Outgoing, Record, Writer
from taxi.messages import codec
from taxi.messages.states import DriverStatus, RideState
from taxi.positions.newest import NewestFixes
from taxi.state import CityState, snapshots
from taxi.topics import EVENTS, SNAPSHOTS
from testing.gateway_log import Log

T0: Final = 1_750_000_000_000
"""Append time of the first records of each case, in ms."""
EXPIRY_MS: Final = 60_000
CITY: Final = 7_001
"""Producer id of the city in most cases."""
SUCCESSOR: Final = 7_002
OTHER: Final = 9_009
_PLACE: Final = (-73.98, 40.75)

OFFLINE, IDLE, OFFERED, TO_PICKUP, AT_PICKUP, ON_TRIP, LOST = DriverStatus
Fact: TypeAlias = tuple[type[m.Event], dict[str, Any]] | bytes
"""An event without its `batch` and `at_ms`, or the bytes of a record."""
RideIs: TypeAlias = tuple[RideState, int, int | None]
"""State, attempt, driver."""


@dataclass(frozen=True)
class Expectation:
    """What a reader of the records before two offsets has. None is not compared."""

    locations_end: int
    events_end: int
    cursor_ev: int | None
    """The `ev` of its cursor; None if it has none."""
    is_gap: bool = False
    epoch: str = ""
    drivers: Mapping[int, DriverStatus] | None = None
    rides: Mapping[str, RideIs] | None = None
    places: Mapping[int, tuple[int, int, int, int]] | None = None
    """Longitude, latitude, heading, speed by driver, quantised."""
    times_ms: Mapping[str, tuple[int | None, ...]] | None = None
    """Requested, assigned, arrived, started, ended by ride, counted from `T0`."""
    cut_ms: int | None = None
    device_ms: Mapping[int, int] | None = None
    """Device time by driver."""
    cursor_loc: int | None = None
    """The `loc` of the cursor, if it is not `locations_end`."""


@dataclass
class Case:
    """A log that is written step by step, and what is expected after some of the steps."""

    decides: str
    log: Log = field(default_factory=Log)
    snapshots: list[Record] = field(default_factory=list)
    """Records of `taxi.snapshots`."""
    expectations: list[Expectation] = field(default_factory=list)
    now_ms: int = T0
    number: int = 0
    producer: int | None = CITY
    epoch: str = "0" * 16
    cursor_ev: int | None = None

    # --- writing ---------------------------------------------------------------------------------------

    def wait(self, ms: int) -> None:
        """Append the next records later."""
        self.now_ms += ms

    def location(self, value: str | bytes) -> None:
        """Append a record of `taxi.locations`."""
        value = value.encode() if isinstance(value, str) else value
        self.log.locations.append(Record(len(self.log.locations), self.now_ms, b"", value))

    def fix(self, *drivers: int, age_ms: int = 0, **fields: Any) -> None:
        """Append a position of each driver, with a device time `age_ms` before the append time."""
        for driver in drivers:
            about = {"driver": driver, "at_ms": self.now_ms - age_ms, "lng": _PLACE[0], "lat": _PLACE[1]}
            self.location(json.dumps({"type": "Fix", **about, **fields}))

    def pass_time(self, ms: int) -> None:
        """Append positions of driver 9, so many that log time passes."""
        self.wait(ms)
        self.fix(*[9] * 5)

    def events(self, *facts: Fact, number: int | None = None, producer: int | str | None = "city") -> None:
        """Append events of a batch, by default the next one of the city, that does not close."""
        writer = self.producer if isinstance(producer, str) else producer
        number = self.number + 1 if number is None else number
        for fact in facts:
            value = fact
            if not isinstance(value, bytes):
                kind, about = value
                value = codec.encode(kind(**{"batch": number, "at_ms": self.now_ms, **about}))
            offset = self.log.events[-1].offset + 1 if self.log.events else 0
            by = None if writer is None else Writer(writer, 0)
            self.log.events.append(Record(offset, self.now_ms, b"", value, (), by))

    def close(
        self,
        count: int,
        *,
        number: int | None = None,
        producer: int | str | None = "city",
        **about: Any,
    ) -> int:
        """Append a `BatchClosed`; return the offset after it."""
        closed: dict[str, Any] = {"count": count, "commands_offset": 0, "locations_offset": 0, **about}
        self.events((m.BatchClosed, closed), number=number, producer=producer)
        return self.log.events[-1].offset + 1

    def batch(self, *facts: Fact, number: int | None = None, **about: Any) -> None:
        """Append a complete batch of the city that counts."""
        self.number = self.number + 1 if number is None else number
        self.events(*facts, number=self.number)
        self.cursor_ev = self.close(len(facts) + 1, number=self.number, **about)
        self.wait(10)

    def foreign(
        self,
        *facts: Fact,
        number: int | None = None,
        producer: int | None = OTHER,
        missing: int = 0,
        **about: Any,
    ) -> None:
        """Append a batch that does not count, by default one of another producer with the next number."""
        self.events(*facts, number=number, producer=producer)
        self.close(len(facts) + 1 + missing, number=number, producer=producer, **about)
        self.wait(10)

    def begin(self, *drivers: int, producer: int | None = CITY) -> "Case":
        """Append the city's first batch, and a position and a shift of each driver."""
        self.producer = producer
        self.fix(*drivers)
        self.batch(began(self.epoch), *(online(driver) for driver in drivers))
        return self

    def begin_again(self, *facts: Fact, number: int | None = None, **about: Any) -> None:
        """Append a batch that begins an epoch without earlier events."""
        self.epoch = f"{int(self.epoch, 16) + 1:016x}"
        self.batch(began(self.epoch, "events_lost"), *facts, number=number, **about)

    def state(self) -> CityState:
        """Fold the city's events so far, in a log that has events of the city alone."""
        state = CityState()
        for record in self.log.events:
            state.apply(codec.decode(EVENTS, record))
        return state

    def snapshot(self, *records: Outgoing, producer: int | str | None = "city") -> None:
        """Append the parts of a snapshot; by default a complete one of the events so far, by the city."""
        writer = self.producer if isinstance(producer, str) else producer
        events_offset = self.log.events[-1].offset + 1
        parts = records or snapshots.pack(self.state(), NewestFixes(), events_offset)
        by = None if writer is None else Writer(writer, 0)
        for part in parts:
            self.snapshots.append(Record(len(self.snapshots), self.now_ms, part.key, part.value, (), by))

    def delete_events(self) -> None:
        """Retention deletes all events so far but the last one."""
        del self.log.events[:-1]

    # --- expecting -------------------------------------------------------------------------------------

    def expect(
        self,
        drivers: Mapping[int, DriverStatus] | None = None,
        rides: Mapping[str, RideIs] | None = None,
        **more: Any,
    ) -> None:
        """A reader of all records so far has these rows."""
        self._expect(self.cursor_ev, epoch=self.epoch, drivers=drivers, rides=rides, **more)

    def expect_gap(self) -> None:
        """A reader of all records so far is in a gap."""
        self._expect(None, is_gap=True)

    def expect_nothing(self) -> None:
        """No batch has counted yet."""
        self._expect(None)

    def _expect(self, cursor_ev: int | None, **more: Any) -> None:
        events_end = self.log.events[-1].offset + 1 if self.log.events else 0
        self.expectations.append(Expectation(len(self.log.locations), events_end, cursor_ev, **more))


# --- events --------------------------------------------------------------------------------------------


def began(epoch: str, reason: str = "birth") -> Fact:
    """`EpochStarted`."""
    return m.EpochStarted, {"epoch": epoch, "city": "manhattan", "reason": reason}


def online(driver: int) -> Fact:
    """`DriverCameOnline`."""
    return m.DriverCameOnline, {"driver": driver}


def offline(driver: int) -> Fact:
    """`DriverWentOffline`."""
    return m.DriverWentOffline, {"driver": driver}


def lost(driver: int) -> Fact:
    """`DriverLost`."""
    return m.DriverLost, {"driver": driver}


def found(driver: int) -> Fact:
    """`DriverFound`."""
    return m.DriverFound, {"driver": driver}


def repositioned(driver: int, to: tuple[float, float] = _PLACE) -> Fact:
    """`DriverRepositioned`."""
    return m.DriverRepositioned, {"driver": driver, "to": to, "eta_s": 60, "until_ms": T0 + 600_000}


def scenario_started(name: str = "rain") -> Fact:
    """`ScenarioStarted`."""
    return m.ScenarioStarted, {"scenario": name, "title": "Rain", "lasts_s": 60}


def scenario_ended(name: str = "rain") -> Fact:
    """`ScenarioEnded`."""
    return m.ScenarioEnded, {"scenario": name}


def requested(
    ride: str, pickup: tuple[float, float] = _PLACE, dropoff: tuple[float, float] = (-73.97, 40.76)
) -> Fact:
    """`RideRequested`."""
    return m.RideRequested, {"ride": ride, "rider": "ann", "pickup": pickup, "dropoff": dropoff}


def offered(ride: str, driver: int, attempt: int = 1) -> Fact:
    """`RideOffered`."""
    return m.RideOffered, {**_of(ride, driver, attempt), "eta_s": 60, "expires_ms": T0 + 600_000}


def assigned(ride: str, driver: int, attempt: int = 1) -> Fact:
    """`RideAssigned`."""
    return m.RideAssigned, {**_of(ride, driver, attempt), "eta_s": 60}


def reassigned(ride: str, driver: int, attempt: int = 2, from_driver: int | None = None) -> Fact:
    """`RideReassigned`."""
    return m.RideReassigned, {**_of(ride, driver, attempt), "eta_s": 60, "from_driver": from_driver}


def released(ride: str, driver: int, attempt: int = 1) -> Fact:
    """`RideReleased`."""
    return m.RideReleased, {**_of(ride, driver, attempt), "reason": "overdue"}


def simple(kind: type[m.Event], ride: str, driver: int, attempt: int = 1) -> Fact:
    """`OfferDeclined`, `OfferExpired`, `DriverArrived` or `TripStarted`."""
    return kind, _of(ride, driver, attempt)


def completed(ride: str, driver: int, attempt: int = 1) -> Fact:
    """`TripCompleted`."""
    return m.TripCompleted, {**_of(ride, driver, attempt), "trip_s": 300}


def cancelled(ride: str, driver: int | None = None) -> Fact:
    """`RideCancelled`."""
    return m.RideCancelled, {"ride": ride, "reason": "rider", "driver": driver}


def no_show(ride: str, driver: int) -> Fact:
    """`RideNoShow`."""
    return m.RideNoShow, {"ride": ride, "driver": driver}


def expired(ride: str) -> Fact:
    """`RideExpired`."""
    return m.RideExpired, {"ride": ride}


def _of(ride: str, driver: int, attempt: int) -> dict[str, Any]:
    return {"ride": ride, "driver": driver, "attempt": attempt}


def ride_in(state: RideState, ride: str = "r", driver: int = 1) -> list[Fact]:
    """The events of a ride from its request to `state`."""
    to_trip = [
        requested(ride),
        offered(ride, driver),
        assigned(ride, driver),
        simple(m.DriverArrived, ride, driver),
        simple(m.TripStarted, ride, driver),
    ]
    ends = {
        RideState.COMPLETED: [*to_trip, completed(ride, driver)],
        RideState.CANCELLED: [*to_trip[:2], cancelled(ride, driver)],
        RideState.NO_SHOW: [*to_trip[:4], no_show(ride, driver)],
        RideState.EXPIRED: [to_trip[0], expired(ride)],
    }
    return ends.get(state) or to_trip[:state]


# --- positions -----------------------------------------------------------------------------------------


def fix_json() -> Case:
    """Which JSON texts are positions."""
    case = Case("Which records of taxi.locations are positions: numbers, types, names that occur twice")
    case.begin()
    texts = {
        1: '"lng":-73.98,"lat":40.75',  # without `type`
        2: '"lng":-73,"lat":40',
        3: '"lng":-73.98,"lat":40.75,"heading":90.0',
        4: '"lng":-73.98,"lat":40.75,"heading":9e1',
        5: '"lng":-73.98,"lat":40.75,"heading":true',
        6: '"lng":-73.98,"lat":40.75,"heading":"90"',
        7: '"lng":-73.98,"lat":40.75,"heading":null',
        8: '"lng":-73.98,"lat":40.75,"speed":NaN',
        9: '"lng":-73.98,"lat":40.75,"speed":Infinity',
        10: '"lng":-73.98,"lat":40.75,"speed":1e999',
        11: '"lng":-73.98,"lat":40.75,"speed":true',
        12: '"lng":-73.98,"lat":40.75,"speed":null',
        13: '"lng":-73.98,"lat":40.75,"heading":1,"heading":90',
        14: '"lng":-73.98,"lat":40.75,"heading":999,"heading":90',
        15: '"lng":-73.98,"lat":40.75,"type":"Fox"',
        16: '"lng":-73.98,"lat":40.75,"type":null',
        17: '"lng":-73.98,"lat":40.75,"more":{"a":[1,null]}',
        18: '"lng":-73.98',
        19: '"lng":"-73.98","lat":40.75',
        20: '"lng":-73.98,"lat":40.75,',
        21: '"lng":-73.98,"lat":40.75,"heading":090',
        22: '"lng":-73.98,"lat":40.75,"speed":100000000000000000000',
        23: '"lng":-73.98,"lat":40.75,"at_ms":1750000000000.0',
        24: '"lng":-73.98,"lat":40.75,"more":NaN',
    }
    for driver, text in texts.items():
        case.location(f'{{"driver":{driver},"at_ms":{T0},{text}}}')
    whole = f'"at_ms":{T0},"lng":-73.98,"lat":40.75}}'
    case.location(f' {{"driver":31,{whole}\n')
    case.location(f'\ufeff{{"driver":32,{whole}')
    case.location(f'{{"driver":33,{whole}{{}}')
    case.location(f'[{{"driver":34,{whole}]')
    case.location(f'{{"driver":35.0,{whole}')
    case.location(f'{{"driver":"36",{whole}')
    case.location(f'{{"type":"\udcff","driver":37,{whole}'.encode("utf-8", "surrogateescape"))
    case.location("")
    case.expect(dict.fromkeys((1, 2, 13, 17, 22, 31), OFFLINE))
    return case


def fix_bounds() -> Case:
    """The bounds of each field of a position."""
    case = Case("The bounds of each field of a position, inside and outside")
    case.begin()
    case.fix(0, 1, 2**32 - 1, 2**32, -1)
    for driver, (lng, lat) in enumerate([(180, 0), (-180, 0), (0, 90), (0, -90)], 10):
        case.fix(driver, lng=lng, lat=lat)
    for driver, (east, north) in enumerate([(180.001, 0), (-180.001, 0), (0, 90.001), (0, -90.001)], 20):
        case.fix(driver, lng=east, lat=north)
    case.fix(30, heading=360)
    case.fix(31, heading=361)
    case.fix(32, heading=-1)
    case.fix(33, speed=-0.25)
    case.fix(34, speed=1e300)
    good = (1, 2**32 - 1, 10, 11, 12, 13, 30, 34)
    corners = [(18_000_000, 0), (-18_000_000, 0), (0, 9_000_000), (0, -9_000_000)]
    places = {driver: (*corner, 0, 0) for driver, corner in enumerate(corners, 10)}
    home = (-7_398_000, 4_075_000)
    places |= {30: (*home, 0, 0), 34: (*home, 0, 255)}
    case.expect(dict.fromkeys(good, OFFLINE), places=places)
    return case


def fix_at_the_beginning_of_time() -> Case:
    """The lower bound of the device time."""
    case = Case("A device time is not less than 0", now_ms=1_000)
    case.begin()
    case.fix(1, at_ms=0)
    case.fix(2, at_ms=-1)
    case.expect({1: OFFLINE})
    return case


def fix_age() -> Case:
    """The bounds of the age of a position."""
    case = Case("A position counts if its device time is within [append - 5 s, append + 1 s]")
    case.begin()
    for driver, age_ms in enumerate([5_000, 5_001, -1_000, -1_001], 1):
        case.fix(driver, age_ms=age_ms)
    case.expect({1: OFFLINE, 3: OFFLINE})
    return case


def fix_quantised() -> Case:
    """Rounding."""
    case = Case("Quantised: halves go to the even number; a whole turn is 0; speed is at most 255")
    case.begin()
    for driver, (lng, metres_s) in enumerate([(0.000005, 0.25), (0.000015, 0.75), (-0.000005, 1.25)], 1):
        case.fix(driver, lng=lng, lat=-lng, speed=metres_s)
    for driver, (heading, speed) in enumerate([(1, 127.5), (359, 127.75), (360, 128), (45, 0.2)], 4):
        case.fix(driver, lng=0.000014, lat=-0.000014, heading=heading, speed=speed)
    case.fix(8)
    case.expect(
        places={
            1: (0, 0, 0, 0),
            2: (2, -2, 0, 2),
            3: (0, 0, 0, 2),
            4: (1, -1, 1, 255),
            5: (1, -1, 255, 255),
            6: (1, -1, 0, 255),
            7: (1, -1, 32, 0),
            8: (-7_398_000, 4_075_000, 0, 0),
        }
    )
    return case


def fix_order() -> Case:
    """Which position of a driver is the newest."""
    case = Case("The newest position has the greatest device time; of equal ones the last counts")
    case.begin()
    case.fix(1, 2, 3, lng=1)
    case.wait(1_000)
    case.fix(1, age_ms=1_001, lng=2)  # is older
    case.fix(2, age_ms=1_000, lng=2)  # is as old
    case.fix(3, age_ms=-1_001, lng=2)  # does not count
    case.expect(
        places={1: (100_000, 4_075_000, 0, 0), 2: (200_000, 4_075_000, 0, 0), 3: (100_000, 4_075_000, 0, 0)}
    )
    return case


def fix_expiry() -> Case:
    """When the row of a driver ends."""
    case = Case("A row ends when cut time is 60 s after the append time of its newest position")
    case.begin()
    case.fix(1, 2, age_ms=-500)
    case.fix(3)
    case.wait(2_000)
    case.fix(1, age_ms=2_000)  # an older position: prolongs nothing
    case.fix(2, age_ms=1_500)  # the same device time again: is the newest from here on
    case.pass_time(EXPIRY_MS - 2_001)
    case.expect({1: OFFLINE, 2: OFFLINE, 3: OFFLINE, 9: OFFLINE}, cut_ms=T0 + 10 + EXPIRY_MS - 1)
    case.pass_time(1)
    case.expect({2: OFFLINE, 9: OFFLINE})
    case.pass_time(1_999)
    case.expect({2: OFFLINE, 9: OFFLINE})
    case.pass_time(1)
    case.expect({9: OFFLINE})
    return case


def cut_time() -> Iterator[tuple[str, Case]]:
    """What moves cut time, each in a log of its own."""
    case = Case("Cut time is moved by positions that do not count, not by records that are no position")
    case.begin(1)
    case.wait(990)
    case.location("not JSON")
    case.expect({1: IDLE}, cut_ms=T0)
    case.fix(2, age_ms=5_001)
    case.expect({1: IDLE}, cut_ms=T0 + 1_000)
    case.wait(-500)
    case.fix(3)
    case.expect({1: IDLE, 3: OFFLINE}, cut_ms=T0 + 1_000)
    yield "cut time: positions", case
    case = Case("Cut time is moved by at_ms of batches that count, not by append times of events")
    case.begin(1)
    case.now_ms = T0 + EXPIRY_MS
    case.events((m.DriverCameOnline, {"driver": 2, "at_ms": T0 + 1}))
    case.number, case.cursor_ev = 2, case.close(2, at_ms=T0 + 1)
    case.expect({1: IDLE}, cut_ms=T0 + 1)
    case.foreign()
    case.batch(at_ms=T0 + EXPIRY_MS - 1)
    case.expect({1: IDLE}, cut_ms=T0 + EXPIRY_MS - 1)
    case.batch(at_ms=T0 + EXPIRY_MS)
    case.expect({}, cut_ms=T0 + EXPIRY_MS)
    yield "cut time: batches", case


def log_time() -> Iterator[tuple[str, Case]]:
    """The clock of the positions."""
    case = Case("One position moves log time at most 5 s past the clock; one 30 s away makes no row")
    case.begin(1, 2, 3, 4, 5)
    statuses = dict.fromkeys((1, 2, 3, 4, 5), IDLE)
    # append time after T0, cut time after T0, whether there is a row
    for driver, (append_ms, cut_ms, is_shown) in enumerate(
        [(5_000, 5_000, True), (20_000, 5_000, True), (30_001, 5_000, True), (100_000, 20_000, False)], 11
    ):
        case.now_ms = T0 + append_ms
        case.fix(driver)
        statuses |= {driver: OFFLINE} if is_shown else {}
        case.expect(dict(statuses), cut_ms=T0 + cut_ms)
    case.now_ms = T0 - 10_001
    case.fix(15)  # 30,001 ms behind the clock
    case.expect(dict(statuses))
    yield "log time: alone", case
    case = Case("At the edges: 5 s and 30 s past the clock, which is the lower median at first")
    case.fix(1)
    case.batch(began(case.epoch))
    case.now_ms = T0 + 5_001
    case.fix(2)
    case.expect({1: OFFLINE, 2: OFFLINE}, cut_ms=T0)
    case.now_ms = T0 + 30_000
    case.fix(3)
    case.expect({1: OFFLINE, 2: OFFLINE, 3: OFFLINE}, cut_ms=T0 + 5_001)
    case.now_ms = T0 + 35_001
    case.fix(4)
    case.expect({1: OFFLINE, 2: OFFLINE, 3: OFFLINE, 4: OFFLINE}, cut_ms=T0 + 5_001)
    case.now_ms = T0 + 60_001
    case.fix(5)
    case.expect(cut_ms=T0 + 30_000)
    yield "log time: edges", case
    for is_announced in (True, False):
        case = Case(
            "If the clock falls, a cut waits for a ClockSetBack, which shifts both times of positions"
            if is_announced
            else "If a batch has read past a clock that fell, without a ClockSetBack, nothing is shifted"
        )
        case.begin(1, 2, 3, 4, 5)
        first = len(case.log.locations) + 2
        case.wait(-10_010)
        case.fix(11, 12, 13, 14)
        idle = dict.fromkeys((1, 2, 3, 4, 5), IDLE)
        case.expect({**idle, 11: OFFLINE, 12: OFFLINE}, cut_ms=T0, cursor_loc=first)
        case.now_ms = T0 + 50
        case.batch(locations_offset=first)
        case.expect({**idle, 11: OFFLINE, 12: OFFLINE}, cut_ms=T0 + 50, cursor_loc=first)
        case.now_ms = T0 + 100
        about = {"locations_from": first, "shift_ms": 10_000}
        facts: list[Fact] = [(m.ClockSetBack, about)] if is_announced else []
        case.batch(*facts, locations_offset=first + 1, shift_ms=10_000 if is_announced else 0)
        shown = dict.fromkeys((11, 12, 13, 14), OFFLINE)
        at_ms = dict.fromkeys((13, 14), T0 if is_announced else T0 - 10_000)
        case.expect({**idle, **shown}, cut_ms=T0 + 100, device_ms={11: T0 - 10_000, **at_ms})
        yield f"log time: set back{'' if is_announced else ', not announced'}", case


# --- batches -------------------------------------------------------------------------------------------


def beginning() -> Iterator[tuple[str, Case]]:
    """Which batch is the city's first one."""
    case = Case("The city's first batch is complete, has number 1 and begins with EpochStarted")
    case.fix(1, 2)
    case.foreign(online(2), number=1)
    case.foreign(began("f" * 16), online(2), number=2)
    case.foreign(began("f" * 16), online(2), number=1, missing=1)
    case.foreign(online(2), began("f" * 16), number=1)
    case.foreign(b"not JSON", number=1)
    case.expect_nothing()
    case.batch(began(case.epoch), online(1))
    case.expect({1: IDLE, 2: OFFLINE}, {})
    yield "beginning: first batch", case
    case = Case("If the log's beginning is gone, a reader waits for an epoch that begins empty", number=56)
    case.fix(1, 2)
    case.foreign(online(2), producer=CITY)
    case.number = 57
    case.foreign(began("f" * 16, "commands_recreated"), online(2), producer=CITY)
    case.expect_nothing()
    case.begin_again(online(1), number=90)
    case.expect({1: IDLE, 2: OFFLINE}, {})
    case.batch(requested("r"))
    case.expect({1: IDLE, 2: OFFLINE}, {"r": (RideState.REQUESTED, 0, None)})
    yield "beginning: gone", case


def snapshot_cases() -> Iterator[tuple[str, Case]]:
    """At which snapshot a reader begins if the log's beginning is gone."""
    case = _with_a_snapshot("A reader begins at the newest snapshot that belongs to the log")
    case.batch(assigned("r", 1))
    case.expect({1: TO_PICKUP, 2: OFFLINE}, {"r": (RideState.ASSIGNED, 1, 1)})
    yield "snapshot: begin", case

    case = _with_a_snapshot(
        "A snapshot of which a part is missing or wrong does not count; an older one does"
    )
    [part] = _parts_of(case)
    for wrong in (
        msgspec.structs.replace(part, parts=2),
        msgspec.structs.replace(part, digest="0" * 32),
        msgspec.structs.replace(part, digest="1" * 32, body="é"),
        msgspec.structs.replace(part, events_offset=part.events_offset - 2),
        msgspec.structs.replace(part, events_offset=part.events_offset + 1_000),
        msgspec.structs.replace(part, batch=part.batch + 1),
    ):
        case.snapshot(Outgoing(b"manhattan/0/0", codec.encode(wrong)))
    case.batch(offline(1))
    case.expect(rides={"r": (RideState.OFFERED, 1, 1)})
    yield "snapshot: not whole", case

    case = _with_a_snapshot("A snapshot of another producer than that of its batch does not count")
    state = CityState(city="manhattan", epoch="f" * 16, batch=2)
    case.snapshot(*snapshots.pack(state, NewestFixes(), case.log.events[-1].offset + 1), producer=OTHER)
    case.snapshot(*snapshots.pack(state, NewestFixes(), case.log.events[-1].offset + 1), producer=None)
    case.batch(offline(1))
    case.expect(rides={"r": (RideState.OFFERED, 1, 1)})
    yield "snapshot: foreign", case

    case = _with_a_snapshot("Behind a snapshot the next batch is that of its producer, with the next number")
    case.foreign(online(2))
    case.foreign(online(2), producer=CITY, number=4)
    case.expect_gap()
    yield "snapshot: gap", case

    case = Case("A ride that ended before the snapshot keeps its row, and its id is known")
    case.begin(1)
    case.batch(requested("r"), expired("r"))
    case.snapshot()
    case.delete_events()
    case.batch(requested("s"))
    case.expect(rides={"r": (RideState.EXPIRED, 0, None), "s": (RideState.REQUESTED, 0, None)})
    case.foreign(requested("r"), producer=CITY)
    case.expect_gap()
    yield "snapshot: ended ride", case


def _with_a_snapshot(decides: str) -> Case:
    """Two drivers, one of them offered a ride and one off shift, in a snapshot; older events are gone."""
    case = Case(decides)
    case.begin(1, 2)
    case.batch(offline(2), *ride_in(RideState.OFFERED))
    case.snapshot()
    case.delete_events()
    return case


def _parts_of(case: Case) -> list[m.SnapshotPart]:
    parts: list[m.SnapshotPart] = [codec.decode(SNAPSHOTS, record) for record in case.snapshots]
    return parts


def completeness() -> Iterator[tuple[str, Case]]:
    """Which events belong to a batch, and when it is complete."""
    case = Case("A batch is the last `count` events of its number; what was written before never closed")
    case.begin(1, 2, 3)
    case.events(offline(1), offline(2))
    case.batch(offline(1), offline(3))
    case.expect({1: OFFLINE, 2: IDLE, 3: OFFLINE})
    case.events(offline(2), number=9)
    case.batch(online(1))
    case.expect({1: IDLE, 2: IDLE, 3: OFFLINE})
    case.events(online(3))
    case.events(offline(1), number=9)
    case.number, case.cursor_ev = 4, case.close(2)
    case.expect({1: IDLE, 2: IDLE, 3: IDLE})
    yield "batch: run that never closed", case
    stand_ins = {
        "unknown type": b'{"type":"SomethingNew","batch":2,"at_ms":1750000000010,"driver":1}',
        "missing field": b'{"type":"DriverWentOffline","batch":2,"at_ms":1750000000010}',
        "wrong type": b'{"type":"DriverWentOffline","batch":2,"at_ms":1750000000010,"driver":1.0}',
        "no JSON": b"not JSON",
    }
    for name, value in stand_ins.items():
        case = Case("A record of the producer that is no known event may stand for an event of the batch")
        case.begin(1, 2)
        case.batch(value, offline(2))
        case.expect({1: IDLE, 2: OFFLINE})
        yield f"batch: {name}", case
    case = Case("A record that is no known event need not be counted")
    case.begin(1)
    case.events(b"not JSON")
    case.batch(offline(1))
    case.expect({1: OFFLINE})
    case.events(online(1), b'{"type":"SomethingNew","batch":3,"at_ms":1750000000020}')
    case.number, case.cursor_ev = 3, case.close(2)
    case.expect({1: IDLE})
    case.foreign(offline(1), producer=CITY, missing=1)
    case.expect_gap()
    yield "batch: rubbish beside it", case
    case = Case("A record of another producer stands for nothing")
    case.begin(1)
    case.events(offline(1))
    case.events(b"not JSON", producer=OTHER)
    case.events(b"not JSON", producer=None)
    case.close(3)
    case.expect_gap()
    yield "batch: rubbish of others", case
    case = Case("A batch of the city that lacks an event is a gap, also if the next ones continue")
    case.begin(1, 2)
    case.foreign(offline(1), producer=CITY, missing=1)
    case.expect_gap()
    case.number += 1
    case.foreign(offline(2), producer=CITY)
    case.expect_gap()
    case.begin_again(online(2), number=4)
    case.expect({1: OFFLINE, 2: IDLE}, {})
    yield "batch: lacks an event", case


def sequence() -> Iterator[tuple[str, Case]]:
    """Numbers that do not continue."""
    for name, number in {"later": 4, "same": 2, "earlier": 1}.items():
        case = Case("A batch of the city whose number is not the next one is a gap; events_lost ends it")
        case.begin(1, 2)
        case.batch(requested("r"), offered("r", 1))
        case.foreign(offline(2), producer=CITY, number=number)
        case.expect_gap()
        case.foreign(producer=CITY)
        case.expect_gap()
        case.foreign(began("f" * 16, "commands_recreated"), producer=CITY)
        case.expect_gap()
        case.foreign(began("f" * 16, "events_lost"), producer=CITY, missing=1)
        case.expect_gap()
        case.begin_again(online(2), number=3)
        case.expect({1: OFFLINE, 2: IDLE}, {})
        case.batch(offline(2))
        case.expect({1: OFFLINE, 2: OFFLINE}, {})
        yield f"number: {name}", case
    case = Case("events_lost forgets rides, shifts and who is lost, not positions or cut time")
    case.begin(1, 2, 3)
    case.batch(*ride_in(RideState.ON_TRIP), lost(2), *ride_in(RideState.COMPLETED, "done", 3))
    case.expect({1: ON_TRIP, 2: LOST, 3: IDLE})
    case.begin_again(number=77)
    case.expect({1: OFFLINE, 2: OFFLINE, 3: OFFLINE}, {}, cut_ms=T0 + 20)
    case.batch(online(2), requested("r"))
    case.expect({1: OFFLINE, 2: IDLE, 3: OFFLINE}, {"r": (RideState.REQUESTED, 0, None)})
    yield "epoch: events_lost", case
    case = Case("Another reason of an epoch changes the epoch alone, and its number is the next one")
    case.begin(1, 2)
    case.batch(*ride_in(RideState.ASSIGNED), lost(2))
    for number, reason in enumerate(("commands_recreated", "inputs_recreated", "birth"), 1):
        case.epoch = f"{number:016x}"
        case.batch(began(case.epoch, reason))
        case.expect({1: TO_PICKUP, 2: LOST}, {"r": (RideState.ASSIGNED, 1, 1)})
    case.foreign(began("f" * 16, "commands_recreated"), producer=CITY, number=99)
    case.expect_gap()
    yield "epoch: other reasons", case
    case = Case("A batch whose log time is less than the one before it is not legal: a gap")
    case.begin(1)
    case.wait(-20)
    case.foreign(offline(1), producer=CITY)
    case.expect_gap()
    yield "number: log time goes back", case


def producers() -> Iterator[tuple[str, Case]]:
    """Whose batches count."""
    case = Case("A complete batch of another producer is passed over, also between the events of the city's")
    case.begin(1, 2)
    case.foreign(offline(1))
    case.foreign(began("f" * 16, "events_lost"))
    case.foreign(offline(2), producer=None)
    case.foreign(expired("unknown"))
    case.events(offline(1))
    case.foreign(offline(2))
    case.events(offline(2), producer=None)
    case.number, case.cursor_ev = 2, case.close(2)
    case.expect({1: OFFLINE, 2: IDLE})
    case.foreign(online(1))
    case.expect({1: OFFLINE, 2: IDLE})
    yield "producer: foreign", case
    for name, first in {"": CITY, " outside of transactions": None}.items():
        previous = -1 if first is None else first
        case = Case("A successor names the city's producer in previous_producer; its batches count then")
        case.begin(1, 2, producer=first)
        case.foreign(offline(1), producer=SUCCESSOR, previous_producer=9_008)
        case.foreign(offline(1), producer=SUCCESSOR, previous_producer=previous, missing=1)
        case.expect({1: IDLE, 2: IDLE})
        case.producer = SUCCESSOR
        case.batch(offline(1), previous_producer=previous)
        case.expect({1: OFFLINE, 2: IDLE})
        case.foreign(offline(2), producer=first)
        case.foreign(offline(2), producer=OTHER, previous_producer=previous)
        case.expect({1: OFFLINE, 2: IDLE})
        case.batch(online(1))
        case.expect({1: IDLE, 2: IDLE})
        yield f"producer: succession{name}", case


def hard_successions() -> Iterator[tuple[str, Case]]:
    """Successors that do not continue, or that began too early."""
    case = Case("Events of another producer from before a BatchClosed of the city's belong to no successor")
    case.begin(1, 2)
    case.events(offline(1), number=3, producer=SUCCESSOR)
    case.batch()
    case.foreign(producer=SUCCESSOR, previous_producer=CITY, missing=1)
    case.expect({1: IDLE, 2: IDLE})
    case.batch(offline(2))
    case.expect({1: IDLE, 2: OFFLINE})
    yield "producer: succession that began too early", case
    case = Case("A complete successor whose number is not the next one is the city's producer, in a gap")
    case.begin(1, 2)
    case.foreign(offline(1), number=7, producer=SUCCESSOR, previous_producer=CITY)
    case.expect_gap()
    case.foreign(began("f" * 16, "events_lost"), producer=CITY)
    case.expect_gap()
    case.producer = SUCCESSOR
    case.begin_again(online(2), number=8)
    case.expect({1: OFFLINE, 2: IDLE}, {})
    yield "producer: succession that does not continue", case
    case = Case("A successor that is not legal is the city's producer, in a gap")
    case.begin(1, 2)
    case.foreign(found(1), producer=SUCCESSOR, previous_producer=CITY)
    case.expect_gap()
    case.producer = SUCCESSOR
    case.begin_again(online(2), number=3)
    case.expect({1: OFFLINE, 2: IDLE}, {})
    yield "producer: succession that is not legal", case
    case = Case("A successor may begin with events_lost, and may come in a gap")
    case.begin(1, 2)
    case.foreign(producer=CITY, number=9)
    case.expect_gap()
    case.producer = SUCCESSOR
    case.begin_again(online(2), number=10, previous_producer=CITY)
    case.expect({1: OFFLINE, 2: IDLE}, {})
    yield "producer: succession that ends a gap", case


# --- legal events --------------------------------------------------------------------------------------

_RIDE_EVENTS: Final[dict[str, tuple[Fact, str]]] = {
    "RideRequested": (requested("r"), "unknown"),
    "RideOffered": (offered("r", 2, 2), "requested"),
    "OfferDeclined": (simple(m.OfferDeclined, "r", 1), "offered"),
    "OfferExpired": (simple(m.OfferExpired, "r", 1), "offered"),
    "RideAssigned": (assigned("r", 1), "offered"),
    "RideReassigned": (reassigned("r", 2), "requested assigned"),
    "RideReleased": (released("r", 1), "offered assigned arrived"),
    "DriverArrived": (simple(m.DriverArrived, "r", 1), "assigned"),
    "TripStarted": (simple(m.TripStarted, "r", 1), "arrived"),
    "TripCompleted": (completed("r", 1), "on_trip"),
    "RideCancelled": (cancelled("r", 1), "requested offered assigned arrived on_trip"),
    "RideNoShow": (no_show("r", 1), "arrived"),
    "RideExpired": (expired("r"), "requested"),
}
"""Event of ride r, and the states of the ride in which it is legal."""
_AFTER: Final[dict[str, RideIs]] = {
    "RideRequested": (RideState.REQUESTED, 0, None),
    "RideOffered": (RideState.OFFERED, 2, 2),
    "OfferDeclined": (RideState.REQUESTED, 1, None),
    "OfferExpired": (RideState.REQUESTED, 1, None),
    "RideAssigned": (RideState.ASSIGNED, 1, 1),
    "RideReassigned": (RideState.ASSIGNED, 2, 2),
    "RideReleased": (RideState.REQUESTED, 1, None),
    "DriverArrived": (RideState.ARRIVED, 1, 1),
    "TripStarted": (RideState.ON_TRIP, 1, 1),
    "TripCompleted": (RideState.COMPLETED, 1, 1),
    "RideNoShow": (RideState.NO_SHOW, 1, 1),
    "RideExpired": (RideState.EXPIRED, 0, None),
}
"""The ride afterwards. What a cancelled one is depends on its state before."""


def legal_for_rides() -> Iterator[tuple[str, Case]]:
    """Each event of a ride in each state of the ride."""
    for name, (event, legal) in _RIDE_EVENTS.items():
        case = Case(f"{name} is legal in these states of the ride: {legal}. In others it is a gap")
        case.begin(1, 2)
        for state in (None, *RideState):
            before = [] if state is None else ride_in(state)
            case.begin_again(online(1), online(2), *before)
            if ("unknown" if state is None else state.name.lower()) not in legal.split():
                case.foreign(event, producer=CITY)
                case.expect_gap()
                continue
            case.batch(event)
            had_driver = state is not None and state is not RideState.REQUESTED
            was_cancelled: RideIs = (RideState.CANCELLED, int(had_driver), 1 if had_driver else None)
            case.expect(rides={"r": _AFTER.get(name, was_cancelled)})
        yield f"legal: {name}", case


def legal_for_drivers() -> Iterator[tuple[str, Case]]:
    """Each event of a driver in each situation of the driver."""
    offered_, to_leave = ride_in(RideState.OFFERED), ride_in(RideState.ASSIGNED)
    situations: dict[str, list[Fact]] = {
        "unknown": [],
        "idle": [online(1)],
        "off shift": [online(1), offline(1)],
        "offered": [online(1), *offered_],
        "assigned": [online(1), *to_leave],
        "arrived": [online(1), *ride_in(RideState.ARRIVED)],
        "leaving": [online(1), *to_leave, offline(1)],
        "lost": [online(1), lost(1)],
        "lost, off shift": [online(1), lost(1), offline(1)],
        "lost, assigned": [online(1), *to_leave, lost(1)],
        "lost, leaving": [online(1), *to_leave, offline(1), lost(1)],
    }
    events: dict[str, tuple[Fact, dict[str, DriverStatus]]] = {
        "DriverCameOnline": (
            online(1),
            {
                "unknown": IDLE,
                "off shift": IDLE,
                "leaving": TO_PICKUP,
                "lost, off shift": LOST,
                "lost, leaving": LOST,
            },
        ),
        "DriverWentOffline": (
            offline(1),
            {
                "idle": OFFLINE,
                "offered": OFFERED,
                "assigned": TO_PICKUP,
                "arrived": AT_PICKUP,
                "lost": OFFLINE,
                "lost, assigned": LOST,
            },
        ),
        "DriverLost": (
            lost(1),
            dict.fromkeys(("idle", "offered", "assigned", "arrived", "leaving"), LOST),
        ),
        "DriverFound": (
            found(1),
            {
                "lost": IDLE,
                "lost, off shift": OFFLINE,
                "lost, assigned": TO_PICKUP,
                "lost, leaving": TO_PICKUP,
            },
        ),
        "DriverRepositioned": (repositioned(1), {"idle": IDLE}),
        "RideOffered": (offered("other", 1), {"idle": OFFERED}),
        "RideReassigned": (reassigned("other", 1, 1), {"idle": TO_PICKUP}),
    }
    for name, (event, legal) in events.items():
        case = Case(f"{name} is legal for a driver who is: {'; '.join(legal)}. For others it is a gap")
        case.begin(1)
        for situation, before in situations.items():
            case.begin_again(*before, requested("other"))
            if situation in legal:
                case.batch(event)
                case.expect({1: legal[situation]})
            else:
                case.foreign(event, producer=CITY)
                case.expect_gap()
        yield f"legal for a driver: {name}", case


def legal_scenarios() -> Iterator[tuple[str, Case]]:
    """Scenarios."""
    case = Case("A scenario begins and ends in turns; otherwise it is a gap. It changes no row")
    case.begin(1)
    case.begin_again(online(1), scenario_started(), scenario_started("strike"))
    case.batch(scenario_ended(), scenario_started())
    case.expect({1: IDLE})
    case.foreign(scenario_started(), producer=CITY)
    case.expect_gap()
    case.begin_again(online(1), scenario_started())
    case.expect({1: IDLE})
    case.foreign(scenario_ended("strike"), producer=CITY)
    case.expect_gap()
    yield "legal: scenarios", case


def legal_otherwise() -> Iterator[tuple[str, Case]]:
    """Other conditions of single events."""
    wrong: dict[str, tuple[RideState, Fact]] = {
        "RideAssigned": (RideState.OFFERED, assigned("r", 2)),
        "OfferDeclined": (RideState.OFFERED, simple(m.OfferDeclined, "r", 2)),
        "RideReleased": (RideState.ASSIGNED, released("r", 2)),
        "DriverArrived": (RideState.ASSIGNED, simple(m.DriverArrived, "r", 2)),
        "TripStarted": (RideState.ARRIVED, simple(m.TripStarted, "r", 2)),
        "TripCompleted": (RideState.ON_TRIP, completed("r", 2)),
        "RideCancelled": (RideState.ASSIGNED, cancelled("r", 2)),
        "RideNoShow": (RideState.ARRIVED, no_show("r", 2)),
    }
    case = Case("An event that names another driver than the ride's is not legal: a gap")
    case.begin(1, 2)
    for state, event in wrong.values():
        case.begin_again(online(1), online(2), *ride_in(state))
        case.foreign(event, producer=CITY)
        case.expect_gap()
    yield "legal: another driver", case
    case = Case(
        "A ride's id has 1 to 40 ASCII characters, and its places are on Earth; otherwise it is a gap"
    )
    case.begin(1)
    case.batch(requested("r" * 40), requested("~"), requested("edge", (180.0, 90.0), (-180.0, -90.0)))
    case.expect(rides=dict.fromkeys(("r" * 40, "~", "edge"), (RideState.REQUESTED, 0, None)))
    illegal: list[Fact] = [
        requested(""),
        requested("r" * 41),
        requested("é"),
        requested("r", pickup=(180.001, 0.0)),
        requested("r", pickup=(0.0, -90.001)),
        requested("r", dropoff=(-180.001, 0.0)),
        requested("r", dropoff=(0.0, 90.001)),
        repositioned(1, to=(0.0, 90.001)),
    ]
    for event in illegal:
        case.begin_again(online(1))
        case.foreign(event, producer=CITY)
        case.expect_gap()
    yield "legal: ids and places", case
    case = Case("A ride that ended is not offered again, not even to the driver who had it: a gap")
    case.begin(1)
    for state in (RideState.COMPLETED, RideState.CANCELLED, RideState.NO_SHOW):
        case.begin_again(online(1), *ride_in(state))
        case.foreign(offered("r", 1, 2), producer=CITY)
        case.expect_gap()
    yield "legal: offer a ride that ended", case
    case = Case("A batch that is not legal counts for nothing, not even its first events")
    case.begin(1, 2)
    case.foreign(offline(1), found(2), producer=CITY)
    case.expect_gap()
    yield "legal: whole batches", case
    case = Case("A ride that ended is known for 240 s of log time; then its id may be requested again")
    case.begin(1)
    case.batch(*ride_in(RideState.COMPLETED))
    case.wait(240_000 - 20)
    case.batch()
    case.batch()  # the first batch whose log time is 240 s after the end forgets the ride
    case.batch(requested("r"))
    case.expect(rides={"r": (RideState.REQUESTED, 0, None)})
    case.begin_again(online(1), *ride_in(RideState.COMPLETED))
    case.wait(240_000 - 11)
    case.batch()
    case.foreign(requested("r"), producer=CITY)
    case.expect_gap()
    yield "legal: request a ride again", case


# --- rows of rides and statuses ------------------------------------------------------------------------


def rides() -> Iterator[tuple[str, Case]]:
    """How events change the row of a ride."""
    case = Case("The times of a ride; attempt and driver are those of the offer, whatever later events say")
    case.begin(1, 2)
    life: list[tuple[Fact, RideIs, tuple[int | None, ...]]] = [
        (requested("r"), (RideState.REQUESTED, 0, None), (10, None, None, None, None)),
        (offered("r", 1, 1), (RideState.OFFERED, 1, 1), (10, None, None, None, None)),
        (assigned("r", 1, 9), (RideState.ASSIGNED, 1, 1), (10, 30, None, None, None)),
        (simple(m.DriverArrived, "r", 1, 9), (RideState.ARRIVED, 1, 1), (10, 30, 40, None, None)),
        (released("r", 1, 9), (RideState.REQUESTED, 1, None), (10, None, None, None, None)),
        (offered("r", 1, 2), (RideState.OFFERED, 2, 1), (10, None, None, None, None)),
        (simple(m.OfferExpired, "r", 1, 9), (RideState.REQUESTED, 2, None), (10, None, None, None, None)),
        (reassigned("r", 2, 3), (RideState.ASSIGNED, 3, 2), (10, 80, None, None, None)),
        (released("r", 2, 9), (RideState.REQUESTED, 3, None), (10, None, None, None, None)),
        (offered("r", 2, 65_537), (RideState.OFFERED, 1, 2), (10, None, None, None, None)),
        (assigned("r", 2, 9), (RideState.ASSIGNED, 1, 2), (10, 110, None, None, None)),
        (simple(m.DriverArrived, "r", 2, 9), (RideState.ARRIVED, 1, 2), (10, 110, 120, None, None)),
        (simple(m.TripStarted, "r", 2, 9), (RideState.ON_TRIP, 1, 2), (10, 110, 120, 130, None)),
        (completed("r", 2, 9), (RideState.COMPLETED, 1, 2), (10, 110, 120, 130, 140)),
    ]
    for event, ride, times_ms in life:
        case.batch(event)
        case.expect(rides={"r": ride}, times_ms={"r": times_ms})
    yield "ride: times and attempts", case
    case = Case("A cancelled ride keeps its driver, also if the event names none")
    case.begin(1, 2)
    case.batch(*ride_in(RideState.ASSIGNED, "a", 1), cancelled("a"), requested("b"), cancelled("b"))
    rows = {"a": (RideState.CANCELLED, 1, 1), "b": (RideState.CANCELLED, 0, None)}
    case.expect({1: IDLE, 2: IDLE}, rows)
    yield "ride: cancelled", case
    case = Case("The row of a ride that ended goes when cut time is 60 s after the end")
    case.begin(1)
    case.batch(*ride_in(RideState.COMPLETED))
    case.now_ms = T0 + 10
    case.pass_time(EXPIRY_MS - 1)
    case.expect(rides={"r": (RideState.COMPLETED, 1, 1)})
    case.pass_time(1)
    case.expect(rides={})
    yield "ride: expiry", case
    case = Case("A time whose low 32 bits are 0 is sent a millisecond later", now_ms=408 << 32)
    case.begin(1)
    case.now_ms = 408 << 32
    case.batch(requested("x" * 40), requested("-"), requested("four"))
    late = (408 << 32) + 1 - T0
    names = ("x" * 40, "-", "four")
    case.expect(
        rides=dict.fromkeys(names, (RideState.REQUESTED, 0, None)),
        times_ms=dict.fromkeys(names, (late, None, None, None, None)),
    )
    yield "ride: low bits", case


def chains() -> Iterator[tuple[str, Case]]:
    """`RideReassigned`."""
    two = [*ride_in(RideState.ASSIGNED, "a", 1), *ride_in(RideState.ASSIGNED, "b", 2)]
    case = Case("Two rides exchange drivers in one batch; assigned stays as it was")
    case.begin(1, 2, 3)
    case.batch(*two)
    case.batch(reassigned("a", 2, 2, 1), reassigned("b", 1, 2, 2))
    swapped = {"a": (RideState.ASSIGNED, 2, 2), "b": (RideState.ASSIGNED, 2, 1)}
    times_ms = dict.fromkeys(("a", "b"), (10, 10, None, None, None))
    case.expect({1: TO_PICKUP, 2: TO_PICKUP, 3: IDLE}, swapped, times_ms=times_ms)
    case.batch(requested("c"), reassigned("c", 1, 1), reassigned("b", 3, 3, 1))
    passed_on = {"a": swapped["a"], "b": (RideState.ASSIGNED, 3, 3), "c": (RideState.ASSIGNED, 1, 1)}
    times_ms = {**times_ms, "c": (30, 30, None, None, None)}
    case.expect({1: TO_PICKUP, 2: TO_PICKUP, 3: TO_PICKUP}, passed_on, times_ms=times_ms)
    yield "chain: exchange", case
    for name, half in {
        "half of it": [reassigned("a", 2, 2, 1)],
        "the other ride ends": [reassigned("a", 2, 2, 1), cancelled("b")],
    }.items():
        case = Case("A ride whose driver another ride got must get another one in the same batch, else: gap")
        case.begin(1, 2)
        case.batch(*two)
        case.foreign(*half, producer=CITY)
        case.expect_gap()
        yield f"chain: {name}", case
    case = Case("RideReassigned is not legal for the ride's own driver or one who gave the ride back: gap")
    case.begin(1, 2)
    case.batch(*ride_in(RideState.ASSIGNED))
    case.foreign(reassigned("r", 1), producer=CITY)
    case.expect_gap()
    for back in (
        [simple(m.OfferDeclined, "r", 1)],
        [simple(m.OfferExpired, "r", 1)],
        [assigned("r", 1), released("r", 1)],
    ):
        case.begin_again(online(1), online(2), *ride_in(RideState.OFFERED), *back)
        case.foreign(reassigned("r", 1), producer=CITY)
        case.expect_gap()
        case.begin_again(online(1), online(2), *ride_in(RideState.OFFERED), *back, offered("r", 1, 2))
        case.expect({1: OFFERED, 2: IDLE}, {"r": (RideState.OFFERED, 2, 1)})
    yield "chain: refused", case


def shifts() -> Iterator[tuple[str, Case]]:
    """Shifts that end during a ride, and drivers who are lost."""
    frees: dict[str, list[Fact]] = {
        "ended": [cancelled("r")],
        "released": [released("r", 1)],
        "reassigned": [reassigned("r", 2)],
    }
    for name, free in frees.items():
        case = Case("A shift that ends during a ride ends when the driver leaves the ride")
        case.begin(1, 2)
        case.batch(*ride_in(RideState.ASSIGNED), offline(1))
        case.expect({1: TO_PICKUP, 2: IDLE})
        case.batch(*free)
        case.expect({1: OFFLINE, 2: TO_PICKUP if name == "reassigned" else IDLE})
        case.begin_again(online(1), online(2), *ride_in(RideState.ASSIGNED), offline(1), online(1))
        case.batch(*free)
        case.expect({1: IDLE, 2: TO_PICKUP if name == "reassigned" else IDLE})
        yield f"shift: {name}", case
    case = Case("A driver is lost until DriverFound, also over the end of a shift; off shift nobody is lost")
    case.begin(1)
    for event, status in [
        (lost(1), LOST),
        (offline(1), OFFLINE),
        (online(1), LOST),
        (found(1), IDLE),
        (lost(1), LOST),
        (offline(1), OFFLINE),
        (found(1), OFFLINE),
        (online(1), IDLE),
    ]:
        case.batch(event)
        case.expect({1: status})
    yield "shift: lost", case
    case = Case("Who is lost during a ride is lost in each state of it, and offline when it ends off shift")
    case.begin(1)
    case.batch(*ride_in(RideState.OFFERED), lost(1), offline(1))
    for event in (assigned("r", 1), simple(m.DriverArrived, "r", 1), simple(m.TripStarted, "r", 1)):
        case.batch(event)
        case.expect({1: LOST})
    case.batch(completed("r", 1))
    case.expect({1: OFFLINE})
    yield "shift: lost during a ride", case


def cases() -> Iterator[tuple[str, Case]]:
    """All cases with their names."""
    yield "position: JSON", fix_json()
    yield "position: bounds", fix_bounds()
    yield "position: device time 0", fix_at_the_beginning_of_time()
    yield "position: age", fix_age()
    yield "position: quantised", fix_quantised()
    yield "position: newest", fix_order()
    yield "position: expiry", fix_expiry()
    for group in (cut_time, log_time, beginning, snapshot_cases, completeness, sequence, producers):
        yield from group()
    yield from hard_successions()
    for group in (
        legal_for_rides,
        legal_for_drivers,
        legal_scenarios,
        legal_otherwise,
        rides,
        chains,
        shifts,
    ):
        yield from group()
