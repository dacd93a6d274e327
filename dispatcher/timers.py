# SPDX-License-Identifier: Apache-2.0
"""What happens by itself when log time passes: lapsed offers, lost drivers, patience, no-shows."""

from dataclasses import dataclass
from heapq import nsmallest
from typing import NamedTuple

from dispatcher.batch import BatchInProgress
from dispatcher.batch_input import BatchInput
from taxi import messages as m
from taxi.messages.states import RideState
from taxi.state import Driver, Ride


class _Due(NamedTuple):
    """A ride whose time has come, and since when."""

    due_ms: int
    name: str
    ride: Ride


def run_timers(batch: BatchInProgress, batch_input: BatchInput) -> None:
    """All that is due at the batch's time, up to a bound: first scenarios, then drivers, then rides, by id.

    A ride's time limit never overtakes a command about the ride that was appended before it: neither one in
    this input nor one that is still unread. The next batch that judges timers judges such a ride again.
    """
    _end_scenarios(batch)
    drivers = batch.city.drivers
    unheard = sorted(_unheard(batch))
    first = len(batch.events)
    for number in unheard:
        if len(batch.events) - first >= batch.limits.timeouts_max:
            break
        _watch(batch, number, drivers[number])
    none_lost = not any(drivers[number].lost_ms for number in unheard)
    judged_ms = batch.now_ms
    if batch_input.behind:
        judged_ms = min(judged_ms, batch_input.commands[-1].append_ms) if batch_input.commands else 0
    limits = _Limits(batch, judged_ms, _said_ms(batch_input))
    for _, _, ride in sorted(_due(limits, none_lost=none_lost), key=_by_name):
        _age(limits, ride)


def _end_scenarios(batch: BatchInProgress) -> None:
    """Scenarios whose time has passed."""
    time = batch.city.time
    for name, scenario in sorted(batch.city.scenarios.items()):
        if time.after(scenario.since_ms, scenario.lasts_s * 1000) <= batch.now_ms:
            batch.emit(m.ScenarioEnded, scenario=name)


def _by_name(due: _Due) -> str:
    return due.name


def _unheard(batch: BatchInProgress) -> list[int]:
    """Drivers who were not heard of lately, and all who are lost: of the others there is nothing to say."""
    heard, since_ms = batch.newest.drivers, batch.now_ms - batch.limits.lost_ms
    return [
        number
        for number, driver in batch.city.drivers.items()
        if driver.lost_ms or (seen := heard.get(number)) is None or seen.append_ms <= since_ms
    ]


def _said_ms(batch_input: BatchInput) -> dict[str, int]:
    """Ride → the earliest log time of a command about it in this input.

    That need not be the first one's: if the clock was set back twice since the last batch, which shift
    applies to a command is not certain, and log times may go back from one command to the next.
    """
    said_ms: dict[str, int] = {}
    for read in batch_input.commands:
        ride = getattr(read.command, "ride", "")
        said_ms[ride] = min(said_ms.get(ride, read.append_ms), read.append_ms)
    return said_ms


@dataclass(frozen=True)
class _Limits:
    """The time limits of a batch's rides, as of `judged_ms`."""

    batch: BatchInProgress
    judged_ms: int
    said_ms: dict[str, int]

    def has_passed(self, ride: Ride) -> bool:
        """Whether the ride's present stage is over, and nothing about it was said in time."""
        due_ms = _due_ms(self.batch, ride)
        return due_ms <= self.judged_ms and due_ms <= self.said_ms.get(ride.ride, due_ms)


def _due(limits: _Limits, *, none_lost: bool) -> list[_Due]:
    """Rides whose limit has passed, those overdue longest if there are too many."""
    batch = limits.batch
    due = [
        _Due(_due_ms(batch, ride), ride.ride, ride)
        for ride in _maybe_due(batch, limits.judged_ms, none_lost=none_lost)
        if limits.has_passed(ride)
    ]
    at_most = batch.limits.timeouts_max
    return due if len(due) <= at_most else nsmallest(at_most, due)


