# SPDX-License-Identifier: Apache-2.0
"""How a run opens: as busy as its load says, each driver where the trip has come to."""

import pytest

from simulator.streets import Streets
from taxi import messages as m
from taxi.messages.states import RideState
from taxi.roads.grid import grid_city
from taxi.roads.network import TripDemand
from taxistream.tools.evaluate.city import VirtualCity
from taxistream.tools.evaluate.scenario import START_MS, Scenario
from taxistream.tools.evaluate.warm_start import WarmStartTrip, trips_under_way

GRID = grid_city(8, 8)
STREETS = Streets(GRID, TripDemand.uniform(GRID.n_nodes))
BUSY = Scenario(drivers=400, load=2.0)


def opened(setting: Scenario = BUSY, seed: int = 1) -> VirtualCity:
    return VirtualCity(STREETS, setting, "greedy", seed)


def trips(setting: Scenario) -> list[WarmStartTrip]:
    return trips_under_way(GRID, opened(setting).riders, setting.drivers)


def test_as_many_drivers_have_a_rider_as_the_load_keeps_busy() -> None:
    demand = STREETS.demand.half(1)
    times_s = GRID.travel_time_s(demand.from_node, demand.to_node)
    mean_s = float((times_s * demand.count).sum() / demand.count.sum())
    expected = BUSY.load * BUSY.behavior().requests_per_driver_s * BUSY.drivers * mean_s
    assert len(trips(BUSY)) == pytest.approx(expected, rel=0.25)


def test_somebody_is_free_however_high_the_load() -> None:
    setting = Scenario(drivers=20, load=50.0)
    assert len(trips(setting)) == 19
    assert len(opened(setting).city.rides) == 19


def test_everybody_is_where_the_trip_has_come_to() -> None:
    for trip in trips(BUSY):
        pickup, dropoff = (GRID.nearest_node(*end)[0] for end in (trip.asked.pickup, trip.asked.dropoff))
        gone_s = (START_MS - trip.began_ms) / 1000
        assert trip.arc in GRID.route(pickup, dropoff)
        to_end_s = (1 - trip.share) * GRID.arc_time_s[trip.arc]
        left_s = to_end_s + GRID.travel_time_s(GRID.arc_to[trip.arc], dropoff)
        assert gone_s + left_s == pytest.approx(float(GRID.travel_time_s(pickup, dropoff)), abs=1.5)


def test_the_trips_end_when_they_should() -> None:
    city = opened()
    due_s = {}
    for trip in trips(BUSY):
        pickup, dropoff = (GRID.nearest_node(*end)[0] for end in (trip.asked.pickup, trip.asked.dropoff))
        due_s[trip.asked.ride] = trip.began_ms / 1000 + float(GRID.travel_time_s(pickup, dropoff))
    assert {ride.state for ride in city.city.rides.values()} == {RideState.ON_TRIP}
    ended_s = {}
    for step in city.steps():
        for event in step.events if step else ():
            if isinstance(event, m.TripCompleted) and event.ride in due_s:
                ended_s[event.ride] = event.at_ms / 1000
        if len(ended_s) == len(due_s):
            break
    late_s = [ended_s[ride] - due_s[ride] for ride in due_s]
    assert min(late_s) > 0  # riders must get out
    assert max(late_s) < 40


def test_no_two_rides_have_one_name() -> None:
    city = opened()
    before = set(city.city.rides)
    asked = [
        event.ride
        for step, _ in zip(city.steps(), range(60), strict=False)
        for event in (step.events if step else ())
        if isinstance(event, m.RideRequested)
    ]
    assert asked
    assert not before & set(asked)
