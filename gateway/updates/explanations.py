# SPDX-License-Identifier: Apache-2.0
"""What a ride's row leaves out: why this driver, and what the trip cost. For who asks; it is in no cut."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from taxi.messages import RideOffered, RideReassigned, TripCompleted
from taxi.messages.states import RideState
from taxi.state import Ride
from taxi.state.batches import Batch

Why: TypeAlias = RideOffered | RideReassigned
SLACK: Final = 1_000
"""So many too many are kept: looking through all of them at every batch would cost more than their batch."""


class Explanations:
    """Of rides whose last offer or order was read here: a snapshot has none, so there nothing is known."""

    def __init__(self) -> None:
        self._whys: dict[str, Why] = {}
        self._fares_cents: dict[str, int] = {}

    def add(self, batch: Batch, rides: Mapping[str, Ride]) -> None:
        """Read a batch; `rides` are those that the city keeps after it."""
        for at in batch.events:
            event = at.event
            if isinstance(event, (RideOffered, RideReassigned)):
                self._whys[event.ride] = event
            elif isinstance(event, TripCompleted):
                self._fares_cents[event.ride] = event.fare_cents
        _keep(self._whys, rides)
        _keep(self._fares_cents, rides)

    def why(self, ride: Ride) -> Why | None:
        """The last offer or order of it. An id may be used again after an hour: then the attempt differs."""
        found = self._whys.get(ride.ride)
        return found if found is not None and found.attempt == ride.attempt else None

    def fare_cents(self, ride: Ride) -> int | None:
        """Of a completed ride; logs of old have none."""
        return self._fares_cents.get(ride.ride) or None if ride.state is RideState.COMPLETED else None


def _keep(explanations: dict[str, Any], rides: Mapping[str, Ride]) -> None:
    """Let go of those whose ride is gone, once that are many."""
    if len(explanations) > len(rides) + SLACK:
        for gone in explanations.keys() - rides.keys():
            del explanations[gone]
