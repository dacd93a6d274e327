# SPDX-License-Identifier: Apache-2.0
"""Drivers without a signal, and rides that no command ends."""

import pytest

from dispatcher.limits import DecisionLimits
from taxi import messages as m
from taxi.messages.states import DriverStatus, RideState
from testing.core_harness import CoreHarness, answer, kinds, offline, report, request


@pytest.fixture
def core() -> CoreHarness:
    """Driver 9 is always heard, so that silence is one driver's, not the city's."""
    core = CoreHarness()
    core.drivers(d1=0, d9=35)
    return core


def silence(core: CoreHarness, driver: int) -> int:
    return core.where.pop(driver)


def test_a_driver_who_is_not_heard_for_fifteen_seconds_is_lost_and_found_again(core: CoreHarness) -> None:
    corner = silence(core, 1)
    assert kinds(core.wait(14_000)) == []
    assert kinds(core.wait(2_000)) == ["DriverLost"]
    assert core.city.status(1) is DriverStatus.LOST
    core.where[1] = corner
    assert kinds(core.step()) == ["DriverFound"]
    assert core.city.status(1) is DriverStatus.IDLE


@pytest.mark.parametrize("stage", ["taken", "waiting_at_pickup"])
def test_a_driver_lost_before_the_pickup_gives_the_ride_back_with_its_age(
    core: CoreHarness, stage: str
) -> None:
    silence(core, 9)
    core.where[8] = 1  # keeps the city alive, but has no shift
    getattr(core, stage)()
    requested_ms = core.ride().requested_ms
    silence(core, 1)
    events = core.wait(16_000)
    assert [kind for kind in kinds(events) if kind != "DriverLost"] == ["RideReleased"]
    assert core.ride().state is RideState.REQUESTED
    assert core.ride().requested_ms == requested_ms


def test_a_driver_lost_before_the_answer_gives_the_offer_back(core: CoreHarness) -> None:
    silence(core, 1)
    core.wait(12_000)
    assert core.offered().driver == 1, "silent for less than fifteen seconds"
    events = core.wait(4_000)
    assert [kind for kind in kinds(events) if kind != "RideOffered"] == ["DriverLost", "RideReleased"]
    assert core.ride().refused == [1]


def test_a_trip_goes_on_without_a_signal_for_ten_minutes(core: CoreHarness) -> None:
    offer = core.on_trip()
    silence(core, offer.driver)
    assert kinds(core.wait(600_000)) == ["DriverLost"]
    events = core.wait(20_000)
    assert kinds(events) == ["RideCancelled"]
    assert isinstance(events[0], m.RideCancelled)
    assert (events[0].reason, events[0].driver) == ("driver_lost", offer.driver)


def test_a_lost_driver_may_still_report_the_end_of_the_trip(core: CoreHarness) -> None:
    offer = core.on_trip()
    silence(core, offer.driver)
    core.wait(30_000)
    assert kinds(core.step(report(offer, "dropped_off"))) == ["TripCompleted"]
    assert core.city.status(offer.driver) is DriverStatus.LOST


def test_a_city_that_slept_loses_no_driver(core: CoreHarness) -> None:
    core.taken()
    core.now_ms += 600_000
    assert "DriverLost" not in kinds(core.wait(60_000))


def test_a_city_in_which_only_riders_are_heard_loses_no_driver(core: CoreHarness) -> None:
    core.taken()
    everybody, core.where = core.where, {}
    events = [event for number in range(60) for event in core.step(request(f"more-{number}"))]
    assert "DriverLost" not in kinds(events)
    core.where = everybody
    assert "DriverLost" not in kinds(core.wait(10_000))
    core.where = {9: everybody[9]}
    assert "DriverLost" in kinds(core.wait(20_000))


def test_who_never_sent_a_fix_is_lost_fifteen_seconds_into_the_shift(core: CoreHarness) -> None:
    core.drivers(d2=3)
    silence(core, 2)
    assert kinds(core.wait(16_000)) == ["DriverLost"]


def test_a_driver_off_shift_is_not_missed(core: CoreHarness) -> None:
    core.step(offline(1))
    silence(core, 1)
    assert kinds(core.wait(60_000)) == []


def test_a_driver_who_never_arrives_loses_the_ride() -> None:
    core = CoreHarness(limits=DecisionLimits(pickup_ms_max=60_000))
    core.drivers(d1=0)
    core.taken()
    events = core.wait(60_000)
    assert kinds(events) == ["RideReleased"]
    assert isinstance(events[0], m.RideReleased)
    assert events[0].reason == "overdue"


def test_a_trip_whose_end_is_not_reported_ends_by_itself() -> None:
    core = CoreHarness(limits=DecisionLimits(trip_ms_max=60_000))
    core.drivers(d1=0)
    core.on_trip()
    assert kinds(core.wait(60_000)) == ["RideCancelled"]
    assert core.city.status(1) is DriverStatus.IDLE


def test_an_early_batch_only_answers(core: CoreHarness) -> None:
    offer = core.offered()
    core.now_ms = offer.expires_ms - 1_000
    core.step(after_ms=0)
    events = core.step(answer(offer, accept=False), after_ms=200)
    assert kinds(events) == ["OfferDeclined"]
    assert kinds(core.step(after_ms=1_800)) == ["RideOffered"]
