# SPDX-License-Identifier: Apache-2.0
"""Drivers far from all streets get no rides, and that is reported."""

import asyncio

import pytest

from dispatcher.market import OffMap
from taxi import messages as m
from taxi import topics
from taxi.messages.states import DriverStatus
from testing.core_harness import GRID, CoreHarness, answer, corner, kinds, online, request
from tests.unit.dispatcher.harness import DispatcherHarness
from tests.unit.dispatcher.test_dispatcher_shell import offer_of

POLE = (180.0, 90.0)
NEAR_M, FAR_M = GRID.city.snap_m_max - 2, GRID.city.snap_m_max + 2


class Wide(CoreHarness):
    """A town in which drivers may be anywhere."""

    def __init__(self, **options: object) -> None:
        self.elsewhere: dict[int, m.Place] = {}
        self.heading = 0
        super().__init__(**options)  # type: ignore[arg-type]

    def fix(self, driver: int) -> m.Fix:
        lng, lat = self.elsewhere.get(driver) or corner(self.where[driver])
        return m.Fix(driver=driver, at_ms=self.now_ms, lng=lng, lat=lat, heading=self.heading)


def south_of(node: int, metres: float) -> m.Place:
    lng, lat = corner(node)
    return lng, lat - metres / GRID.plane.m_per_lat


@pytest.mark.parametrize("policy", ["batched", "greedy", "fifo"])
@pytest.mark.parametrize("heading", [0, 90], ids=["no heading", "a heading"])
@pytest.mark.parametrize("place", [POLE, (-180.0, -90.0), (0.0, 0.0), south_of(0, FAR_M)], ids=str)
def test_a_driver_far_from_any_street_is_offered_nothing(policy: str, heading: int, place: m.Place) -> None:
    core = Wide(policy=policy)
    core.heading = heading
    core.drivers(d1=0, d2=35)
    core.elsewhere[1] = place
    core.step()
    assert core.offered().driver == 2, "the other one is at the far end of town, but there"
    assert core.city.derived[OffMap].drivers == (1,)
    assert core.city.status(1) is DriverStatus.IDLE
    core.elsewhere.clear()
    core.step(request("r2"))
    assert core.log_offer("r2").driver == 1
    assert core.city.derived[OffMap].drivers == ()


@pytest.mark.parametrize("heading", [0, 90], ids=["no heading", "a heading"])
def test_a_driver_as_near_to_a_street_as_a_ride_may_begin_is_offered_rides(heading: int) -> None:
    core = Wide()
    core.heading = heading
    core.drivers(d1=0)
    core.elsewhere[1] = south_of(0, NEAR_M)
    core.step()
    assert core.offered().driver == 1


def test_in_the_middle_of_a_long_block_a_street_is_near() -> None:
    """However far the next junction is."""
    places = GRID.places
    (west, south), (east, _) = corner(0), corner(1)
    middle = ((west + east) / 2, south)
    assert GRID.nearest_node(*middle)[1] > 90
    assert places.off_m([middle])[0] < 6


def test_a_driver_under_way_who_leaves_the_map_keeps_the_ride_and_takes_no_other() -> None:
    core = Wide(policy="batched")
    core.drivers(d1=0)
    core.step(request("r1", pickup=35, dropoff=0))
    core.step(answer(core.log_offer("r1")))
    core.elsewhere[1] = POLE
    core.where[2] = 34
    events = core.step(online(2)) + core.wait(8_000)
    assert not {"RideReassigned", "DriverRepositioned"} & set(kinds(events))
    assert core.ride("r1").driver == 1


def test_a_driver_off_the_map_is_sent_nowhere() -> None:
    core = Wide(policy="batched")
    core.drivers(**{f"d{number}": 0 for number in range(1, 37)})
    core.elsewhere |= dict.fromkeys(range(1, 37), POLE)
    assert "DriverRepositioned" not in kinds(core.wait(120_000))
    core.elsewhere.clear()
    assert "DriverRepositioned" in kinds(core.wait(120_000))


def test_drivers_off_the_map_are_a_fault_until_they_are_back() -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        faults = harness.faults[0]

        async def lost_at_the_pole() -> None:
            while True:
                fix = m.Fix(driver=7, at_ms=harness.now_ms(), lng=POLE[0], lat=POLE[1])
                harness.write(topics.LOCATIONS, fix)
                await asyncio.sleep(1)

        harness.say(online(7))
        wandering = harness.loop.create_task(lost_at_the_pole())
        await harness.until(lambda: bool(faults.current))
        [fault] = faults.current
        assert (fault.code, fault.blocks) == ("drivers_off_the_map", False)
        assert fault.text.startswith("1 idle drivers are far from any street of grid and get no offers (7)")
        harness.say(request(), request("r2"))
        await asyncio.sleep(5)
        rides = {ride.driver: name for name, ride in harness.city().rides.items()}
        assert sorted(rides, key=str) == [1, None]
        wandering.cancel()
        harness.on_air[7] = 3
        assert (await offer_of(harness, rides[None])).driver == 7
        assert not faults.current

    DispatcherHarness().run(scenario)
