# SPDX-License-Identifier: Apache-2.0
"""Events of rides: the table of transitions, and what each event changes."""

from typing import Any, Final

from taxi import messages as m
from taxi.messages.states import DriverStatus, RideState
from taxi.state.data import CityData
from taxi.state.drivers import allow, unbind
from taxi.state.rows import Driver, IllegalTransitionError, Ride, Touched, is_on_earth

_WAITING: Final = (RideState.REQUESTED, RideState.OFFERED)
_RIDE_ID_MAX: Final = 40
_TAKEN: Final = (RideState.ASSIGNED, RideState.ARRIVED)

MOVES: Final[dict[type[m.Event], tuple[tuple[RideState, ...], RideState]]] = {
    m.RideOffered: ((RideState.REQUESTED,), RideState.OFFERED),
    m.OfferDeclined: ((RideState.OFFERED,), RideState.REQUESTED),
    m.OfferExpired: ((RideState.OFFERED,), RideState.REQUESTED),
    m.RideAssigned: ((RideState.OFFERED,), RideState.ASSIGNED),
    m.RideReassigned: ((RideState.REQUESTED, RideState.ASSIGNED), RideState.ASSIGNED),
    m.RideReleased: ((RideState.OFFERED, *_TAKEN), RideState.REQUESTED),
    m.DriverArrived: ((RideState.ASSIGNED,), RideState.ARRIVED),
    m.TripStarted: ((RideState.ARRIVED,), RideState.ON_TRIP),
    m.TripCompleted: ((RideState.ON_TRIP,), RideState.COMPLETED),
    m.RideCancelled: ((*_WAITING, *_TAKEN, RideState.ON_TRIP), RideState.CANCELLED),
    m.RideNoShow: ((RideState.ARRIVED,), RideState.NO_SHOW),
    m.RideExpired: ((RideState.REQUESTED,), RideState.EXPIRED),
}
"""Event → (states in which it is allowed, the state after it)."""


def _move(city: CityData, event: Any) -> Ride:
    """Move the event's ride to its next state. If the event names a driver, it must be the ride's."""
    ride = _movable(city, event)
    if ride.driver is not None and getattr(event, "driver", ride.driver) not in (ride.driver, None):
        raise IllegalTransitionError(f"{event} while its driver is {ride.driver}")
    _stand(city, ride, MOVES[type(event)][1])
    return ride


def _stand(city: CityData, ride: Ride, state: RideState) -> None:
    lots = city.by_state
    del lots[ride.state][ride.ride]
    ride.state = state
    lots[state][ride.ride] = ride


def _movable(city: CityData, event: Any) -> Ride:
    """The event's ride. Raises IllegalTransitionError if its state does not allow the event."""
    ride = city.rides.get(event.ride)
    if ride is None or ride.state not in MOVES[type(event)][0]:
        raise IllegalTransitionError(f"{event} while the ride is {ride.state.name if ride else 'unknown'}")
    return ride


def _touched(ride: Ride, driver: int | None) -> Touched:
    return Touched(() if driver is None else (driver,), (ride.ride,))


def _free(city: CityData, ride: Ride) -> int | None:
    """Take the ride from its driver. If the driver's shift was to end with the ride, it ends."""
    number = ride.driver
    if number is not None:
        driver = city.drivers[number]
        driver.ride = None
        if driver.leaving:
            driver.on_shift = driver.leaving = False
    return number


def requested(city: CityData, event: m.RideRequested) -> Touched:
    """Apply `RideRequested`: add a ride."""
    if event.ride in city.rides:
        raise IllegalTransitionError(f"{event}: the ride exists")
    if not (0 < len(event.ride) <= _RIDE_ID_MAX and event.ride.isascii()):
        raise IllegalTransitionError(f"{event}: no ride has such an id")
    if not (is_on_earth(event.pickup) and is_on_earth(event.dropoff)):
        raise IllegalTransitionError(f"{event}: there is no such place")
    ride = Ride(
        ride=event.ride,
        rider=event.rider,
        pickup=event.pickup,
        dropoff=event.dropoff,
        requested_ms=event.at_ms,
    )
    city.by_state[ride.state][ride.ride] = city.rides[ride.ride] = ride
    return Touched((), (event.ride,))