def _maybe_due(batch: BatchInProgress, judged_ms: int, *, none_lost: bool) -> list[Ride]:
    """All whose time may have come: thousands are passed over at one look each."""
    rides, limits, time = batch.city.by_state, batch.limits, batch.city.time
    requested_by_ms = time.before(judged_ms, limits.patience_ms)
    arrived_by_ms = time.before(judged_ms, limits.no_show_ms)
    assigned_by_ms = time.before(judged_ms, limits.pickup_ms_max)
    started_by_ms = judged_ms if not none_lost else time.before(judged_ms, limits.trip_ms_max)
    return [
        *(ride for ride in rides[RideState.OFFERED].values() if ride.expires_ms <= judged_ms),
        *(ride for ride in rides[RideState.REQUESTED].values() if ride.requested_ms <= requested_by_ms),
        *(ride for ride in rides[RideState.ARRIVED].values() if ride.arrived_ms <= arrived_by_ms),
        *(ride for ride in rides[RideState.ASSIGNED].values() if ride.assigned_ms <= assigned_by_ms),
        *(ride for ride in rides[RideState.ON_TRIP].values() if ride.started_ms <= started_by_ms),
    ]


def _due_ms(batch: BatchInProgress, ride: Ride) -> int:
    """When the time of the ride's present stage is over, in log time."""
    limits, time = batch.limits, batch.city.time
    match ride.state:
        case RideState.OFFERED:
            return ride.expires_ms
        case RideState.REQUESTED:
            return time.after(ride.requested_ms, limits.patience_ms)
        case RideState.ARRIVED:
            return time.after(ride.arrived_ms, limits.no_show_ms)
        case RideState.ASSIGNED:
            return time.after(ride.assigned_ms, limits.pickup_ms_max)
    lost_ms = _lost_ms(batch, ride)
    by_itself_ms = time.after(ride.started_ms, limits.trip_ms_max)
    return min(by_itself_ms, lost_ms + limits.lost_on_trip_ms) if lost_ms else by_itself_ms


def _watch(batch: BatchInProgress, number: int, driver: Driver) -> None:
    """A driver on shift or on a ride is expected to be heard of."""
    expected = driver.on_shift or driver.ride is not None
    silent = expected and batch.newest.is_lost(number, driver.since_ms, batch.now_ms, batch.limits.lost_ms)
    if silent and not driver.lost_ms:
        batch.emit(m.DriverLost, driver=number)
        _release(batch, number)
    elif driver.lost_ms and _heard_again(batch, number):
        batch.emit(m.DriverFound, driver=number)


def _heard_again(batch: BatchInProgress, number: int) -> bool:
    seen = batch.newest.drivers.get(number)
    return seen is not None and batch.now_ms - seen.append_ms < batch.limits.lost_ms


def _release(batch: BatchInProgress, number: int) -> None:
    """A rider who was not picked up yet gets another driver, with the age of the request."""
    ride = batch.city.ride_of(number)
    if ride is not None and ride.state is not RideState.ON_TRIP:
        _give_back(batch, ride, "driver_lost")


def _give_back(batch: BatchInProgress, ride: Ride, reason: str) -> None:
    batch.emit(m.RideReleased, ride=ride.ride, driver=ride.driver, attempt=ride.attempt, reason=reason)


def _age(limits: _Limits, ride: Ride) -> None:
    """End the stage whose limit has passed; of a ride that waits again, perhaps the wait as well."""
    batch = limits.batch
    if ride.state is RideState.OFFERED:
        batch.emit(m.OfferExpired, ride=ride.ride, driver=ride.driver, attempt=ride.attempt)
        if not limits.has_passed(ride):
            return
    match ride.state:
        case RideState.REQUESTED:
            batch.emit(m.RideExpired, ride=ride.ride)
        case RideState.ARRIVED:
            batch.emit(m.RideNoShow, ride=ride.ride, driver=ride.driver)
        case RideState.ASSIGNED:
            _give_back(batch, ride, "overdue")
        case RideState.ON_TRIP:
            over_ms = batch.city.time.after(ride.started_ms, batch.limits.trip_ms_max)
            by_itself = over_ms <= limits.judged_ms
            reason = "overdue" if by_itself else "driver_lost"
            batch.emit(m.RideCancelled, ride=ride.ride, driver=ride.driver, reason=reason)


def _lost_ms(batch: BatchInProgress, ride: Ride) -> int:
    """Since when the driver of a trip has been without a signal; 0: there is one."""
    assert ride.driver is not None  # on a trip
    return batch.city.drivers[ride.driver].lost_ms
