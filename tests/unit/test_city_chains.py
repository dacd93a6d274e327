# SPDX-License-Identifier: Apache-2.0
"""Rides that change drivers before the pickup, and drivers sent ahead: what the fold allows and leaves."""

from collections.abc import Callable
from typing import Any

import pytest

from taxi import messages as m
from taxi.messages.states import DriverStatus, RideState
from taxi.state import CityState, IllegalTransitionError

T0 = 1_750_000_000_000
HERE, THERE = (-73.98, 40.75), (-73.97, 40.76)


class Streets:
    """Drivers 1 … 4 on shift; driver 1 is on the way to ride a, driver 2 to ride b; ride c waits."""

    def __init__(self) -> None:
        self.city, self.at_ms = CityState(), T0
        for driver in (1, 2, 3, 4):
            self.add(m.DriverCameOnline, driver=driver)
        for ride in "abc":
            self.add(m.RideRequested, ride=ride, rider="r", pickup=HERE, dropoff=THERE)
        for ride, driver in (("a", 1), ("b", 2)):
            offer = {"ride": ride, "driver": driver, "attempt": 1, "eta_s": 300}
            self.add(m.RideOffered, **offer, expires_ms=T0 + 12_000)
            self.add(m.RideAssigned, **offer)
        self.close()

    def add(self, kind: Callable[..., Any], **fields: Any) -> tuple[int, ...]:
        return self.city.apply(kind(batch=self.city.batch + 1, at_ms=self.at_ms, **fields)).drivers

    def order(self, ride: str, driver: int) -> tuple[int, ...]:
        attempt = self.city.rides[ride].attempt + 1
        return self.add(m.RideReassigned, ride=ride, driver=driver, attempt=attempt, eta_s=100)

    def close(self) -> None:
        self.add(m.BatchClosed, count=1, commands_offset=0, locations_offset=0)
        self.at_ms += 2_000

    def held(self) -> dict[str, int | None]:
        return {ride.ride: ride.driver for ride in self.city.rides.values()}

    def agree(self) -> None:
        """Every ride's driver is on that ride, and no other driver is on any."""
        on = {number: driver.ride for number, driver in self.city.drivers.items() if driver.ride is not None}
        assert on == {ride.driver: ride.ride for ride in self.city.rides.values() if ride.driver is not None}


def test_an_idle_driver_takes_over_and_the_other_is_free() -> None:
    streets = Streets()
    assert streets.order("a", 3) == (1, 3)
    streets.close()
    streets.agree()
    assert streets.held() == {"a": 3, "b": 2, "c": None}
    assert streets.city.status(1) is DriverStatus.IDLE


def test_two_drivers_exchange_their_rides() -> None:
    streets = Streets()
    streets.order("a", 2)
    streets.order("b", 1)
    streets.close()
    streets.agree()
    assert streets.held() == {"a": 2, "b": 1, "c": None}


@pytest.mark.parametrize("order", [[("a", 3), ("b", 1), ("c", 2)], [("c", 2), ("b", 1), ("a", 3)]])
def test_a_chain_ends_alike_in_any_order_of_its_moves(order: list[tuple[str, int]]) -> None:
    streets = Streets()
    for ride, driver in order:
        streets.order(ride, driver)
    streets.close()
    streets.agree()
    assert streets.held() == {"a": 3, "b": 1, "c": 2}


def test_half_a_chain_can_not_end_a_batch() -> None:
    streets = Streets()
    streets.order("c", 1)
    with pytest.raises(IllegalTransitionError, match="half a chain"):
        streets.close()


def test_an_order_counts_as_an_attempt_and_the_ride_keeps_its_age() -> None:
    streets = Streets()
    streets.order("a", 3)
    ride = streets.city.rides["a"]
    assert (ride.attempt, ride.swaps, ride.requested_ms, ride.assigned_ms) == (2, 1, T0, T0)
    assert (ride.driver_since_ms, ride.ordered, ride.eta_s) == (T0 + 2_000, True, 100)


def test_a_refused_order_sends_that_ride_alone_back_with_its_age_and_a_ban() -> None:
    streets = Streets()
    streets.order("a", 3)
    streets.order("c", 1)
    streets.close()
    streets.add(m.RideReleased, ride="a", driver=3, attempt=2, reason="refused")
    streets.close()
    streets.agree()
    ride = streets.city.rides["a"]
    assert streets.held() == {"a": None, "b": 2, "c": 1}
    assert (ride.state, ride.requested_ms, ride.refused, ride.ordered) == (
        RideState.REQUESTED,
        T0,
        [3],
        False,
    )
    with pytest.raises(IllegalTransitionError):
        streets.order("a", 3)


@pytest.mark.parametrize("what", ["off", "leaving", "lost", "offered", "arrived", "unknown", "its own"])
def test_who_can_not_go_is_given_no_order(what: str) -> None:
    streets, driver = Streets(), 3
    match what:
        case "off":
            streets.add(m.DriverWentOffline, driver=3)
        case "lost":
            streets.add(m.DriverLost, driver=3)
        case "leaving":
            driver = 2
            streets.add(m.DriverWentOffline, driver=2)
        case "offered":
            streets.add(m.RideOffered, ride="c", driver=3, attempt=1, eta_s=1, expires_ms=T0)
        case "arrived":
            driver = 2
            streets.add(m.DriverArrived, ride="b", driver=2, attempt=1)
        case "unknown":
            driver = 77
        case _:
            driver = 1
    before = streets.city.to_bytes()
    with pytest.raises(IllegalTransitionError):
        streets.order("a", driver)
    assert streets.city.to_bytes() == before


def test_a_shift_that_was_to_end_with_the_ride_ends_when_the_ride_goes_to_another() -> None:
    streets = Streets()
    streets.add(m.DriverWentOffline, driver=1)
    streets.order("a", 3)
    streets.close()
    streets.agree()
    assert streets.city.status(1) is DriverStatus.OFFLINE


@pytest.mark.parametrize("end", ["assigned", "ordered", "offline", "lost"])
def test_a_driver_sent_ahead_stays_idle_until_something_better_comes(end: str) -> None:
    streets = Streets()
    sent = {"to": THERE, "eta_s": 200, "until_ms": T0 + 300_000}
    assert streets.add(m.DriverRepositioned, driver=3, **sent) == (3,)
    streets.close()
    driver = streets.city.drivers[3]
    assert streets.city.status(3) is DriverStatus.IDLE
    assert (driver.bound_for, driver.bound_until_ms) == (THERE, T0 + 300_000)
    match end:
        case "assigned":
            offer = {"ride": "c", "driver": 3, "attempt": 1, "eta_s": 1}
            streets.add(m.RideOffered, **offer, expires_ms=T0)
            assert driver.bound_for is not None
            streets.add(m.RideAssigned, **offer)
        case "ordered":
            streets.order("a", 3)
        case "offline":
            streets.add(m.DriverWentOffline, driver=3)
        case _:
            streets.add(m.DriverLost, driver=3)
    assert (driver.bound_for, driver.bound_until_ms) == (None, 0)


def test_only_who_is_idle_is_sent_ahead() -> None:
    with pytest.raises(IllegalTransitionError):
        Streets().add(m.DriverRepositioned, driver=1, to=THERE, eta_s=200, until_ms=T0)
