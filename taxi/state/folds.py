# SPDX-License-Identifier: Apache-2.0
"""The functions that apply events to the state, by type of event."""

from collections.abc import Callable
from itertools import takewhile
from typing import Any, Final

from taxi import messages as m
from taxi.messages.states import ENDED
from taxi.positions.fixes import EXPIRY_MS
from taxi.state import drivers, rides, scenarios
from taxi.state.data import CityData
from taxi.state.rows import IllegalTransitionError, Totals, Touched

REMEMBERED_MS: Final = 3_600_000
"""How long (log time) a command's id is remembered, so that repetitions are recognized."""
NOT_YET: Final = frozenset({"unknown_ride", "not_online", "too_early", "patience_over", "too_old"})
"""Reasons of `CommandRejected` that are not final: the command arrived before what it refers to, or it was
unread for too long. Its id is not remembered, so a repetition is decided again."""
EVENTS_LOST: Final = "events_lost"
"""Why an epoch started whose city begins empty."""
LOCATIONS_RECREATED: Final = frozenset({"locations_recreated", "inputs_recreated"})
"""Why an epoch started before which no position is known: theirs was another topic."""
ENDED_KEPT_MS: Final = EXPIRY_MS + 180_000
"""How long an ended ride stays in the state: the lifetime of its row, the resume window, and a margin."""


def _epoch(city: CityData, event: m.EpochStarted) -> Touched:
    city.epoch, city.city = event.epoch, event.city
    city.batch = event.batch - 1  # an epoch may begin at any number; from there they grow by one
    if event.reason in LOCATIONS_RECREATED and city.shifts:
        city.shifts = [(0, city.shift_ms)]  # of the same broker, but offsets start over
    return _start_empty(city) if event.reason == EVENTS_LOST else Touched()


def _start_empty(city: CityData) -> Touched:
    """Clear the state, because the events before this epoch are lost and not all readers have them."""
    touched = Touched(tuple(city.drivers), tuple(city.rides))
    city.drivers, city.rides, city.commands, city.totals = {}, {}, {}, Totals()
    city.displaced = []
    city.policy, city.periods = None, []
    city.scenarios, city.scenarios_changed_ms = {}, 0
    for lot in city.by_state.values():
        lot.clear()
    return touched


def _set_back(city: CityData, event: m.ClockSetBack) -> Touched:
    city.shift(event.locations_from, event.shift_ms)
    return Touched()


def _policy(city: CityData, event: m.PolicyActivated) -> Touched:
    city.policy = event
    _take_speed(city, event.at_ms)
    return Touched()


def _take_speed(city: CityData, now_ms: int) -> None:
    """The policy's speed holds from now on, or from when there is a log time."""
    if city.policy is not None and now_ms > 0:
        city.periods = city.time.changed(now_ms, city.policy.speed)


def _noted(_: CityData, __: m.Event) -> Touched:
    return Touched()


def _closed(city: CityData, event: m.BatchClosed) -> Touched:
    if event.batch != city.batch + 1 or event.at_ms < city.now_ms:
        raise IllegalTransitionError(f"{event} after batch {city.batch} at {city.now_ms}")
    if city.displaced:
        raise IllegalTransitionError(f"half a chain in batch {event.batch}: {city.displaced} have no driver")
    city.stand_at(event)
    if city.policy is not None and city.policy.speed != city.time.speed:
        _take_speed(city, event.at_ms)
    city.born_ms = city.born_ms or event.at_ms
    _prune(city)
    return Touched()


def _prune(city: CityData) -> None:
    """Remove command ids and ended rides that are older than their limits, which bounds the memory."""
    known_since_ms = city.now_ms - REMEMBERED_MS
    for command_id, _ in list(takewhile(lambda item: item[1] <= known_since_ms, city.commands.items())):
        del city.commands[command_id]
    ended_by_ms = city.now_ms - ENDED_KEPT_MS
    for state in ENDED:
        lot = city.by_state[state]
        for ride in list(takewhile(lambda ride: ride.ended_ms <= ended_by_ms, lot.values())):
            del city.rides[ride.ride], lot[ride.ride]


FOLDS: Final[dict[type[m.Event], Callable[[CityData, Any], Touched]]] = {
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
    m.ClockSetBack: _set_back,
    m.ScenarioStarted: scenarios.started,
    m.ScenarioEnded: scenarios.ended,
    m.BatchClosed: _closed,
}
"""Type of event → the function that applies it."""