def offered(city: CityData, event: m.RideOffered) -> Touched:
    """Apply `RideOffered`: offer the ride to an idle driver."""
    if city.status(event.driver) is not DriverStatus.IDLE:
        raise IllegalTransitionError(f"{event} while the driver is {city.status(event.driver).name}")
    ride = _move(city, event)
    ride.driver, ride.attempt = event.driver, event.attempt
    ride.eta_s, ride.expires_ms = event.eta_s, event.expires_ms
    city.drivers[event.driver].ride = event.ride
    return _touched(ride, event.driver)


def given_back(city: CityData, event: Any) -> Touched:
    """Apply an event that returns a ride: it waits again, with its original age, and not for this driver."""
    ride = _move(city, event)
    driver = _free(city, ride)
    ride.driver, ride.expires_ms, ride.assigned_ms, ride.arrived_ms = None, 0, 0, 0
    ride.driver_since_ms, ride.ordered = 0, False
    ride.refused.append(event.driver)
    return _touched(ride, driver)


def assigned(city: CityData, event: m.RideAssigned) -> Touched:
    """Apply `RideAssigned`: the driver has accepted."""
    ride = _move(city, event)
    ride.assigned_ms, ride.eta_s, ride.expires_ms = event.at_ms, event.eta_s, 0
    ride.driver_since_ms = event.at_ms
    unbind(city.drivers[event.driver])
    return _touched(ride, ride.driver)


def reassigned(city: CityData, event: m.RideReassigned) -> Touched:
    """Apply `RideReassigned`, a move of a chain: the ride gets a driver who is idle or has another ride."""
    ride, driver = _movable(city, event), city.drivers.get(event.driver, Driver())
    held = city.ride_of(event.driver)
    willing = driver.on_shift and not (driver.leaving or driver.lost_ms or event.driver in ride.refused)
    may_go = held is None or (held.state is RideState.ASSIGNED and held is not ride)
    allow(event, driver, if_so=willing and may_go)
    if held is not None:
        city.displaced.append(held.ride)
    before = _give_up(city, ride)
    ride.assigned_ms = ride.assigned_ms or event.at_ms
    _stand(city, ride, RideState.ASSIGNED)
    ride.driver, ride.attempt, ride.eta_s = event.driver, event.attempt, event.eta_s
    ride.driver_since_ms, ride.ordered = event.at_ms, True
    ride.swaps += before is not None
    driver.ride = ride.ride
    unbind(driver)
    return Touched((event.driver,) if before is None else (before, event.driver), (ride.ride,))


def _give_up(city: CityData, ride: Ride) -> int | None:
    """Free the ride's driver, unless an earlier move of the chain gave the driver another ride."""
    if ride.ride in city.displaced:
        city.displaced.remove(ride.ride)
        return ride.driver
    return _free(city, ride)


def arrived(city: CityData, event: m.DriverArrived) -> Touched:
    """Apply `DriverArrived`: the driver is at the pickup."""
    ride = _move(city, event)
    ride.arrived_ms = event.at_ms
    return _touched(ride, ride.driver)


def started(city: CityData, event: m.TripStarted) -> Touched:
    """Apply `TripStarted`: the rider is in the car."""
    ride = _move(city, event)
    ride.started_ms = event.at_ms
    return _touched(ride, ride.driver)


def ended(city: CityData, event: Any) -> Touched:
    """Apply an event that ends a ride: its driver is free."""
    ride = _move(city, event)
    driver = _free(city, ride)
    ride.ended_ms, ride.expires_ms = event.at_ms, 0
    ride.reason = getattr(event, "reason", "")
    name = ride.state.name.lower()
    setattr(city.totals, name, getattr(city.totals, name) + 1)
    return _touched(ride, driver)
