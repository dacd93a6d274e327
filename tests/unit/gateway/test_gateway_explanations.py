# SPDX-License-Identifier: Apache-2.0
"""Why a ride's driver comes, and what the trip cost: sent on request, kept no longer than the ride."""

from functools import partial
from typing import Any

import pytest

from gateway.updates.city_view import CityView, Span
from gateway.updates.explanations import SLACK
from gateway.updates.grid import TileGrid
from taxi import messages as m
from taxi.bus import Record
from taxi.messages import codec
from taxi.state import ENDED_KEPT_MS, CityState
from testing.gateway_harness import HERE, THERE, GatewayHarness
from tests.unit.gateway.web import client, site

NEAR, FAR, BUSY = (m.Candidate(7, 95, 90), m.Candidate(8, 130, 125), m.Candidate(9, 60, 80))
OFFER = partial(
    m.RideOffered,
    ride="r-1",
    driver=7,
    attempt=1,
    eta_s=95,
    expires_ms=0,
    candidates=(NEAR, FAR),
    runner_up=8,
    market_rides=3,
    market_drivers=40,
)
ORDER = partial(
    m.RideReassigned,
    ride="r-1",
    driver=9,
    attempt=2,
    eta_s=60,
    from_driver=7,
    chain=1,
    saves_s=35,
    candidates=(BUSY, NEAR),
    runner_up=7,
)
REQUEST = partial(m.RideRequested, ride="r-1", rider="browser", pickup=HERE, dropoff=THERE)
ACCEPT = partial(m.RideAssigned, ride="r-1", driver=7, attempt=1, eta_s=95)
TRIP = (
    partial(m.DriverArrived, ride="r-1", driver=9, attempt=2),
    partial(m.TripStarted, ride="r-1", driver=9, attempt=2),
    partial(m.TripCompleted, ride="r-1", driver=9, attempt=2, trip_s=300, fare_cents=1240),
)


async def asked(harness: GatewayHarness, *events: Any) -> dict[str, Any]:
    """What the gateway says of the ride once these events have happened."""
    ev, gateway = harness.batch(*events), harness.gateways["gateway-1"][0]
    await harness.until(lambda: gateway.city_view is not None and gateway.city_view.ev == ev)
    async with client(site(harness)) as web:
        ride: dict[str, Any] = (await web.get("/api/rides/r-1")).json()
    return ride


