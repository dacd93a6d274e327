# SPDX-License-Identifier: Apache-2.0
"""A new city opens as it would be after hours: rides are under way, and a restart makes the same ones."""

from collections import Counter
from functools import partial

import numpy as np
import pytest

from simulator.fleet import Fleet
from simulator.opening import Opening, is_due, opening_of
from simulator.riders import Riders
from simulator.settings import CityBehavior
from simulator.streets import Streets
from taxi import messages as m
from taxi.messages.states import RideState
from taxi.state import CityState
from taxistream.tools.evaluate.city import VirtualCity
from taxistream.tools.evaluate.scenario import Scenario
from testing.fleet_phases import PHASES, phases
from testing.simulator_worlds import START_MS

DRIVERS = 800
SETTLED_S = 2_700


def opened(streets: Streets, *, load: float = 0.8, drivers: int = DRIVERS, seed: int = 7) -> Opening:
    behavior = CityBehavior()
    rate_per_s = load * behavior.requests_per_driver_s * drivers
    riders = Riders(streets.roads, streets.demand, behavior, seed=seed, rate_per_s=rate_per_s)
    homes = Fleet.home_spots(streets, drivers, seed)
    return opening_of(streets, riders, behavior, homes, seed=seed, now_ms=START_MS)


@pytest.mark.slow
def test_after_a_minute_the_shares_are_those_of_an_hour_later(manhattan: Streets) -> None:
    scenario = Scenario(load=0.8, drivers=DRIVERS, hours=1.0, cruise=True, full_behavior=True)
    city = VirtualCity(manhattan, scenario, "batched", 7, is_live=True)
    early, late = Counter[str](), Counter[str]()
    first_s = None
    for second, step in enumerate(city.steps()):
        if first_s is None and step and any(isinstance(event, m.TripCompleted) for event in step.events):
            first_s = second
        if 30 <= second <= 60:
            early += phases(city)
        elif second >= SETTLED_S and second % 30 == 0:
            late += phases(city)
        if second >= 3_600:
            break
    share = {phase: (early[phase] / early.total(), late[phase] / late.total()) for phase in PHASES}
    assert first_s is not None
    assert first_s < 60
    assert share["on trip"][0] == pytest.approx(share["on trip"][1], rel=0.1)
    for phase in ("vacant", "to pickup", "at pickup"):
        assert share[phase][0] == pytest.approx(share[phase][1], abs=0.04), phase


def test_the_same_seed_opens_alike_and_each_taxi_has_one_ride(manhattan: Streets) -> None:
    opening = opened(manhattan)
    assert opening.rides == opened(manhattan).rides
    assert opening.rides != opened(manhattan, seed=8).rides
    assert len({one.row for one in opening.rides}) == len({one.ride for one in opening.rides})
    assert 0.6 * DRIVERS < len(opening.rides) < 0.85 * DRIVERS
    assert len(opened(manhattan, load=3.0).rides) == int(0.95 * DRIVERS)
    assert not opened(manhattan, load=0.0).rides


def test_taxis_start_beside_their_riders(manhattan: Streets) -> None:
    roads, opening = manhattan.roads, opened(manhattan)
    homes = Fleet.home_spots(manhattan, DRIVERS, 7)
    spots = opening.spots(homes)
    for one in opening.rides:
        assert (spots.arc[one.row], spots.share[one.row]) == one.spot
        request = one.request(roads, int(roads.arc_to[one.spot[0]]))
        assert request is not None
        if one.boards_ms is not None:
            assert request.pickup == roads.place(int(roads.arc_to[one.spot[0]]))
    others = np.setdiff1d(np.arange(DRIVERS), [one.row for one in opening.rides])
    assert (spots.arc[others] == homes.arc[others]).all()


def test_a_city_opens_once(manhattan: Streets) -> None:
    due = partial(is_due, now_ms=START_MS, look_back_ms=10_000)
    city = CityState()
    assert due(city)
    request = m.RideRequested(
        batch=1, at_ms=START_MS - 9_000, ride="r", rider="x", pickup=(0.0, 0.0), dropoff=(1.0, 1.0)
    )
    city.apply(request)
    assert due(city), "a simulator that died while its city opened goes on with that"
    assert not is_due(city, now_ms=START_MS + 2_000, look_back_ms=10_000)
    city.apply(m.RideCancelled(batch=1, at_ms=START_MS - 8_000, ride="r", reason="rider"))
    assert city.rides["r"].state is RideState.CANCELLED
    assert not due(city)
