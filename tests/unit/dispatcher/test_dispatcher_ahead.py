# SPDX-License-Identifier: Apache-2.0
"""Looking ahead: a ride waits for a driver who is about to be free nearby, but not for ever."""

from taxi import messages as m
from testing.core_harness import GRID, STEP_MS, CoreHarness, offline, report, request

TRIP_S = int(GRID.travel_time_s(0, 35))


def nearly_there(*, left_s: int = 10) -> tuple[CoreHarness, m.RideOffered]:
    """Driver 1 lets a rider out at corner 35 in `left_s`; driver 2 is idle, the whole way off."""
    core = CoreHarness(policy="batched")
    core.drivers(d1=0)
    offer = core.on_trip()
    core.drivers(d2=0)
    core.wait((TRIP_S - left_s) * 1000 - STEP_MS)
    return core, offer


def offers(events: list[m.AnyEvent]) -> list[int]:
    """To which driver."""
    return [event.driver for event in events if isinstance(event, m.RideOffered)]


def test_a_ride_waits_for_who_is_about_to_be_free_and_gets_that_driver() -> None:
    core, offer = nearly_there()
    assert offers(core.step(request("r2", pickup=35, dropoff=0))) == []
    core.where[1] = 35
    assert offers(core.wait(10_000)) == []
    assert offers(core.step(report(offer, "dropped_off"))) == [1]


def test_no_ride_waits_for_a_driver_who_never_comes() -> None:
    core, _ = nearly_there()
    core.step(request("r2", pickup=35, dropoff=0))
    assert offers(core.wait(60_000)) == []
    assert offers(core.wait(20_000)) == [2]


def test_a_driver_who_is_far_from_done_or_goes_home_is_not_waited_for() -> None:
    core, _ = nearly_there(left_s=60)
    assert offers(core.step(request("r2", pickup=35, dropoff=0))) == [2]
    core, _ = nearly_there()
    core.step(offline(1))
    assert offers(core.step(request("r2", pickup=35, dropoff=0))) == [2]


def test_an_idle_driver_who_is_as_near_is_asked_at_once() -> None:
    core, _ = nearly_there()
    core.where[2] = 35
    core.step()
    assert offers(core.step(request("r2", pickup=35, dropoff=0))) == [2]
