# SPDX-License-Identifier: Apache-2.0
"""Looking ahead: a ride waits for a driver who is about to be free nearby, but not for ever."""

from taxi import messages as m
from tests.unit.dispatcher.town import GRID, STEP_MS, Town, offline, report, request

TRIP_S = int(GRID.travel_time_s(0, 35))


def nearly_there(*, left_s: int = 10) -> tuple[Town, m.RideOffered]:
    """Driver 1 lets a rider out at corner 35 in `left_s`; driver 2 is idle, the whole way off."""
    town = Town(policy="batched")
    town.drivers(d1=0)
    offer = town.on_trip()
    town.drivers(d2=0)
    town.wait((TRIP_S - left_s) * 1000 - STEP_MS)
    return town, offer


def offers(events: list[m.AnyEvent]) -> list[int]:
    """To whom."""
    return [event.driver for event in events if isinstance(event, m.RideOffered)]


def test_a_ride_waits_for_who_is_about_to_be_free_and_gets_that_driver() -> None:
    town, offer = nearly_there()
    assert offers(town.step(request("r2", pickup=35, dropoff=0))) == []
    town.where[1] = 35
    assert offers(town.wait(10_000)) == []
    assert offers(town.step(report(offer, "dropped_off"))) == [1]


def test_nobody_waits_for_a_driver_who_never_comes() -> None:
    town, _ = nearly_there()
    town.step(request("r2", pickup=35, dropoff=0))
    assert offers(town.wait(60_000)) == []
    assert offers(town.wait(20_000)) == [2]


def test_a_driver_who_is_far_from_done_or_goes_home_is_not_waited_for() -> None:
    town, _ = nearly_there(left_s=60)
    assert offers(town.step(request("r2", pickup=35, dropoff=0))) == [2]
    town, _ = nearly_there()
    town.step(offline(1))
    assert offers(town.step(request("r2", pickup=35, dropoff=0))) == [2]


def test_an_idle_driver_who_is_as_near_is_asked_at_once() -> None:
    town, _ = nearly_there()
    town.where[2] = 35
    town.step()
    assert offers(town.step(request("r2", pickup=35, dropoff=0))) == [2]
