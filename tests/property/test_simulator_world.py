# SPDX-License-Identifier: Apache-2.0
"""Whatever the log says, in whatever rhythm: the world never raises, and a driver never drives two rides."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.drivers import BREAK, Drivers
from simulator.outbox import Outbox
from simulator.settings import CityBehavior
from simulator.streets import Streets
from simulator.world import RideStage, World
from taxi import messages as m
from taxi.messages.states import RideState
from taxi.roads.grid import grid_city
from taxi.roads.network import TripDemand
from testing.simulator_obliging import Obliging
from testing.simulator_worlds import QUICK, START_MS, world_of

ROADS = grid_city(4, 3, block_m=100.0)
STREETS = Streets(ROADS, TripDemand.uniform(ROADS.n_nodes))
BEHAVIOR = msgspec.structs.replace(
    QUICK,
    no_show_share=0.2,
    no_show_s=5.0,
    impatient_share=0.3,
    patience_s=(3.0, 20.0),
    break_share=0.5,
    break_s=(5.0, 15.0),
    hour_s=40.0,
)
HELD = (RideState.OFFERED, RideState.ASSIGNED, RideState.ARRIVED)


class Scenario:
    """A world, a dispatcher that does as fate tells it, and a network that loses and repeats."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now_ms = START_MS
        self.ticks = 0
        self.dispatcher = Obliging()
        self.world = self._world()
        self.outbox = Outbox(2_000)
        self.late: list[m.AnyCommand] = []
        for _ in range(3):  # a city that works: what follows happens to drivers with rides
            self.live(60)
            self.batch(lose=False, repeat=False, offers=True)

    def _world(self) -> World:
        return world_of(
            STREETS,
            6,
            seed=self.seed,
            rate_per_s=0.3,
            behavior=BEHAVIOR,
            state=self.dispatcher.state,
            now_ms=self.now_ms,
        )

    def live(self, ticks: int) -> None:
        for _ in range(ticks):
            self.now_ms += 100
            self.ticks += 1
            self.world.tick(self.ticks, self.now_ms)
            self.outbox.put(self.world.take_commands(), self.now_ms)

    def sleep(self, seconds: int) -> None:
        self.now_ms += seconds * 1000

    def batch(self, *, lose: bool, repeat: bool, offers: bool) -> None:
        """The dispatcher hears what is due, late or twice or not at all."""
        commands = self.outbox.due(self.now_ms)
        heard = [*self.late, *(() if lose else commands)]
        self.late = list(commands) if repeat else []
        self.tell(self.dispatcher.decide(heard, self.now_ms, offers=offers))

    def strike(self, fate: "Fate", nth: int) -> None:
        """Something happens that was not asked for here."""
        made = self.dispatcher.decide((), self.now_ms, offers=False, fate=lambda: fate(self.dispatcher, nth))
        self.tell(made)

    def tell(self, events: list[Any]) -> None:
        self.world.hear(events, self.now_ms)
        for event in events:
            if event.command_id:
                self.outbox.answered(event.command_id)

    def restart(self) -> None:
        self.world, self.outbox = self._world(), Outbox(2_000)

    def check(self) -> None:
        """Each driver is on the one ride that the log gives, no further back than the log."""
        state = self.dispatcher.state
        for row in range(6):
            ride, job = state.ride_of(row + 1), self.world.job_of(row + 1)
            if ride is None or ride.state is RideState.OFFERED:
                assert job is None
            else:
                assert job is not None
                assert (job.ride, job.attempt) == (ride.ride, ride.attempt)
                assert job.stage >= {
                    RideState.ARRIVED: RideStage.BOARDING,
                    RideState.ON_TRIP: RideStage.TO_DROPOFF,
                }.get(ride.state, RideStage.TO_PICKUP)
        assert np.isfinite(self.world.fleet.see(np.arange(6)).points).all()


Fate = Callable[[Obliging, int], object]


def cancel(city: Obliging, nth: int) -> None:
    if ride := pick(city.rides(RideState.REQUESTED, *HELD, RideState.ON_TRIP), nth):
        city.add(m.RideCancelled, ride=ride.ride, reason="rider", driver=ride.driver)


