# SPDX-License-Identifier: Apache-2.0
"""Trips under way, by when they should be over: a batch looks at those that are due, not at thousands."""

from bisect import bisect_left, insort
from itertools import takewhile
from operator import attrgetter
from typing import Final, NamedTuple, Self

from taxi.city_time import Period
from taxi.messages.states import RideState
from taxi.roads.network import RoadNetwork
from taxi.state import CityState, Ride

_ON_TRIP: Final = RideState.ON_TRIP


class PlannedTrip(NamedTuple):
    """A ride with its rider on board."""

    due_ms: int
    """When its driver should be there (city time), by the time that the whole way takes at this hour."""
    dropoff: int
    """A node."""
    ride: Ride


_due: Final = attrgetter("due_ms")


class Trips:
    """The trips of one city. Remembered beside its state, never believed: each look holds them against it.

    What is remembered of a ride is what can't change until its trip ends.
    """

    def __init__(self) -> None:
        self._known: dict[str, Ride] = {}
        self._by_due: list[PlannedTrip] = []
        """Some may be over: who is looked at and is, is dropped."""
        self._percent = 100
        self._periods: list[Period] = []
        """The first one of city time: before it, city time is not exact."""

    @classmethod
    def of(cls, city: CityState) -> Self:
        """Those that were looked at before, if any were."""
        found: Self = city.derived.setdefault(cls, cls())
        return found

    @property
    def remembered(self) -> int:
        """How many; those that ended before their time among them."""
        return len(self._by_due)

    def due(self, city: CityState, roads: RoadNetwork, percent: int, until_ms: int) -> list[PlannedTrip]:
        """All that should be over before `until_ms` (city time), soonest first.

        `percent`: what driving takes now.
        """
        if percent != self._percent or city.periods[:1] != self._periods:
            self._known, self._by_due = {}, []
            self._percent, self._periods = percent, city.periods[:1]
        self._take_in(city, roads)
        looked_at = self._by_due[: bisect_left(self._by_due, until_ms, key=_due)]
        found = [trip for trip in looked_at if _is_under_way(city, trip.ride)]
        if len(found) < len(looked_at):
            self._by_due[: len(looked_at)] = found
            self._prune([trip.ride for trip in looked_at if not _is_under_way(city, trip.ride)])
        return found

    def _take_in(self, city: CityState, roads: RoadNetwork) -> None:
        """Add rides picked up since: they come last, behind all that are known."""
        known = self._known
        latest = reversed(city.by_state[_ON_TRIP].values())
        for ride in list(takewhile(lambda ride: known.get(ride.ride) is not ride, latest)):
            dropoff, time_s = roads.trip(ride.pickup, ride.dropoff)
            due_ms = city.time.at(ride.started_ms) + time_s * self._percent // 100 * 1000
            insort(self._by_due, PlannedTrip(due_ms, dropoff, ride), key=_due)
            known[ride.ride] = ride

    def _prune(self, over: list[Ride]) -> None:
        for ride in over:
            if self._known.get(ride.ride) is ride:  # else another ride has the name by now
                del self._known[ride.ride]


def _is_under_way(city: CityState, ride: Ride) -> bool:
    return ride.state is _ON_TRIP and city.rides.get(ride.ride) is ride
