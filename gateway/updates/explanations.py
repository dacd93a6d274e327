# SPDX-License-Identifier: Apache-2.0
"""What a ride's row leaves out: why this driver, what came before, and what the trip cost.

It is answered on request and is in no cut, so it may differ between gateways that began to read elsewhere.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from taxi.messages import (
    AnyEvent,
    OfferDeclined,
    OfferExpired,
    Place,
    RideAssigned,
    RideOffered,
    RideReassigned,
    RideReleased,
    RideRequested,
    TripCompleted,
)
from taxi.messages.states import RideState
from taxi.state import Ride
from taxi.state.batches import Batch

Why: TypeAlias = RideOffered | RideReassigned
SLACK: Final = 1_000
"""So many too many are kept: looking through all of them at every batch would cost more than their batch."""
HISTORY_MAX: Final = 40
"""Steps kept of a ride, the newest."""
_STEPS: Final = (RideOffered, OfferDeclined, OfferExpired, RideAssigned, RideReassigned, RideReleased)


class CandidateSeen(NamedTuple):
    """What a candidate was doing when the gateway read the decision."""

    place: Place | None
    """None if no position was near the decision in time."""
    ride: str | None
    """The ride that the same batch gave to this driver."""


class Step(NamedTuple):
    """An offer or order of a ride, or what became of it."""

    type: str
    at_ms: int
    driver: int | None
    eta_s: int | None
    """The time to the pickup that the event states, in city time."""


class Explanations:
    """Of rides whose last offer or order was read here: a snapshot has none, so there nothing is known.

    Args:
        place_at: Returns where a driver was at a log time, or None if that is not known.
    """

    def __init__(self, place_at: Callable[[int, int], Place | None]) -> None:
        self._place_at = place_at
        self._whys: dict[str, tuple[Why, dict[int, CandidateSeen]]] = {}
        self._fares_cents: dict[str, int] = {}
        self._steps: dict[str, list[Step]] = {}

    def add(self, batch: Batch, rides: Mapping[str, Ride]) -> None:
        """Read a batch; `rides` are those that the city keeps after it."""
        given = {at.event.driver: at.event.ride for at in batch.events if isinstance(at.event, Why)}
        for at in batch.events:
            event = at.event
            if isinstance(event, Why):
                self._whys[event.ride] = event, self._seen(event, given)
            elif isinstance(event, TripCompleted):
                self._fares_cents[event.ride] = event.fare_cents
            self._note_step(event)
        for known in (self._whys, self._fares_cents, self._steps):
            _keep(known, rides)

    def _seen(self, why: Why, given: Mapping[int, str]) -> dict[int, CandidateSeen]:
        return {
            driver: CandidateSeen(self._place_at(driver, why.at_ms), given.get(driver))
            for driver in (candidate.driver for candidate in why.candidates)
        }

    def _note_step(self, event: AnyEvent) -> None:
        if isinstance(event, RideRequested):  # an id may be used again
            self._steps[event.ride] = []
        elif isinstance(event, _STEPS):
            steps = self._steps.setdefault(event.ride, [])
            eta_s = getattr(event, "eta_s", None)
            steps.append(Step(type(event).__name__, event.at_ms, event.driver, eta_s))
            del steps[:-HISTORY_MAX]

    def why(self, ride: Ride) -> Why | None:
        """The last offer or order of it. An id may be used again after an hour: then the attempt differs."""
        found = self._whys.get(ride.ride)
        return found[0] if found is not None and found[0].attempt == ride.attempt else None

    def candidates(self, ride: Ride) -> dict[int, CandidateSeen]:
        """Driver → what each candidate of `why` was doing then; empty if there is no `why`."""
        found = self._whys.get(ride.ride)
        return found[1] if found is not None and found[0].attempt == ride.attempt else {}

    def steps(self, ride: Ride) -> list[Step]:
        """Offers and orders of it and what became of them, oldest first, as far as they were read here."""
        return self._steps.get(ride.ride, [])

    def fare_cents(self, ride: Ride) -> int | None:
        """Of a completed ride; logs of old have none."""
        return self._fares_cents.get(ride.ride) or None if ride.state is RideState.COMPLETED else None


def _keep(explanations: dict[str, Any], rides: Mapping[str, Ride]) -> None:
    """Let go of those whose ride is gone, once that are many."""
    if len(explanations) > len(rides) + SLACK:
        for gone in explanations.keys() - rides.keys():
            del explanations[gone]
