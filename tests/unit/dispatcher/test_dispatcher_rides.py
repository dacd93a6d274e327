# SPDX-License-Identifier: Apache-2.0
"""The life of a ride, told by what people say and what the dispatcher decides."""

import pytest

from dispatcher.limits import Limits
from taxi import messages as m
from taxi.city import REMEMBERED_MS
from taxi.states import DriverStatus, RideState
from tests.unit.dispatcher.town import (
    FAR_AWAY,
    START_MS,
    Town,
    answer,
    cancel,
    kinds,
    late,
    offline,
    online,
    report,
    request,
)


@pytest.fixture
def town() -> Town:
    return Town()


def reasons(events: list[m.AnyEvent]) -> list[str]:
    return [event.reason for event in events if isinstance(event, m.CommandRejected)]


def test_a_ride_from_request_to_drop_off(town: Town) -> None:
    town.drivers(d1=3)
    offer = town.offered()
    assert (offer.driver, offer.attempt, offer.expires_ms) == (1, 1, town.now_ms + 12_000)
    assert town.city.status(1) is DriverStatus.OFFERED
    told = [town.step(answer(offer))]
    told += [town.step(report(offer, stage)) for stage in ("arrived", "picked_up", "dropped_off")]
    assert [kinds(events) for events in told] == [
        ["RideAssigned"],
        ["DriverArrived"],
        ["TripStarted"],
        ["TripCompleted"],
    ]
    ride = town.ride()
    assert ride.state is RideState.COMPLETED
    assert ride.requested_ms < ride.assigned_ms < ride.arrived_ms < ride.started_ms < ride.ended_ms
    assert town.city.status(1) is DriverStatus.IDLE
    assert town.city.totals.completed == 1


def test_a_declined_ride_keeps_its_age_and_goes_to_someone_else(town: Town) -> None:
    town.drivers(d1=0, d2=30)
    offer = town.offered()
    assert offer.driver == 1
    requested_ms = town.ride().requested_ms
    events = town.step(answer(offer, accept=False))
    assert kinds(events) == ["OfferDeclined", "RideOffered"]
    assert town.ride().requested_ms == requested_ms
    assert (town.ride().driver, town.ride().attempt) == (2, 2)


def test_a_driver_who_refused_is_not_asked_again(town: Town) -> None:
    town.drivers(d1=0)
    town.step(answer(town.offered(), accept=False))
    assert kinds(town.wait(60_000)) == []


def test_an_offer_without_an_answer_expires_after_twelve_seconds(town: Town) -> None:
    town.drivers(d1=0)
    town.offered()
    assert kinds(town.wait(10_000)) == []
    assert kinds(town.wait(2_000)) == ["OfferExpired"]
    assert town.ride().state is RideState.REQUESTED


def test_an_answer_to_an_older_offer_is_stale(town: Town) -> None:
    town.drivers(d1=0)
    offer = town.offered()
    assert reasons(town.step(answer(offer, attempt=7))) == ["stale_offer"]
    town.wait(12_000)
    assert reasons(town.step(answer(offer))) == ["stale_offer"]


def test_nobody_free_means_waiting_and_in_the_end_giving_up(town: Town) -> None:
    town.step(request())
    assert kinds(town.wait(598_000)) == []
    assert kinds(town.wait(2_000)) == ["RideExpired"]


@pytest.mark.parametrize("by", ["saying no", "saying nothing"])
def test_a_ride_without_patience_left_is_not_offered_again(by: str) -> None:
    town = Town(limits=Limits(patience_ms=8_000))
    town.drivers(d1=0, d2=1)
    offer = town.offered()
    assert kinds(town.wait(8_000)) == []
    if by == "saying no":
        assert kinds(town.step(answer(offer, accept=False))) == ["OfferDeclined"]
    assert kinds(town.wait(4_000))[-1] == "RideExpired"
    assert town.ride().attempt == 1


@pytest.mark.parametrize("stage", ["offered", "taken", "waiting_at_pickup"])
def test_a_rider_may_cancel_until_the_trip_begins(town: Town, stage: str) -> None:
    town.drivers(d1=0)
    getattr(town, stage)()
    [event] = town.step(cancel())
    assert isinstance(event, m.RideCancelled)
    assert (event.driver, event.reason) == (1, "rider")
    assert town.city.status(1) is DriverStatus.IDLE


def test_what_comes_too_late_to_be_cancelled(town: Town) -> None:
    town.drivers(d1=0)
    offer = town.on_trip()
    assert reasons(town.step(cancel())) == ["on_trip"]
    town.step(report(offer, "dropped_off"))
    assert reasons(town.step(cancel(command_id="again"))) == ["ended"]
    assert reasons(town.step(cancel("nobody-knows"))) == ["unknown_ride"]


