# SPDX-License-Identifier: Apache-2.0
"""Event → how it changes the state."""

from collections.abc import Callable
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from taxi import messages as m
from taxi.city import drivers, rides
from taxi.city.rows import IllegalTransitionError, Totals, Touched
from taxi.fixes import EXPIRY_MS
from taxi.states import ENDED

if TYPE_CHECKING:
    from taxi.city.state import CityState

REMEMBERED_MS: Final = 3_600_000
"""For how long (log time) a command's id is known, so that a repeat is a repeat."""
EVENTS_LOST: Final = "events_lost"
"""Why an epoch started whose city begins empty."""
ENDED_KEPT_MS: Final = EXPIRY_MS + 180_000
"""For how long an ended ride stays in the state: its row, the resume horizon, and some slack."""


def _epoch(city: "CityState", event: m.EpochStarted) -> Touched:
    city.epoch, city.city = event.epoch, event.city
    city.batch = event.batch - 1  # an epoch may begin at any number; from there they grow by one
    return _start_empty(city) if event.reason == EVENTS_LOST else Touched()


def _start_empty(city: "CityState") -> Touched:
    """Facts that nobody can read any more are no facts: every fold forgets them, wherever it began."""
    touched = Touched(tuple(city.drivers), tuple(city.rides))
    city.drivers, city.rides, city.commands, city.totals = {}, {}, {}, Totals()
    city.displaced = []
    for lot in city.by_state.values():
        lot.clear()
    return touched


def _policy(city: "CityState", event: m.PolicyActivated) -> Touched:
    city.policy = event
    return Touched()


def _noted(_: "CityState", __: m.Event) -> Touched:
    return Touched()


def _closed(city: "CityState", event: m.BatchClosed) -> Touched:
    if event.batch != city.batch + 1 or event.at_ms < city.now_ms:
        raise IllegalTransitionError(f"{event} after batch {city.batch} at {city.now_ms}")
    if city.displaced:
        raise IllegalTransitionError(f"half a chain in batch {event.batch}: {city.displaced} have no driver")
    city.stand_at(event)
    city.born_ms = city.born_ms or event.at_ms
    _forget(city)
    return Touched()


def _forget(city: "CityState") -> None:
    """Let go of old command ids and of rides that ended long ago: memory is bounded by the log's time."""
    known_since_ms = city.now_ms - REMEMBERED_MS
    for command_id, _ in list(takewhile(lambda item: item[1] <= known_since_ms, city.commands.items())):
        del city.commands[command_id]
    ended_by_ms = city.now_ms - ENDED_KEPT_MS
    for state in ENDED:
        lot = city.by_state[state]
        for name in [name for name, ride in lot.items() if ride.ended_ms and ride.ended_ms <= ended_by_ms]:
            del city.rides[name], lot[name]


FOLDS: Final[dict[type[m.Event], Callable[["CityState", Any], Touched]]] = {
    m.EpochStarted: _epoch,
    m.PolicyActivated: _policy,
    m.DriverCameOnline: drivers.online,
    m.DriverWentOffline: drivers.offline,
    m.DriverLost: drivers.lost,
    m.DriverFound: drivers.found,
    m.RideRequested: rides.requested,
    m.RideOffered: rides.offered,
    m.OfferDeclined: rides.given_back,
    m.OfferExpired: rides.given_back,
    m.RideAssigned: rides.assigned,
    m.RideReassigned: rides.reassigned,
    m.DriverRepositioned: drivers.repositioned,
    m.RideReleased: rides.given_back,
    m.DriverArrived: rides.arrived,
    m.TripStarted: rides.started,
    m.TripCompleted: rides.ended,
    m.RideCancelled: rides.ended,
    m.RideNoShow: rides.ended,
    m.RideExpired: rides.ended,
    m.CommandRejected: _noted,
    m.InputSkipped: _noted,
    m.BatchClosed: _closed,
}
"""Event → how it changes the state."""
