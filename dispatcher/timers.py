# SPDX-License-Identifier: Apache-2.0
"""What happens by itself when log time passes: lapsed offers, lost drivers, patience, no-shows."""

from dispatcher.batch import Batch
from taxi import messages as m
from taxi.city import Driver, Ride
from taxi.states import RideState


def run_timers(batch: Batch) -> None:
    """All that is due at the batch's time: first drivers, then rides, each by id."""
    drivers = batch.city.drivers
    unheard = sorted(_unheard(batch))
    for number in unheard:
        _watch(batch, number, drivers[number])
    nobody_lost = not any(drivers[number].lost_ms for number in unheard)
    for ride in sorted(_due_rides(batch, nobody_lost=nobody_lost), key=lambda ride: ride.ride):
        _age(batch, ride)


def _unheard(batch: Batch) -> list[int]:
    """Drivers who were not heard of lately, and all who are lost: of the others there is nothing to say."""
    heard, since_ms = batch.newest.drivers, batch.now_ms - batch.limits.lost_ms
    return [
        number
        for number, driver in batch.city.drivers.items()
        if driver.lost_ms or (seen := heard.get(number)) is None or seen.append_ms <= since_ms
    ]


def _due_rides(batch: Batch, *, nobody_lost: bool) -> list[Ride]:
    """Rides whose time has come. A trip goes on while its driver is heard of."""
    rides, now_ms, limits = batch.city.by_state, batch.now_ms, batch.limits
    requested_by_ms = now_ms - limits.patience_ms
    arrived_by_ms = now_ms - limits.no_show_ms
    assigned_by_ms = now_ms - limits.pickup_ms_max
    started_by_ms = now_ms if not nobody_lost else now_ms - limits.trip_ms_max
    return [
        *(ride for ride in rides[RideState.OFFERED].values() if ride.expires_ms <= now_ms),
        *(ride for ride in rides[RideState.REQUESTED].values() if ride.requested_ms <= requested_by_ms),
        *(ride for ride in rides[RideState.ARRIVED].values() if ride.arrived_ms <= arrived_by_ms),
        *(ride for ride in rides[RideState.ASSIGNED].values() if ride.assigned_ms <= assigned_by_ms),
        *(ride for ride in rides[RideState.ON_TRIP].values() if ride.started_ms <= started_by_ms),
    ]


def _watch(batch: Batch, number: int, driver: Driver) -> None:
    """A driver on shift or on a ride is expected to be heard of."""
    expected = driver.on_shift or driver.ride is not None
    silent = expected and batch.newest.is_lost(number, driver.since_ms, batch.now_ms, batch.limits.lost_ms)
    if silent and not driver.lost_ms:
        batch.emit(m.DriverLost, driver=number)
        _release(batch, number)
    elif driver.lost_ms and _heard_again(batch, number):
        batch.emit(m.DriverFound, driver=number)


def _heard_again(batch: Batch, number: int) -> bool:
    seen = batch.newest.drivers.get(number)
    return seen is not None and batch.now_ms - seen.append_ms < batch.limits.lost_ms


def _release(batch: Batch, number: int) -> None:
    """A rider who was not picked up yet gets another driver, with the age of the request."""
    ride = batch.city.ride_of(number)
    if ride is not None and ride.state is not RideState.ON_TRIP:
        _give_back(batch, ride, "driver_lost")


def _give_back(batch: Batch, ride: Ride, reason: str) -> None:
    batch.emit(m.RideReleased, ride=ride.ride, driver=ride.driver, attempt=ride.attempt, reason=reason)


def _age(batch: Batch, ride: Ride) -> None:
    now_ms, limits = batch.now_ms, batch.limits
    if ride.state is RideState.OFFERED and ride.expires_ms <= now_ms:
        batch.emit(m.OfferExpired, ride=ride.ride, driver=ride.driver, attempt=ride.attempt)
    match ride.state:
        case RideState.REQUESTED if ride.requested_ms + limits.patience_ms <= now_ms:
            batch.emit(m.RideExpired, ride=ride.ride)
        case RideState.ARRIVED if ride.arrived_ms + limits.no_show_ms <= now_ms:
            batch.emit(m.RideNoShow, ride=ride.ride, driver=ride.driver)
        case RideState.ASSIGNED if ride.assigned_ms + limits.pickup_ms_max <= now_ms:
            _give_back(batch, ride, "overdue")
        case RideState.ON_TRIP if ride.started_ms + limits.trip_ms_max <= now_ms:
            batch.emit(m.RideCancelled, ride=ride.ride, driver=ride.driver, reason="overdue")
        case RideState.ON_TRIP if _lost_for_good(batch, ride):
            batch.emit(m.RideCancelled, ride=ride.ride, driver=ride.driver, reason="driver_lost")


def _lost_for_good(batch: Batch, ride: Ride) -> bool:
    assert ride.driver is not None  # on a trip
    lost_ms = batch.city.drivers[ride.driver].lost_ms
    return lost_ms > 0 and lost_ms + batch.limits.lost_on_trip_ms <= batch.now_ms
