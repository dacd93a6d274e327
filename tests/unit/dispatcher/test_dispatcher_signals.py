# SPDX-License-Identifier: Apache-2.0
"""Drivers who fall silent, and rides that nobody would ever end."""

import pytest

from dispatcher.limits import Limits
from taxi import messages as m
from taxi.states import DriverStatus, RideState
from tests.unit.dispatcher.town import Town, answer, kinds, offline, report, request


@pytest.fixture
def town() -> Town:
    """Driver 9 is always heard, so that silence is one driver's, not the city's."""
    town = Town()
    town.drivers(d1=0, d9=35)
    return town


def silence(town: Town, driver: int) -> int:
    return town.where.pop(driver)


def test_a_driver_who_is_not_heard_for_fifteen_seconds_is_lost_and_found_again(town: Town) -> None:
    corner = silence(town, 1)
    assert kinds(town.wait(14_000)) == []
    assert kinds(town.wait(2_000)) == ["DriverLost"]
    assert town.city.status(1) is DriverStatus.LOST
    town.where[1] = corner
    assert kinds(town.step()) == ["DriverFound"]
    assert town.city.status(1) is DriverStatus.IDLE


@pytest.mark.parametrize("stage", ["taken", "waiting_at_pickup"])
def test_a_driver_lost_before_the_pickup_gives_the_ride_back_with_its_age(town: Town, stage: str) -> None:
    silence(town, 9)
    town.where[8] = 1  # keeps the city alive, but has no shift
    getattr(town, stage)()
    requested_ms = town.ride().requested_ms
    silence(town, 1)
    events = town.wait(16_000)
    assert [kind for kind in kinds(events) if kind != "DriverLost"] == ["RideReleased"]
    assert town.ride().state is RideState.REQUESTED
    assert town.ride().requested_ms == requested_ms


def test_a_driver_lost_before_the_answer_gives_the_offer_back(town: Town) -> None:
    silence(town, 1)
    town.wait(12_000)
    assert town.offered().driver == 1, "silent for less than fifteen seconds"
    events = town.wait(4_000)
    assert [kind for kind in kinds(events) if kind != "RideOffered"] == ["DriverLost", "RideReleased"]
    assert town.ride().refused == [1]


def test_a_trip_goes_on_without_a_signal_for_ten_minutes(town: Town) -> None:
    offer = town.on_trip()
    silence(town, offer.driver)
    assert kinds(town.wait(600_000)) == ["DriverLost"]
    events = town.wait(20_000)
    assert kinds(events) == ["RideCancelled"]
    assert isinstance(events[0], m.RideCancelled)
    assert (events[0].reason, events[0].driver) == ("driver_lost", offer.driver)


def test_a_lost_driver_may_still_report_the_end_of_the_trip(town: Town) -> None:
    offer = town.on_trip()
    silence(town, offer.driver)
    town.wait(30_000)
    assert kinds(town.step(report(offer, "dropped_off"))) == ["TripCompleted"]
    assert town.city.status(offer.driver) is DriverStatus.LOST


def test_a_city_that_slept_loses_nobody(town: Town) -> None:
    town.taken()
    town.now_ms += 600_000
    assert "DriverLost" not in kinds(town.wait(60_000))


def test_a_city_in_which_only_riders_are_heard_loses_nobody(town: Town) -> None:
    town.taken()
    everybody, town.where = town.where, {}
    events = [event for number in range(60) for event in town.step(request(f"more-{number}"))]
    assert "DriverLost" not in kinds(events)
    town.where = everybody
    assert "DriverLost" not in kinds(town.wait(10_000))
    town.where = {9: everybody[9]}
    assert "DriverLost" in kinds(town.wait(20_000))


def test_who_never_sent_a_fix_is_lost_fifteen_seconds_into_the_shift(town: Town) -> None:
    town.drivers(d2=3)
    silence(town, 2)
    assert kinds(town.wait(16_000)) == ["DriverLost"]


def test_nobody_misses_a_driver_off_shift(town: Town) -> None:
    town.step(offline(1))
    silence(town, 1)
    assert kinds(town.wait(60_000)) == []


def test_a_driver_who_never_arrives_loses_the_ride() -> None:
    town = Town(limits=Limits(pickup_ms_max=60_000))
    town.drivers(d1=0)
    town.taken()
    events = town.wait(60_000)
    assert kinds(events) == ["RideReleased"]
    assert isinstance(events[0], m.RideReleased)
    assert events[0].reason == "overdue"


def test_a_trip_whose_end_nobody_reports_ends_by_itself() -> None:
    town = Town(limits=Limits(trip_ms_max=60_000))
    town.drivers(d1=0)
    town.on_trip()
    assert kinds(town.wait(60_000)) == ["RideCancelled"]
    assert town.city.status(1) is DriverStatus.IDLE


def test_an_early_batch_only_answers(town: Town) -> None:
    offer = town.offered()
    town.now_ms = offer.expires_ms - 1_000
    town.step(after_ms=0)
    events = town.step(answer(offer, accept=False), after_ms=200)
    assert kinds(events) == ["OfferDeclined"]
    assert kinds(town.step(after_ms=1_800)) == ["RideOffered"]
