# SPDX-License-Identifier: Apache-2.0
"""What is remembered of trips under way never differs from what the city's state says."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.trips import Trips
from taxi import messages as m
from taxi.messages.states import RideState
from taxi.roads.grid import grid_city
from taxi.state import EVENTS_LOST, CityState

GRID = grid_city(5, 5).prepare()
RIDES = 3
NODES = st.integers(0, GRID.n_nodes - 1)
LOOK = st.tuples(st.just("check"), st.sampled_from([80, 100, 130]), st.integers(-120_000, 600_000))
BEGIN = st.tuples(st.just("begin"), st.integers(1, RIDES), NODES, NODES)
END = st.tuples(st.just("end"), st.integers(1, RIDES), st.booleans())
LOSE = st.tuples(st.just("lose"))
STEP = st.one_of(LOOK, LOOK, BEGIN, BEGIN, END, LOSE)
STEPS = st.lists(st.tuples(st.integers(0, 100_000), STEP), min_size=5, max_size=30)


class Scenario:
    """Trips that begin and end; driver n has ride n, again and again under the same name."""

    def __init__(self) -> None:
        self.city = CityState()
        self.now_ms = 1_750_000_000_000

    def say(self, kind: type[m.Event], **fields: Any) -> None:
        event: Any = kind(batch=1, at_ms=self.now_ms, **fields)
        self.city.apply(event)

    def begin(self, n: int, start: int, end: int) -> None:
        if f"r{n}" in self.city.rides:
            return
        if n not in self.city.drivers:
            self.say(m.DriverCameOnline, driver=n)
        about: dict[str, Any] = {"ride": f"r{n}", "driver": n, "attempt": 1}
        places = {"pickup": GRID.place(start), "dropoff": GRID.place(end)}
        self.say(m.RideRequested, ride=f"r{n}", rider="a", **places)
        self.say(m.RideOffered, eta_s=1, expires_ms=self.now_ms, **about)
        self.say(m.RideAssigned, eta_s=1, **about)
        self.say(m.DriverArrived, **about)
        self.say(m.TripStarted, **about)

    def end(self, n: int, is_forgotten: bool) -> None:
        ride = self.city.rides.get(f"r{n}")
        if ride is not None and ride.state is RideState.ON_TRIP:
            self.say(m.TripCompleted, ride=f"r{n}", driver=n, attempt=1, trip_s=1)
        if is_forgotten and ride is not None:
            del self.city.rides[ride.ride], self.city.by_state[ride.state][ride.ride]

    def lose(self) -> None:
        self.say(m.EpochStarted, epoch="e", city="grid", reason=EVENTS_LOST)

    def check(self, percent: int, within_ms: int) -> None:
        """The trips due are those that a computation from the whole state finds."""
        until_ms = self.now_ms + within_ms
        expected = []
        for ride in self.city.rides.values():
            if ride.state is RideState.ON_TRIP:
                node, time_s = GRID.trip(ride.pickup, ride.dropoff)
                due_ms = ride.started_ms + time_s * percent // 100 * 1000
                if due_ms < until_ms:
                    expected.append((due_ms, node, ride.ride))
        trips = Trips.of(self.city).due(self.city, GRID, percent, until_ms)
        assert [trip.due_ms for trip in trips] == sorted(trip.due_ms for trip in trips)
        assert sorted((trip.due_ms, trip.dropoff, trip.ride.ride) for trip in trips) == sorted(expected)
        assert all(self.city.rides[trip.ride.ride] is trip.ride for trip in trips)


@settings(deadline=None)
@given(STEPS)
def test_a_look_at_what_is_due_is_as_good_as_a_look_at_everything(
    steps: list[tuple[int, tuple[Any, ...]]],
) -> None:
    scenario = Scenario()
    for pause_ms, (name, *fields) in steps:
        scenario.now_ms += pause_ms
        getattr(scenario, name)(*fields)
    scenario.check(100, 600_000)


def test_what_is_remembered_is_no_part_of_the_state() -> None:
    checked, left_alone = Scenario(), Scenario()
    for scenario in (checked, left_alone):
        scenario.begin(1, 0, 7)
    checked.check(100, 600_000)
    assert checked.city == left_alone.city
    assert checked.city.to_bytes() == left_alone.city.to_bytes()
    assert not CityState.from_bytes(checked.city.to_bytes()).derived


def test_of_trips_that_are_over_nothing_stays() -> None:
    scenario = Scenario()
    for n in range(1, RIDES + 1):
        scenario.begin(n, 0, n)
    scenario.check(100, 600_000)
    for n in range(1, RIDES + 1):
        scenario.end(n, is_forgotten=True)
    scenario.check(100, 600_000)
    assert Trips.of(scenario.city).remembered == 0


def test_who_was_there_sooner_than_expected_is_not_waited_for() -> None:
    scenario = Scenario()
    scenario.begin(1, 0, 24)
    scenario.check(100, 600_000)
    scenario.end(1, is_forgotten=False)
    scenario.check(100, 600_000)


def test_a_name_that_comes_again_is_another_ride() -> None:
    scenario = Scenario()
    scenario.begin(1, 0, 24)
    scenario.check(100, 600_000)
    scenario.lose()
    scenario.now_ms += 5_000
    scenario.begin(1, 3, 17)
    scenario.check(100, 600_000)
