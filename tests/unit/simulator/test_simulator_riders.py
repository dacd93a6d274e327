# SPDX-License-Identifier: Apache-2.0
"""Riders ask at the agreed rate, from real places, and ask the same again after a restart."""

import pytest

from simulator.riders import EPOCH_MS, Riders, place_of, ride_id
from simulator.settings import CityBehavior
from simulator.streets import Streets

START_MS = 1_780_000_000_000


def riders_of(
    streets: Streets, *, seed: int = 7, rate_per_s: float = 1.4, behavior: CityBehavior | None = None
) -> Riders:
    return Riders(streets.roads, streets.demand, behavior or CityBehavior(), seed=seed, rate_per_s=rate_per_s)


@pytest.mark.parametrize("rate_per_s", [0.2, 1.4, 7.0, 40.0])
def test_demand_comes_at_its_rate(grid: Streets, rate_per_s: float) -> None:
    seconds = 2000
    rides = riders_of(grid, rate_per_s=rate_per_s).requests(START_MS, START_MS + seconds * 1000)
    expected = rate_per_s * seconds
    assert abs(len(rides) - expected) < 4 * expected**0.5


def test_no_demand_means_no_rides(grid: Streets) -> None:
    assert riders_of(grid, rate_per_s=0).requests(START_MS, START_MS + 100_000) == []


def test_the_same_seed_makes_the_same_rides_however_time_is_cut(manhattan: Streets) -> None:
    riders = riders_of(manhattan)
    whole = riders.requests(START_MS, START_MS + 60_000)
    cut = [
        ride for ms in range(0, 60_000, 100) for ride in riders.requests(START_MS + ms, START_MS + ms + 100)
    ]
    assert sorted(whole, key=str) == sorted(cut, key=str)
    assert riders_of(manhattan).requests(START_MS, START_MS + 60_000) == whole
    assert riders_of(manhattan, seed=8).requests(START_MS, START_MS + 60_000) != whole


def test_a_restart_repeats_ids_and_never_makes_two_rides_of_one(grid: Streets) -> None:
    riders = riders_of(grid, rate_per_s=7)
    first = riders.requests(START_MS, START_MS + 30_000)
    again = riders.requests(START_MS + 20_000, START_MS + 50_000)
    assert len({ride.ride for ride in first}) == len(first)
    shared = {ride.ride: ride for ride in first}
    assert [shared[ride.ride] for ride in again if ride.ride in shared] == [r for r in again if r in first]
    assert sum(ride.ride in shared for ride in again) > 30


def test_rides_begin_and_end_where_trips_did(manhattan: Streets) -> None:
    rides = riders_of(manhattan).requests(START_MS, START_MS + 600_000)
    roads = manhattan.roads
    for ride in rides[:200]:
        assert roads.contains(*ride.pickup)
        assert roads.contains(*ride.dropoff)
        assert roads.nearest_node(*ride.pickup)[0] in manhattan.demand.from_node
    assert len({ride.pickup for ride in rides}) > 300


def test_ids_are_valid_and_lead_back_to_their_slot() -> None:
    assert ride_id(0, 0) == "r-00000000"
    slot = (START_MS - EPOCH_MS) // 1000
    assert place_of(ride_id(slot, 1295)) == (slot, 1295)
    for foreign in ("", "r-", "r-xyz", "web-12345678", "r-ABCDEFGH", "r-1234567é", "rr-0000000"):
        assert place_of(foreign) is None


def test_most_riders_wait_and_some_give_up_or_never_come(grid: Streets) -> None:
    behavior = CityBehavior(impatient_share=0.1, no_show_share=0.05)
    riders = riders_of(grid, rate_per_s=10, behavior=behavior)
    rides = riders.requests(START_MS, START_MS + 400_000)
    give_up = [cancels for ride in rides if (cancels := riders.cancels(ride.ride, START_MS))]
    assert 0.07 < len(give_up) / len(rides) < 0.13
    low_s, high_s = behavior.patience_s
    assert all(low_s <= (at_ms - START_MS) / 1000 <= high_s for at_ms, _ in give_up)
    absent = sum(not riders.comes(ride.ride) for ride in rides)
    assert 0.03 < absent / len(rides) < 0.07


def test_a_rider_from_a_browser_always_waits_and_comes(grid: Streets) -> None:
    riders = riders_of(grid, behavior=CityBehavior(impatient_share=1.0, no_show_share=1.0))
    for foreign in (
        "web-1",
        "9f3c2a",
        "r-zzzzzzgz",
    ):  # the last has our form, but this seed makes no such ride
        assert riders.cancels(foreign, START_MS) is None
        assert riders.comes(foreign)
