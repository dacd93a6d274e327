# SPDX-License-Identifier: Apache-2.0
"""A driver's life: shifts, the signal, and where the idle are sent."""

from typing import TYPE_CHECKING

from taxi import messages as m
from taxi.city.rows import Driver, IllegalTransitionError, Touched
from taxi.states import DriverStatus

if TYPE_CHECKING:
    from taxi.city.state import CityState


def allow(event: m.Event, driver: Driver, *, if_so: bool) -> None:
    """A driver's own events, as `MOVES` is for rides."""
    if not if_so:
        raise IllegalTransitionError(f"{event} of {driver}")


def unbind(driver: Driver) -> None:
    """Nobody asks the driver to be anywhere any more."""
    driver.bound_for, driver.bound_until_ms = None, 0


def repositioned(city: "CityState", event: m.DriverRepositioned) -> Touched:
    """An idle driver is asked to drive somewhere."""
    driver = city.drivers.get(event.driver, Driver())
    allow(event, driver, if_so=city.status(event.driver) is DriverStatus.IDLE)
    driver.bound_for, driver.bound_until_ms = event.to, event.until_ms
    return Touched((event.driver,))


def online(city: "CityState", event: m.DriverCameOnline) -> Touched:
    """A shift begins, or one that was to end goes on."""
    driver = city.drivers.get(event.driver, Driver())
    allow(event, driver, if_so=not driver.on_shift or driver.leaving)
    city.drivers[event.driver] = driver
    driver.on_shift, driver.leaving, driver.since_ms = True, False, event.at_ms
    return Touched((event.driver,))


def offline(city: "CityState", event: m.DriverWentOffline) -> Touched:
    """The shift ends: now, or with the ride."""
    driver = city.drivers.get(event.driver, Driver())
    allow(event, driver, if_so=driver.on_shift and not driver.leaving)
    if driver.ride is None:
        driver.on_shift = False
        unbind(driver)
    else:
        driver.leaving = True
    return Touched((event.driver,))


def lost(city: "CityState", event: m.DriverLost) -> Touched:
    """No signal any more."""
    driver = city.drivers.get(event.driver, Driver())
    allow(event, driver, if_so=not driver.lost_ms and (driver.on_shift or driver.ride is not None))
    driver.lost_ms = event.at_ms
    unbind(driver)
    return Touched((event.driver,))


def found(city: "CityState", event: m.DriverFound) -> Touched:
    """There is a signal again."""
    driver = city.drivers.get(event.driver, Driver())
    allow(event, driver, if_so=driver.lost_ms > 0)
    driver.lost_ms, driver.since_ms = 0, event.at_ms
    return Touched((event.driver,))