def test_a_driver_waits_three_hundred_seconds_and_no_more(town: Town) -> None:
    town.drivers(d1=0)
    offer = town.waiting_at_pickup()
    assert reasons(town.step(report(offer, "no_show"))) == ["too_early"]
    assert kinds(town.wait(296_000)) == []
    assert kinds(town.wait(2_000)) == ["RideNoShow"]
    assert town.city.totals.no_show == 1


def test_a_shift_that_ends_during_a_ride_ends_after_it(town: Town) -> None:
    town.drivers(d1=0)
    offer = town.on_trip()
    assert kinds(town.step(offline(1))) == ["DriverWentOffline"]
    assert town.city.status(1) is DriverStatus.ON_TRIP
    town.step(report(offer, "dropped_off"))
    assert town.city.status(1) is DriverStatus.OFFLINE
    assert kinds(town.step(request("r2"))) == ["RideRequested"]


def test_who_changes_his_mind_during_a_ride_stays(town: Town) -> None:
    town.drivers(d1=0)
    offer = town.on_trip()
    town.step(offline(1))
    assert kinds(town.step(online(1, "back"))) == ["DriverCameOnline"]
    town.step(report(offer, "dropped_off"))
    assert town.city.status(1) is DriverStatus.IDLE


BESIDE = (request().pickup[0] + 1e-4, request().pickup[1])
"""A few steps away, at the same corner."""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pickup": FAR_AWAY}, "outside_city"),
        ({"dropoff": FAR_AWAY}, "outside_city"),
        ({"pickup": (float("nan"), 40.75)}, "outside_city"),
        ({"dropoff": (-73.98, float("inf"))}, "outside_city"),
        ({"dropoff": request().pickup}, "same_corner"),
        ({"dropoff": BESIDE}, "same_corner"),
        ({"ride": "a b"}, "bad_ride_id"),
        ({"ride": ""}, "bad_ride_id"),
        ({"ride": "x" * 41}, "bad_ride_id"),
    ],
)
def test_a_request_that_makes_no_sense(town: Town, changes: dict[str, object], reason: str) -> None:
    command = m.RequestRide(
        **{
            "command_id": "c",
            "ride": "r1",
            "rider": "ann",
            "pickup": request().pickup,
            "dropoff": request().dropoff,
            **changes,  # type: ignore[arg-type]
        }
    )
    assert reasons(town.step(command)) == [reason]
    assert not town.city.rides


def test_a_ride_id_is_used_once(town: Town) -> None:
    assert reasons(town.step(request(), request(command_id="another"))) == ["ride_exists"]


def test_shifts_begin_once_and_end_once(town: Town) -> None:
    assert reasons(town.step(online(1), online(1, "again"))) == ["already_online"]
    assert reasons(town.step(offline(1), offline(2))) == ["not_online"]
    assert reasons(town.step(online(0), online(2**32))) == ["bad_driver", "bad_driver"]


@pytest.mark.parametrize(
    ("stage", "reason"),
    [("picked_up", "stale_report"), ("dropped_off", "stale_report"), ("?", "unknown_stage")],
)
def test_a_report_out_of_turn(town: Town, stage: str, reason: str) -> None:
    town.drivers(d1=0)
    assert reasons(town.step(report(town.taken(), stage))) == [reason]


def test_every_command_is_answered_by_its_id_and_a_repeat_by_nothing(town: Town) -> None:
    [event] = town.step(request())
    assert event.command_id == "r1:request"
    assert kinds(town.step(request(), request())) == []


def test_a_command_that_lay_about_for_an_hour_is_too_old(town: Town) -> None:
    town.now_ms += 4_000_000
    events = town.decide(late(town.cut(request()), START_MS))
    assert reasons(events) == ["too_old"]


def test_a_repeat_after_its_id_was_forgotten_is_too_old_however_young_its_record_is(town: Town) -> None:
    asked = request(asked_ms=town.now_ms)
    town.step(asked)
    town.wait(REMEMBERED_MS // 2)
    assert kinds(town.step(asked)) == [], "its id is remembered"
    town.wait(REMEMBERED_MS // 2)
    assert "r1:request" not in town.city.commands
    assert reasons(town.step(asked)) == ["too_old"]
    assert "r1" not in town.city.rides


@pytest.mark.parametrize("ahead_ms", [-60_000, 0, 60_000])
def test_between_remembered_and_too_old_there_is_no_gap_for_clocks_within_a_minute(
    town: Town, ahead_ms: int
) -> None:
    asked = online(1, asked_ms=town.now_ms + ahead_ms)
    town.step(asked)
    for _ in range(REMEMBERED_MS // 10_000 + 10):
        town.wait(8_000)
        assert kinds(town.step(asked)) in ([], ["CommandRejected"]), "never decided again"


def test_a_rejection_repeats_no_more_than_forty_characters_of_a_ride_id(town: Town) -> None:
    town.now_ms += 4_000_000
    [event] = town.decide(late(town.cut(request("x" * 5000)), START_MS))
    assert isinstance(event, m.CommandRejected)
    assert event.subject == "x" * 40