def release(city: Obliging, nth: int) -> None:
    if ride := pick(city.rides(*HELD), nth):
        city.add(
            m.RideReleased, ride=ride.ride, driver=ride.driver, attempt=ride.attempt, reason="driver_lost"
        )


def expire(city: Obliging, nth: int) -> None:
    if ride := pick(city.rides(RideState.REQUESTED), nth):
        city.add(m.RideExpired, ride=ride.ride)


def lose_or_find(city: Obliging, nth: int) -> None:
    known = city.state.drivers
    if driver := pick(sorted(d for d in known if known[d].lost_ms or known[d].on_shift), nth):
        city.add(m.DriverFound if known[driver].lost_ms else m.DriverLost, driver=driver)


def find(city: Obliging, driver: int) -> None:
    city.add(m.DriverFound, driver=driver)


def end_shift(city: Obliging, nth: int) -> None:
    known = city.state.drivers
    if driver := pick(sorted(d for d in known if known[d].on_shift and not known[d].leaving), nth):
        city.add(m.DriverWentOffline, driver=driver)


def pick(things: list[Any], nth: int) -> Any:
    return things[nth % len(things)] if things else None


ACTIONS = st.one_of(
    st.tuples(st.just("live"), st.integers(1, 80)),
    st.tuples(st.just("sleep"), st.sampled_from([1, 30, 700])),
    st.tuples(st.just("batch"), st.tuples(st.booleans(), st.booleans(), st.booleans())),
    st.tuples(
        st.just("strike"),
        st.tuples(st.sampled_from([cancel, release, expire, lose_or_find, end_shift]), st.integers(0, 5)),
    ),
    st.tuples(st.just("restart"), st.none()),
)


def act(scenario: Scenario, name: str, what: Any) -> None:
    match name:
        case "live":
            scenario.live(what)
        case "sleep":
            scenario.sleep(what)
        case "batch":
            lose, repeat, offers = what
            scenario.batch(lose=lose, repeat=repeat, offers=offers)
        case "strike":
            scenario.strike(*what)
        case _:
            scenario.restart()


@settings(deadline=None, max_examples=120)
@given(st.integers(0, 99), st.lists(ACTIONS, max_size=60))
def test_any_scenario_leaves_every_driver_on_the_one_ride_of_the_log(
    seed: int, actions: list[tuple[str, Any]]
) -> None:
    scenario = Scenario(seed)
    for name, what in actions:
        act(scenario, name, what)
        scenario.check()


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 99), st.lists(ACTIONS, max_size=40))
def test_after_any_scenario_a_calm_city_finishes_its_rides(seed: int, actions: list[tuple[str, Any]]) -> None:
    scenario = Scenario(seed)
    for name, what in actions:
        act(scenario, name, what)
    for driver in sorted(scenario.dispatcher.state.drivers):
        if scenario.dispatcher.state.drivers[driver].lost_ms:
            scenario.strike(find, driver)
    begun = {r.ride for r in scenario.dispatcher.rides(*HELD, RideState.ON_TRIP)}
    for _ in range(400):
        scenario.live(10)
        scenario.batch(lose=False, repeat=False, offers=False)
    left = {r.ride for r in scenario.dispatcher.rides(*HELD, RideState.ON_TRIP)}
    assert not begun & left


@given(st.integers(0, 10**6), st.integers(1, 500), st.floats(0, 1), st.integers(0, 10**9))
def test_no_driver_rests_twice_in_an_hour(seed: int, n: int, share: float, minute: int) -> None:
    drivers = Drivers(CityBehavior(break_share=share), seed, n)
    hour_ms = minute * 60_000 // 3_600_000 * 3_600_000
    rows = np.arange(n)
    parts = [drivers.shift_part(rows, hour_ms + m * 60_000) for m in range(0, 60, 5)]
    assert (np.diff(np.array(parts, int), axis=0) >= 0).all()
    assert (parts[0] <= BREAK).all()
