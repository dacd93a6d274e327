# SPDX-License-Identifier: Apache-2.0
"""Demand looks like the trips that it is drawn from, and follows the hours of the week if asked to."""

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from scipy.stats import chi2

from scripts.demand_chart import (
    MONDAY_MS,
    by_hour,
    kolmogorov_smirnov,
    lengths_s,
    recorded,
    requested,
    week,
    zone_shares,
)
from simulator.demand_by_hour import FACTORS, factor_at
from simulator.riders import Riders
from simulator.settings import CityBehavior
from simulator.streets import Streets
from taxi.messages import RequestRide
from taxi.roads.network import TripDemand
from taxi.roads.zones import Zones
from tests.unit.simulator.harness import SimulatorHarness

HOUR_MS = 3_600_000
ALPHA = 1e-4
"""The chance that a test of the fixed seed fails although nothing is wrong."""


@pytest.fixture(scope="module")
def requests(manhattan: Streets) -> list[RequestRide]:
    """Of a day, some 17,000."""
    riders = Riders(manhattan.roads, manhattan.demand, CityBehavior(), seed=7, rate_per_s=0.2)
    return riders.requests(MONDAY_MS, MONDAY_MS + 24 * HOUR_MS)


def ks_of(streets: Streets, requests: list[RequestRide], demand: TripDemand) -> tuple[float, float]:
    """The Kolmogorov–Smirnov statistic of the driving times, and what it exceeds with the chance ALPHA."""
    rides, trips = requested(streets.roads, requests), recorded(demand)
    ks = kolmogorov_smirnov(
        lengths_s(streets.roads, rides), rides.times, lengths_s(streets.roads, trips), trips.times
    )
    return ks, math.sqrt(-math.log(ALPHA / 2) / 2 / len(requests))


def apart(streets: Streets, requests: list[RequestRide]) -> float:
    """The total variation between the zone pairs of requests and trips."""
    zones = Zones.load("manhattan")
    assert zones is not None
    rides, trips = requested(streets.roads, requests), recorded(streets.demand)
    return float(np.abs(zone_shares(zones, rides) - zone_shares(zones, trips)).sum() / 2)


def test_rides_are_as_long_as_the_trips(manhattan: Streets, requests: list[RequestRide]) -> None:
    ks, bound = ks_of(manhattan, requests, manhattan.demand)
    assert ks < bound


def test_pairs_of_zones_have_the_shares_of_the_trips(manhattan: Streets, requests: list[RequestRide]) -> None:
    trips, zones = recorded(manhattan.demand), Zones.load("manhattan")
    assert zones is not None
    shares = zone_shares(zones, trips).ravel()
    generator = np.random.default_rng(1)
    drawn = generator.multinomial(len(requests), shares, size=200) / len(requests)
    by_chance = np.abs(drawn - shares).sum(axis=1) / 2
    assert apart(manhattan, requests) < by_chance.mean() + 5 * by_chance.std()


def test_rides_between_any_two_corners_would_be_found(manhattan: Streets) -> None:
    """The tests above can fail: uniform demand is rejected by both."""
    n = manhattan.roads.n_nodes
    nodes = np.random.default_rng(1).integers(0, n, (2, 20_000)).astype(np.int32)
    nodes = nodes[:, nodes[0] != nodes[1]]
    uniform = TripDemand(nodes[0], nodes[1], np.ones(nodes.shape[1], np.int32))
    riders = Riders(manhattan.roads, uniform, CityBehavior(), seed=7, rate_per_s=0.2)
    requests = riders.requests(MONDAY_MS, MONDAY_MS + 6 * HOUR_MS)
    ks, bound = ks_of(manhattan, requests, manhattan.demand)
    assert ks > 3 * bound
    assert apart(manhattan, requests) > 0.4


def test_requests_follow_the_hours_of_the_week(manhattan: Streets) -> None:
    riders, requests = week(manhattan.roads, manhattan.demand)
    seen = by_hour(requests, riders)
    expected = np.array(FACTORS) * riders.rate_per_s * 3600
    squares = float(((seen - expected) ** 2 / expected).sum())
    assert squares < chi2.isf(ALPHA, len(FACTORS))
    flat = ((seen - expected.mean()) ** 2 / expected.mean()).sum()
    assert flat > 10 * chi2.isf(ALPHA, len(FACTORS))


def test_the_profile_keeps_what_is_published() -> None:
    hours = np.array(FACTORS).reshape(7, 24).mean(axis=0)
    assert np.mean(FACTORS) == pytest.approx(1)
    assert (hours.argmin(), hours.argmax()) == (5, 19)
    assert hours.min() / hours.max() == pytest.approx(4_271 / 28_916, rel=0.05)


def test_hours_are_those_of_the_citys_clock() -> None:
    assert factor_at(MONDAY_MS, -5) == FACTORS[0]
    assert factor_at(MONDAY_MS - 1, -5) == FACTORS[-1]
    assert factor_at(MONDAY_MS + 19 * HOUR_MS, -5) == FACTORS[19]
    assert factor_at(MONDAY_MS, 2) == FACTORS[7]


def test_without_a_profile_demand_is_the_same_at_every_hour(manhattan: Streets) -> None:
    riders = Riders(manhattan.roads, manhattan.demand, CityBehavior(), seed=7, rate_per_s=0.2)
    assert {riders.factor_at(MONDAY_MS + hour * HOUR_MS) for hour in range(168)} == {1.0}


def test_a_city_opens_with_the_rides_of_its_hour(manhattan: Streets) -> None:
    riders = Riders(manhattan.roads, manhattan.demand, CityBehavior(), seed=7, rate_per_s=1.0, by_hour=True)
    night, evening = (riders.steady_at(MONDAY_MS + hour * HOUR_MS).rate_per_s for hour in (4, 19))
    assert (night, evening) == pytest.approx((FACTORS[4], FACTORS[19]))


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_demand_follows_the_citys_own_factor(grid: Streets, factor: float) -> None:
    city = msgspec.structs.replace(grid.roads.city, demand_factor=factor)
    harness = SimulatorHarness(Streets(replace(grid.roads, city=city), grid.demand), drivers=40, load=20.0)

    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        harness.start()
        await harness.until(lambda: harness.loop.now > 60)

    harness.loop.run_until_complete(scenario())
    per_s = 20.0 * 40 * CityBehavior().requests_per_driver_s * factor
    asked = {c.ride for c in harness.heard if isinstance(c, RequestRide)}
    counted = [ride for ride in asked if seconds_of(ride) > harness.now_ms() - 50_000]
    harness.loop.shut_down()
    assert len(counted) == pytest.approx(50 * per_s, rel=0.35)


def seconds_of(ride: str) -> int:
    """When a ride was asked for, to the second, in epoch milliseconds."""
    return 1_735_689_600_000 + int(ride[2:8], 36) * 1000