def test_a_ride_tells_its_last_offer_or_order_and_its_fare(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(*(partial(m.DriverCameOnline, driver=driver) for driver in (7, 8, 9)))
        await harness.gateway()
        ride = await asked(harness, REQUEST)
        assert (ride["why"], ride["fare_cents"]) == (None, None)
        why = (await asked(harness, OFFER))["why"]
        assert (why["type"], why["driver"], why["runner_up"]) == ("RideOffered", 7, 8)
        assert why["candidates"][1] == {"driver": 8, "eta_s": 130, "cost": 125}
        assert (why["market_rides"], why["market_drivers"], why["batch"]) == (3, 40, harness.city.batch)
        assert (await asked(harness, ACCEPT))["why"] == why
        why = (await asked(harness, ORDER))["why"]
        assert (why["type"], why["from_driver"], why["saves_s"]) == ("RideReassigned", 7, 35)
        ride = await asked(harness, *TRIP)
        assert (ride["state"], ride["fare_cents"], ride["why"]) == ("COMPLETED", 1240, why)

    harness.run(scenario())


def test_a_ride_names_where_its_candidates_were_and_what_the_batch_gave_them(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(*(partial(m.DriverCameOnline, driver=driver) for driver in (7, 8, 9)))
        gateway = await harness.gateway()
        old_ms = harness.now_ms() - 6_000
        harness.fix(7, HERE)
        harness.fix(8, THERE)
        harness.fix_at(9, old_ms)
        await harness.until(lambda: gateway.city_view is not None and gateway.city_view.drivers.total == 3)
        other = partial(REQUEST, ride="r-2")
        offers = (OFFER, partial(OFFER, ride="r-2", driver=8, candidates=(FAR, BUSY), runner_up=9))
        ride = await asked(harness, REQUEST, other, *offers)
        assert ride["candidates"] == [
            {"driver": 7, "place": pytest.approx(list(HERE), abs=1e-5), "ride": "r-1"},
            {"driver": 8, "place": pytest.approx(list(THERE), abs=1e-5), "ride": "r-2"},
        ]
        async with client(site(harness)) as web:
            ride = (await web.get("/api/rides/r-2")).json()
        assert [seen["place"] is None for seen in ride["candidates"]] == [False, True]

    harness.run(scenario())


def test_the_steps_of_a_ride_are_its_offers_and_what_became_of_them(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(*(partial(m.DriverCameOnline, driver=driver) for driver in (7, 8, 9)))
        await harness.gateway()
        await asked(harness, REQUEST, partial(OFFER, driver=8))
        declined = partial(m.OfferDeclined, ride="r-1", driver=8, attempt=1)
        await asked(harness, declined, partial(OFFER, attempt=2))
        await asked(harness, partial(ACCEPT, attempt=2, eta_s=91))
        ride = await asked(harness, partial(ORDER, attempt=3))
        assert [(step["type"], step["driver"], step["eta_s"]) for step in ride["steps"]] == [
            ("RideOffered", 8, 95),
            ("OfferDeclined", 8, None),
            ("RideOffered", 7, 95),
            ("RideAssigned", 7, 91),
            ("RideReassigned", 9, 60),
        ]

    harness.run(scenario())


def test_a_gateway_that_began_to_read_after_the_offer_says_nothing_of_it() -> None:
    city, shared = CityState(), dict[str, Any](batch=1, at_ms=1)
    birth = partial(m.EpochStarted, epoch="ab", city="grid")
    for event in (birth, partial(m.DriverCameOnline, driver=7), REQUEST, OFFER):
        city.apply(event(**shared))
    city_view = view_of(CityState.from_bytes(city.to_bytes()))
    ride = city_view.city.rides["r-1"]
    assert ride.driver == 7
    assert (city_view.explanations.why(ride), city_view.explanations.fare_cents(ride)) == (None, None)
    assert (city_view.explanations.candidates(ride), city_view.explanations.steps(ride)) == ({}, [])


def test_an_id_given_again_is_another_ride() -> None:
    city_view, log = view_of(CityState()), Log()
    log.to(city_view, partial(m.EpochStarted, epoch="ab", city="grid"), partial(m.DriverCameOnline, driver=7))
    log.to(city_view, REQUEST, OFFER)
    log.to(city_view, partial(m.RideCancelled, ride="r-1", reason="rider", driver=7))
    log.at_ms += ENDED_KEPT_MS
    log.to(city_view)
    log.to(city_view, REQUEST)
    ride = city_view.city.rides["r-1"]
    assert city_view.explanations.why(ride) is None
    assert (city_view.explanations.candidates(ride), city_view.explanations.steps(ride)) == ({}, [])


def test_explanations_go_with_their_rides() -> None:
    rides = SLACK + 1
    city_view, log = view_of(CityState()), Log()
    log.to(city_view, partial(m.EpochStarted, epoch="ab", city="grid"), partial(m.DriverCameOnline, driver=7))
    for number in range(rides):
        name: dict[str, Any] = {"ride": f"r-{number}"}
        log.to(city_view, partial(REQUEST, **name), partial(OFFER, **name))
        log.to(city_view, partial(m.RideCancelled, **name, reason="rider", driver=7))
    assert len(city_view.explanations._whys) == rides
    log.at_ms += ENDED_KEPT_MS
    log.to(city_view)
    assert not city_view.city.rides
    assert not city_view.explanations._whys


def view_of(city: CityState) -> CityView:
    grid = TileGrid.over((-74.02, 40.70, -73.92, 40.87))
    return CityView(city, loc=0, ev=0, span=Span(), grid=grid)


class Log:
    """Batches, one after the other."""

    def __init__(self) -> None:
        self.batch, self.offset, self.at_ms = 0, 0, 1

    def to(self, city_view: CityView, *events: Any) -> None:
        self.batch += 1
        shared: dict[str, Any] = {"batch": self.batch, "at_ms": self.at_ms}
        closed = partial(m.BatchClosed, count=len(events) + 1, commands_offset=0, locations_offset=0)
        made = [event(**shared) for event in (*events, closed)]
        city_view.fold_events(Record(self.offset + i, 1, None, codec.encode(e)) for i, e in enumerate(made))
        self.offset += len(made)
