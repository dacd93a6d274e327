# SPDX-License-Identifier: Apache-2.0
"""Events of drivers: shifts, loss of the signal, repositioning."""

from taxi import messages as m
from taxi.messages.states import DriverStatus
from taxi.state.data import CityData
from taxi.state.rows import Driver, IllegalTransitionError, Touched, is_on_earth


def allow(event: m.Event, driver: Driver, *, if_so: bool) -> None:
    """Raise IllegalTransitionError unless `if_so`."""
    if not if_so:
        raise IllegalTransitionError(f"{event} of {driver}")


def unbind(driver: Driver) -> None:
    """End the driver's repositioning."""
    driver.bound_for, driver.bound_until_ms = None, 0


def repositioned(city: CityData, event: m.DriverRepositioned) -> Touched:
    """Apply `DriverRepositioned`: an idle driver is asked to drive somewhere."""
    driver = city.drivers.get(event.driver, Driver())
    allow(event, driver, if_so=city.status(event.driver) is DriverStatus.IDLE)
    if not is_on_earth(event.to):
        raise IllegalTransitionError(f"{event}: there is no such place")
    driver.bound_for, driver.bound_until_ms = event.to, event.until_ms
    return Touched((event.driver,))


def online(city: CityData, event: m.DriverCameOnline) -> Touched:
    """Apply `DriverCameOnline`: a shift begins, or one that was to end with the ride continues."""
    driver = city.drivers.get(event.driver, Driver())
    allow(event, driver, if_so=not driver.on_shift or driver.leaving)
    city.drivers[event.driver] = driver
    driver.on_shift, driver.leaving, driver.since_ms = True, False, event.at_ms
    return Touched((event.driver,))


def offline(city: CityData, event: m.DriverWentOffline) -> Touched:
    """Apply `DriverWentOffline`: the shift ends now, or with the ride."""
    driver = city.drivers.get(event.driver, Driver())
    allow(event, driver, if_so=driver.on_shift and not driver.leaving)
    if driver.ride is None:
        driver.on_shift = False
        unbind(driver)
    else:
        driver.leaving = True
    return Touched((event.driver,))


def lost(city: CityData, event: m.DriverLost) -> Touched:
    """Apply `DriverLost`: the driver's signal is lost."""
    driver = city.drivers.get(event.driver, Driver())
    allow(event, driver, if_so=not driver.lost_ms and (driver.on_shift or driver.ride is not None))
    driver.lost_ms = event.at_ms
    unbind(driver)
    return Touched((event.driver,))


def found(city: CityData, event: m.DriverFound) -> Touched:
    """Apply `DriverFound`: the driver has a signal again."""
    driver = city.drivers.get(event.driver, Driver())
    allow(event, driver, if_so=driver.lost_ms > 0)
    driver.lost_ms, driver.since_ms = 0, event.at_ms
    return Touched((event.driver,))
