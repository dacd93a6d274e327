# SPDX-License-Identifier: Apache-2.0
"""When the oracle takes a ride for held, each case as the smallest log that shows it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from taxi.bus import Record
from taxistream.tools.oracle.driver_index import DriverIndex
from taxistream.tools.oracle.events import Boundary
from taxistream.tools.oracle.facts import DriverFact
from taxistream.tools.oracle.positions import Positions
from taxistream.tools.oracle.rides import RideFact, place_e5
from taxistream.tools.oracle.runs import LogEvent
from testing.simulation.oracle_held import Held
from testing.simulation.scale import city

ROADS = city()[0]
LIMITS = {
    "policy_interval_ms": 1_000,
    "rematch_interval_ms": 2_000,
    "patience_ms": 12_000,
    "ahead_ms": 4_000,
    "ahead_late_ms_max": 2_000,
}
NOW_MS = 101_000
"""A time at which nothing but rides that wait is matched."""
HERE, THERE = (place_e5(ROADS.place(node)) for node in (0, 15))
TRIP_MS = 12_000
"""From there to here: six blocks."""
IDLE = DriverFact(on_shift=True)


def waits(name: str, *refused: int, since_ms: int = NOW_MS - 5_000) -> RideFact:
    return RideFact(name, "requested", HERE, THERE, since_ms, refused=frozenset(refused))


def trip(driver: int, left_ms: int = 1_000, *, back: bool = False, now_ms: int = NOW_MS) -> RideFact:
    """To where riders wait, unless it goes `back`."""
    way = (HERE, THERE) if back else (THERE, HERE)
    began_ms = now_ms + left_ms - TRIP_MS
    return RideFact(f"trip-{driver}", "on trip", *way, 0, driver=driver, started_ms=began_ms)


def is_held(
    *rides: RideFact,
    idle: tuple[int, ...] = (1,),
    unheard: tuple[int, ...] = (),
    busy: DriverFact = IDLE,
    now_ms: int = NOW_MS,
    before_ms: int = NOW_MS - 1_000,
) -> bool:
    """Whether a batch must not leave it like this. `busy`: who is on a trip, the trip aside."""
    drivers = dict.fromkeys(idle, IDLE)
    for ride in rides:
        if ride.driver is not None:
            on_shift, leaving, lost = busy.on_shift, busy.leaving, busy.lost
            drivers[ride.driver] = DriverFact(on_shift, leaving, lost, ride.name)
    closed: dict[str, Any] = {"batch": 2, "locations_offset": 100, "at_ms": now_ms}
    batch = LogEvent(0, "PolicyActivated", {"parameters": LIMITS}), LogEvent(1, "BatchClosed", closed)
    no_statuses = np.zeros(0, np.uint8)
    boundaries = {
        0: Boundary(0, 1, before_ms, "", no_statuses, {}, {}),
        2: Boundary(2, 2, now_ms, "", no_statuses, {ride.name: ride for ride in rides}, drivers),
    }
    lng, lat = ROADS.place(0)
    heard = [
        {"type": "Fix", "driver": driver, "at_ms": now_ms, "lng": lng, "lat": lat}
        for driver in idle
        if driver not in unheard
    ]
    positions = Positions(DriverIndex(), 0)
    positions.feed(
        [Record(at, now_ms, None, json.dumps(fix).encode()) for at, fix in enumerate(heard)], 99, None
    )
    return bool(list(Held([list(batch)], boundaries, positions, ROADS).violations()))


def test_a_ride_that_waits_beside_an_idle_driver_is_held() -> None:
    assert is_held(waits("r"))


def test_no_ride_is_held_where_no_driver_is_idle() -> None:
    assert not is_held(waits("r"), waits("s"), idle=())


def test_a_batch_that_does_not_match_holds_no_ride() -> None:
    assert not is_held(waits("r"), before_ms=NOW_MS)


def test_who_refused_a_ride_is_not_idle_for_it() -> None:
    assert not is_held(waits("r", 1))
    assert is_held(waits("r", 1), idle=(1, 2))


def test_who_was_never_heard_of_is_not_idle() -> None:
    assert not is_held(waits("r"), unheard=(1,))


def test_who_has_no_patience_left_is_not_held() -> None:
    assert not is_held(waits("r", since_ms=NOW_MS - 12_000))


@pytest.mark.parametrize(
    ("left_ms", "explains"), [(4_000, False), (3_999, True), (0, True), (-2_999, True), (-3_000, False)]
)
def test_a_trip_explains_from_shortly_before_its_end_until_it_is_too_late(
    left_ms: int, explains: bool
) -> None:
    assert is_held(waits("r"), trip(2, left_ms)) is not explains


@pytest.mark.parametrize("busy", [replace(IDLE, leaving=True), replace(IDLE, lost=True)])
def test_who_goes_home_or_is_lost_explains_nothing(busy: DriverFact) -> None:
    assert is_held(waits("r"), trip(2), busy=busy)


def test_who_refused_a_ride_does_not_explain_it() -> None:
    assert is_held(waits("r", 2), trip(2))


def test_who_would_come_later_than_the_idle_explains_nothing() -> None:
    assert is_held(waits("r"), trip(2, back=True))


def test_where_others_are_matched_again_a_trip_may_explain_one_of_those() -> None:
    now_ms = NOW_MS + 1_000
    assert not is_held(waits("r"), trip(2, back=True, now_ms=now_ms), now_ms=now_ms)
    assert is_held(waits("r"), now_ms=now_ms)


def test_each_trip_explains_one_ride() -> None:
    assert is_held(waits("r"), waits("s"), trip(3))
    assert not is_held(waits("r"), waits("s"), trip(3), trip(4))
    assert is_held(waits("r", 4), waits("s", 4), trip(3), trip(4))
