# SPDX-License-Identifier: Apache-2.0
"""Rides that change drivers before the pickup, as the core decides it; refusals; drivers sent ahead."""

import pytest

from dispatcher.policies.tuning import Tuning
from taxi import messages as m
from taxi.messages.states import RideState
from taxi.tariff import fare_cents
from testing.core_harness import CoreHarness, answer, kinds, report, request

EAGER = Tuning(rematch_interval_ms=2_000, rematch_left_ms_min=0, swap_price_ms=1_000, value_permille=0)


def order_in(events: list[m.AnyEvent]) -> m.RideReassigned:
    [order] = [event for event in events if isinstance(event, m.RideReassigned)]
    return order


def ordered_core() -> tuple[CoreHarness, m.RideReassigned]:
    """Driver 1 is far and on the way; driver 2 appears next to the rider and takes over."""
    core = CoreHarness(policy="batched", tuning=EAGER)
    core.drivers(d1=35)
    core.taken()
    core.where[2] = 1
    online = m.GoOnline(command_id="2:online", driver=2)
    return core, order_in(core.step(online))


def no(order: m.RideReassigned) -> m.AnswerOffer:
    return m.AnswerOffer(
        command_id="no", driver=order.driver, ride=order.ride, attempt=order.attempt, accept=False
    )


def test_a_driver_who_is_much_nearer_takes_over_and_the_event_says_why() -> None:
    core, order = ordered_core()
    assert (order.driver, order.from_driver, order.attempt, order.chain, order.moves) == (2, 1, 2, 1, 1)
    assert order.saves_s == 333 - 33
    assert [candidate.driver for candidate in order.candidates] == [2, 1]
    assert order.runner_up == 1
    assert core.city.ride_of(1) is None


def test_what_the_former_driver_still_says_is_stale() -> None:
    core, order = ordered_core()
    before = m.RideOffered(batch=0, at_ms=0, ride="r1", driver=1, attempt=1, eta_s=0, expires_ms=0)
    assert kinds(core.step(report(before, "arrived")))[:1] == ["CommandRejected"]
    assert core.ride().driver == order.driver


@pytest.mark.parametrize(("late_ms", "outcome"), [(5_000, "RideReleased"), (5_001, "CommandRejected")])
def test_an_order_may_be_refused_for_five_seconds(late_ms: int, outcome: str) -> None:
    core, order = ordered_core()
    [event] = [e for e in core.step(no(order), after_ms=late_ms) if e.command_id == "no"]
    assert m.tag_of(event) == outcome


def test_a_refused_ride_is_offered_to_another_with_its_age_and_never_to_this_driver() -> None:
    core, order = ordered_core()
    requested_ms = core.ride().requested_ms
    events = core.step(no(order))
    [offer] = [event for event in events if isinstance(event, m.RideOffered)]
    assert (offer.driver, offer.attempt) == (1, 3)
    assert (core.ride().refused, core.ride().requested_ms) == ([2], requested_ms)


def test_a_yes_to_an_order_is_stale_because_it_needs_none() -> None:
    core, order = ordered_core()
    yes = m.AnswerOffer(command_id="yes", driver=2, ride="r1", attempt=order.attempt, accept=True)
    [event] = [e for e in core.step(yes) if e.command_id == "yes"]
    assert isinstance(event, m.CommandRejected)
    assert event.reason == "stale_offer"


def test_a_ride_that_is_offered_is_left_alone() -> None:
    core = CoreHarness(policy="batched", tuning=EAGER)
    core.drivers(d1=35)
    core.offered()
    core.where[2] = 1
    events = core.step(m.GoOnline(command_id="2:online", driver=2))
    assert kinds(events) == ["DriverCameOnline"]
    assert core.ride().state is RideState.OFFERED


def test_a_ride_near_its_pickup_keeps_its_driver() -> None:
    core = CoreHarness(policy="batched", tuning=Tuning(rematch_interval_ms=2_000, swap_price_ms=0))
    core.drivers(d1=1)
    core.taken()
    core.where[2] = 0
    assert kinds(core.step(m.GoOnline(command_id="2:online", driver=2))) == ["DriverCameOnline"]


def test_two_rides_exchange_their_drivers_in_one_batch() -> None:
    core = CoreHarness(policy="batched", tuning=EAGER)
    core.drivers(d1=0, d2=35)
    for name, pickup in (("a", 35), ("b", 0)):
        core.step(request(name, pickup=pickup, dropoff=7))
    for name, driver in (("a", 2), ("b", 1)):
        assert core.ride(name).driver == driver
        core.step(answer(core.log_offer(name)))
    core.where.update({1: 35, 2: 0})
    orders = [event for event in core.step() if isinstance(event, m.RideReassigned)]
    assert {(order.ride, order.driver, order.moves) for order in orders} == {("a", 1, 2), ("b", 2, 2)}
    assert len({(order.batch, order.chain) for order in orders}) == 1


def test_idle_drivers_are_sent_to_where_riders_are_expected() -> None:
    core = CoreHarness(policy="batched", tuning=Tuning(reposition_interval_ms=2_000))
    core.drivers(d1=0, d2=0, d3=1, d4=0, d5=1, d6=0, d7=0, d8=0, d9=0)
    sent = [one.event for one in core.log if isinstance(one.event, m.DriverRepositioned)]
    assert len({drive.driver for drive in sent}) == len(sent) > 0
    assert all(core.city.drivers[drive.driver].bound_for == drive.to for drive in sent)
    assert kinds(core.step()) == []


def test_a_trip_has_a_length_and_a_fare() -> None:
    core = CoreHarness()
    core.drivers(d1=0)
    trip = core.on_trip()
    [done] = [e for e in core.step(report(trip, "dropped_off")) if isinstance(e, m.TripCompleted)]
    assert (done.trip_m, done.trip_s) == (2_000, 2)
    assert done.fare_cents == fare_cents(2_000, 2) == 700


def test_the_fare_follows_the_tariff() -> None:
    assert fare_cents(0, 0) == 700
    assert fare_cents(5_000, 900) == 350 + 825 + 750
    assert fare_cents(5_001, 901) == 350 + 826 + 751


def test_no_more_drivers_are_sent_at_once_than_the_policy_says() -> None:
    core = CoreHarness(policy="batched", tuning=Tuning(reposition_interval_ms=2_000, reposition_drives_max=2))
    core.drivers(**{f"d{n}": 0 for n in range(1, 20)})
    sent = [one.event for one in core.log if isinstance(one.event, m.DriverRepositioned)]
    assert len(sent) == 2
