# SPDX-License-Identifier: Apache-2.0
"""A driver over HTTP: its shift, its ride, and what it has earned since the gateway began to read."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from taxi import messages as m
from taxi import topics
from testing.gateway_harness import HERE, THERE, GatewayHarness
from tests.unit.gateway.web import assert_problem, client, site


def trip(ride: str, driver: int, cents: int) -> tuple[Callable[..., m.AnyEvent], ...]:
    """A ride of this driver from its request to its end."""
    of: dict[str, Any] = {"ride": ride, "driver": driver, "attempt": 1}
    return (
        partial(m.RideRequested, ride=ride, rider="browser", pickup=HERE, dropoff=THERE),
        partial(m.RideOffered, **of, eta_s=9, expires_ms=0),
        partial(m.RideAssigned, **of, eta_s=9),
        partial(m.DriverArrived, **of),
        partial(m.TripStarted, **of),
        partial(m.TripCompleted, **of, trip_s=300, trip_m=1_100, fare_cents=cents),
    )


def test_a_driver_has_the_trips_and_fares_since_the_gateway_began_to_read(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        born_ms = harness.now_ms()
        harness.batch(partial(m.DriverCameOnline, driver=7), partial(m.DriverCameOnline, driver=8))
        gateway = await harness.gateway()
        harness.batch(*trip("r-1", 7, 1_240))
        harness.batch(*trip("r-2", 7, 860), *trip("r-3", 8, 99)[:3])
        ev = harness.batch(partial(m.DriverWentOffline, driver=8))
        await harness.until(lambda: gateway.city_view is not None and gateway.city_view.ev == ev)
        async with client(site(harness)) as web:
            seven = (await web.get("/api/drivers/7")).json()
            eight = (await web.get("/api/drivers/8")).json()
        assert seven == {
            "driver": 7,
            "status": "IDLE",
            "on_shift": True,
            "leaving": False,
            "shift_since_ms": born_ms,
            "ride": None,
            "trips": 2,
            "earned_cents": 2_100,
            "distance_m": 2_200,
            "counted_since_ms": born_ms,
        }
        assert (eight["trips"], eight["ride"], eight["leaving"]) == (0, "r-3", True)

    harness.run(scenario())


def test_a_gateway_that_starts_from_a_snapshot_says_from_when_on_it_counts(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=7))
        harness.batch(*trip("r-1", 7, 1_240))
        before_ms = harness.now_ms()
        harness.snapshot()
        events = harness.broker.partition(topics.EVENTS, 0)
        events.delete_before(events.end)
        await harness.gateway()
        ev = harness.batch(*trip("r-2", 7, 860))
        gateway = harness.gateways["gateway-1"][0]
        await harness.until(lambda: gateway.city_view is not None and gateway.city_view.ev == ev)
        async with client(site(harness)) as web:
            seven = (await web.get("/api/drivers/7")).json()
        assert (seven["trips"], seven["earned_cents"], seven["shift_since_ms"]) == (1, 860, None)
        assert (seven["on_shift"], seven["counted_since_ms"]) == (True, before_ms)

    harness.run(scenario())


@pytest.mark.parametrize("name", ["9", "0x7", "-1", "1.5", "t-7", "4294967296", "9" * 400, "%20"])
def test_an_unknown_driver_is_a_problem_document(harness: GatewayHarness, name: str) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=7))
        gateway = await harness.gateway()
        await harness.until(lambda: gateway.city_view is not None)
        async with client(site(harness)) as web:
            assert_problem(await web.get(f"/api/drivers/{name}"), 404)

    harness.run(scenario())
