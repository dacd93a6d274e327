# SPDX-License-Identifier: Apache-2.0
"""Faults of the town itself: what drivers run into, whatever the tables say."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import simulator.recovery
import simulator.shell
from simulator.event_log import EventLog
from simulator.settings import Habits
from simulator.settings import Settings as SimulatorSettings
from simulator.streets import Streets
from simulator.world import World as Town
from taxi.city import Ride
from taxi.runtime.env import Env
from taxi.states import RideState
from tests.simulation.faults import Faults
from tests.simulation.world import World

JAM_S = (6.0, 20.0)
"""The longest drive through the town takes twelve."""
STANDING = 1e-3
"""How fast who is in a jam drives, of what the tables say."""


@contextmanager
def within_reach(world: World) -> Iterator[None]:
    """What a simulator has in its mind is known to the faults, from its recovery on."""
    recover = simulator.recovery.recover

    async def known(env: Env[SimulatorSettings], streets: Streets, habits: Habits) -> tuple[Town, EventLog]:
        town, events = await recover(env, streets, habits)
        world.towns[env.settings.name] = town
        return town, events

    with patch.object(simulator.shell, "recover", known):
        yield


class TownFaults(Faults):
    """A trip that takes far longer than it should."""

    async def jam(self) -> None:
        """Somebody with a rider stands still, and goes on saying where; a simulator's restart ends it."""
        world = self.world
        if not world.towns:
            return
        name = self.random.choice(sorted(world.towns))
        town = world.towns[name]
        trips = [ride for ride in town.state.rides.values() if ride.state is RideState.ON_TRIP]
        if not trips:
            return
        driver = self._nearest_to_riders(town, trips).driver
        assert driver is not None  # on a trip
        world.tell(name, "jammed", driver=driver)
        world.saw("somebody with a rider stood still")
        pace, row = town.fleet.pace, driver - 1
        pace[row] = STANDING
        world.loop.in_world(self.random.uniform(*JAM_S), pace.__setitem__, row, 1.0)

    def _nearest_to_riders(self, town: Town, trips: list[Ride]) -> Ride:
        """The trip that ends nearest to somebody who waits, if anybody does: there it is missed."""
        waiting = [ride.pickup for ride in town.state.rides.values() if ride.state is RideState.REQUESTED]
        if not waiting:
            return self.random.choice(trips)

        def apart(trip: Ride) -> float:
            lng, lat = trip.dropoff
            return min(abs(lng - there[0]) + abs(lat - there[1]) for there in waiting)

        return min(trips, key=lambda trip: (apart(trip), trip.ride))
