# SPDX-License-Identifier: Apache-2.0
"""Faults of the town itself: what drivers run into, whatever the tables say."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import simulator.recovery
import simulator.shell
from simulator.event_log import EventLog
from simulator.settings import CityBehavior
from simulator.settings import Settings as SimulatorSettings
from simulator.streets import Streets
from simulator.world import World as City
from taxi.messages.states import RideState
from taxi.runtime.env import Env
from taxi.state import Ride
from testing.simulation.faults import Faults
from testing.simulation.world import World

CLOCKS_OFF_MS = (-6_000, -2_500, 2_000, 30_000, -3_600_000)
"""Simulators' clocks that are wrong, by so much."""
CLOCK_OFF_SHARE = 0.4
"""Of worlds in which a simulator has one."""
JAM_S = (6.0, 20.0)
"""The longest drive through the town takes twelve."""
STANDING = 1e-3
"""How fast who is in a jam drives, of what the tables say."""


@contextmanager
def within_reach(world: World) -> Iterator[None]:
    """What a simulator has in its mind is known to the faults, from its recovery on."""
    recover = simulator.recovery.recover

    async def known(
        env: Env[SimulatorSettings], streets: Streets, behavior: CityBehavior
    ) -> tuple[City, EventLog]:
        city, events = await recover(env, streets, behavior)
        world.towns[env.settings.name] = city
        return city, events

    with patch.object(simulator.shell, "recover", known):
        yield


class CityFaults(Faults):
    """A trip that takes far longer than it should."""

    async def jam(self) -> None:
        """Stop a driver on a trip, who still sends positions, until the simulator's restart at the latest."""
        world = self.world
        if not world.towns:
            return
        name = self.random.choice(sorted(world.towns))
        city = world.towns[name]
        trips = [ride for ride in city.state.rides.values() if ride.state is RideState.ON_TRIP]
        if not trips:
            return
        driver = self._nearest_to_riders(city, trips).driver
        assert driver is not None  # on a trip
        world.tell(name, "jammed", driver=driver)
        world.saw("somebody with a rider stood still")
        pace, row = city.fleet.pace, driver - 1
        pace[row] = STANDING
        world.loop.in_world(self.random.uniform(*JAM_S), pace.__setitem__, row, 1.0)

    def set_clocks(self) -> None:
        """In some worlds a simulator's machine has a wrong clock, from its birth to the end."""
        clocks = random.Random(f"clocks {self.world.seed}")
        for name in self.world.services:
            if not name.startswith("simulator") or not self.world.search.allows("set_clocks"):
                continue
            if clocks.random() < self._share("set_clocks", CLOCK_OFF_SHARE):
                self.world.skew_ms[name] = clocks.choice(CLOCKS_OFF_MS)
                self.world.saw("a simulator's clock was off")

    def _nearest_to_riders(self, city: City, trips: list[Ride]) -> Ride:
        """The trip that ends nearest to somebody who waits, if anybody does: there it is missed."""
        waiting = [ride.pickup for ride in city.state.rides.values() if ride.state is RideState.REQUESTED]
        if not waiting:
            return self.random.choice(trips)

        def apart(trip: Ride) -> float:
            lng, lat = trip.dropoff
            return min(abs(lng - there[0]) + abs(lat - there[1]) for there in waiting)

        return min(trips, key=lambda trip: (apart(trip), trip.ride))
