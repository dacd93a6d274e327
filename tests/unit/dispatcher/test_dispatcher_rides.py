# SPDX-License-Identifier: Apache-2.0
"""The states of a ride: commands, and the events that the dispatcher decides."""

import pytest

from dispatcher.limits import DecisionLimits
from taxi import messages as m
from taxi.messages.states import DriverStatus, RideState
from taxi.state import REMEMBERED_MS
from testing.core_harness import (
    FAR_AWAY,
    START_MS,
    CoreHarness,
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
def core() -> CoreHarness:
    return CoreHarness()


def reasons(events: list[m.AnyEvent]) -> list[str]:
    return [event.reason for event in events if isinstance(event, m.CommandRejected)]


def test_a_ride_from_request_to_drop_off(core: CoreHarness) -> None:
    core.drivers(d1=3)
    offer = core.offered()
    assert (offer.driver, offer.attempt, offer.expires_ms) == (1, 1, core.now_ms + 12_000)
    assert core.city.status(1) is DriverStatus.OFFERED
    answers = [core.step(answer(offer))]
    answers += [core.step(report(offer, stage)) for stage in ("arrived", "picked_up", "dropped_off")]
    assert [kinds(events) for events in answers] == [
        ["RideAssigned"],
        ["DriverArrived"],
        ["TripStarted"],
        ["TripCompleted"],
    ]
    ride = core.ride()
    assert ride.state is RideState.COMPLETED
    assert ride.requested_ms < ride.assigned_ms < ride.arrived_ms < ride.started_ms < ride.ended_ms
    assert core.city.status(1) is DriverStatus.IDLE
    assert core.city.totals.completed == 1


def test_a_declined_ride_keeps_its_age_and_goes_to_someone_else(core: CoreHarness) -> None:
    core.drivers(d1=0, d2=30)
    offer = core.offered()
    assert offer.driver == 1
    requested_ms = core.ride().requested_ms
    events = core.step(answer(offer, accept=False))
    assert kinds(events) == ["OfferDeclined", "RideOffered"]
    assert core.ride().requested_ms == requested_ms
    assert (core.ride().driver, core.ride().attempt) == (2, 2)


def test_a_driver_who_refused_is_not_asked_again(core: CoreHarness) -> None:
    core.drivers(d1=0)
    core.step(answer(core.offered(), accept=False))
    assert kinds(core.wait(60_000)) == []


def test_an_offer_without_an_answer_expires_after_twelve_seconds(core: CoreHarness) -> None:
    core.drivers(d1=0)
    core.offered()
    assert kinds(core.wait(10_000)) == []
    assert kinds(core.wait(2_000)) == ["OfferExpired"]
    assert core.ride().state is RideState.REQUESTED


def test_an_answer_to_an_older_offer_is_stale(core: CoreHarness) -> None:
    core.drivers(d1=0)
    offer = core.offered()
    assert reasons(core.step(answer(offer, attempt=7))) == ["too_early"]
    core.wait(12_000)
    assert reasons(core.step(answer(offer))) == ["stale_offer"]


def test_no_free_driver_means_waiting_and_in_the_end_giving_up(core: CoreHarness) -> None:
    core.step(request())
    assert kinds(core.wait(598_000)) == []
    assert kinds(core.wait(2_000)) == ["RideExpired"]


@pytest.mark.parametrize("by", ["saying no", "saying nothing"])
def test_a_ride_without_patience_left_is_not_offered_again(by: str) -> None:
    core = CoreHarness(limits=DecisionLimits(patience_ms=8_000))
    core.drivers(d1=0, d2=1)
    offer = core.offered()
    assert kinds(core.wait(8_000)) == []
    if by == "saying no":
        assert kinds(core.step(answer(offer, accept=False))) == ["OfferDeclined"]
    assert kinds(core.wait(4_000))[-1] == "RideExpired"
    assert core.ride().attempt == 1


@pytest.mark.parametrize("stage", ["offered", "taken", "waiting_at_pickup"])
def test_a_rider_may_cancel_until_the_trip_begins(core: CoreHarness, stage: str) -> None:
    core.drivers(d1=0)
    getattr(core, stage)()
    [event] = core.step(cancel())
    assert isinstance(event, m.RideCancelled)
    assert (event.driver, event.reason) == (1, "rider")
    assert core.city.status(1) is DriverStatus.IDLE


def test_what_comes_too_late_to_be_cancelled(core: CoreHarness) -> None:
    core.drivers(d1=0)
    offer = core.on_trip()
    assert reasons(core.step(cancel())) == ["on_trip"]
    core.step(report(offer, "dropped_off"))
    assert reasons(core.step(cancel(command_id="again"))) == ["ended"]
    assert reasons(core.step(cancel("nobody-knows"))) == ["unknown_ride"]


def test_a_driver_waits_three_hundred_seconds_and_no_more(core: CoreHarness) -> None:
    core.drivers(d1=0)
    offer = core.waiting_at_pickup()
    assert reasons(core.step(report(offer, "no_show"))) == ["too_early"]
    assert kinds(core.wait(296_000)) == []
    assert kinds(core.wait(2_000)) == ["RideNoShow"]
    assert core.city.totals.no_show == 1


def test_a_shift_that_ends_during_a_ride_ends_after_it(core: CoreHarness) -> None:
    core.drivers(d1=0)
    offer = core.on_trip()
    assert kinds(core.step(offline(1))) == ["DriverWentOffline"]
    assert core.city.status(1) is DriverStatus.ON_TRIP
    core.step(report(offer, "dropped_off"))
    assert core.city.status(1) is DriverStatus.OFFLINE
    assert kinds(core.step(request("r2"))) == ["RideRequested"]


def test_who_changes_his_mind_during_a_ride_stays(core: CoreHarness) -> None:
    core.drivers(d1=0)
    offer = core.on_trip()
    core.step(offline(1))
    assert kinds(core.step(online(1, "back"))) == ["DriverCameOnline"]
    core.step(report(offer, "dropped_off"))
    assert core.city.status(1) is DriverStatus.IDLE


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
def test_a_request_that_makes_no_sense(core: CoreHarness, changes: dict[str, object], reason: str) -> None:
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
    assert reasons(core.step(command)) == [reason]
    assert not core.city.rides


def test_a_ride_id_is_used_once(core: CoreHarness) -> None:
    assert reasons(core.step(request(), request(command_id="another"))) == ["ride_exists"]


def test_shifts_begin_once_and_end_once(core: CoreHarness) -> None:
    assert reasons(core.step(online(1), online(1, "again"))) == ["already_online"]
    assert reasons(core.step(offline(1), offline(2))) == ["not_online"]
    assert reasons(core.step(online(0), online(2**32))) == ["bad_driver", "bad_driver"]


@pytest.mark.parametrize(
    ("stage", "reason"),
    [("picked_up", "too_early"), ("dropped_off", "too_early"), ("?", "unknown_stage")],
)
def test_a_report_out_of_turn(core: CoreHarness, stage: str, reason: str) -> None:
    core.drivers(d1=0)
    assert reasons(core.step(report(core.taken(), stage))) == [reason]


def test_every_command_is_answered_by_its_id_and_a_repeat_by_nothing(core: CoreHarness) -> None:
    [event] = core.step(request())
    assert event.command_id == "r1:request"
    assert kinds(core.step(request(), request())) == []


def test_a_command_that_lay_about_for_an_hour_is_too_old(core: CoreHarness) -> None:
    core.now_ms += 4_000_000
    events = core.decide(late(core.batch_input(request()), START_MS))
    assert reasons(events) == ["too_old"]


def test_a_repeat_after_its_id_was_forgotten_is_too_old_however_young_its_record_is(
    core: CoreHarness,
) -> None:
    asked = request(asked_ms=core.now_ms)
    core.step(asked)
    core.wait(REMEMBERED_MS // 2)
    assert kinds(core.step(asked)) == [], "its id is remembered"
    core.wait(REMEMBERED_MS // 2)
    assert "r1:request" not in core.city.commands
    assert reasons(core.step(asked)) == ["too_old"]
    assert "r1" not in core.city.rides


@pytest.mark.parametrize("ahead_ms", [-60_000, 0, 60_000])
def test_between_remembered_and_too_old_there_is_no_gap_for_clocks_within_a_minute(
    core: CoreHarness, ahead_ms: int
) -> None:
    asked = online(1, asked_ms=core.now_ms + ahead_ms)
    core.step(asked)
    for _ in range(REMEMBERED_MS // 10_000 + 10):
        core.wait(8_000)
        assert kinds(core.step(asked)) in ([], ["CommandRejected"]), "never decided again"


def test_a_rejection_repeats_no_more_than_forty_characters_of_a_ride_id(core: CoreHarness) -> None:
    core.now_ms += 4_000_000
    [event] = core.decide(late(core.batch_input(request("x" * 5000)), START_MS))
    assert isinstance(event, m.CommandRejected)
    assert event.subject == "x" * 40
