# SPDX-License-Identifier: Apache-2.0
"""Time limits: none overtakes a command that was given in time, and no batch acts on all at once."""

import pytest

from dispatcher.limits import DecisionLimits
from taxi import messages as m
from testing.core_harness import CoreHarness, answer, cancel, kinds, late, online, report, request

LIMITS = DecisionLimits()


@pytest.fixture
def core() -> CoreHarness:
    core = CoreHarness()
    core.drivers(d1=0)
    return core


def offered(core: CoreHarness) -> tuple[int, m.AnyCommand]:
    offer = core.offered()
    return offer.expires_ms, answer(offer)


def fetched(core: CoreHarness) -> tuple[int, m.AnyCommand]:
    offer = core.taken()
    return core.ride().assigned_ms + LIMITS.pickup_ms_max, report(offer, "arrived")


def waited_for(core: CoreHarness) -> tuple[int, m.AnyCommand]:
    offer = core.waiting_at_pickup()
    return core.ride().arrived_ms + LIMITS.no_show_ms, report(offer, "picked_up")


def driven(core: CoreHarness) -> tuple[int, m.AnyCommand]:
    offer = core.on_trip()
    return core.ride().started_ms + LIMITS.trip_ms_max, report(offer, "dropped_off")


def wanted(core: CoreHarness) -> tuple[int, m.AnyCommand]:
    core.step(request())
    core.where.clear()
    return core.ride().requested_ms + LIMITS.patience_ms, cancel()


STAGES = {
    offered: ("RideAssigned", "OfferExpired"),
    fetched: ("DriverArrived", "RideReleased"),
    waited_for: ("TripStarted", "RideNoShow"),
    driven: ("TripCompleted", "RideCancelled"),
}
"""Stage → what becomes of a report in time, and without."""


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
@pytest.mark.parametrize("left_ms", [1, 0])
def test_what_was_said_before_the_time_was_over_counts(
    core: CoreHarness, stage: object, left_ms: int
) -> None:
    """The dispatcher was away for long, and finds the command and the limit in one batch."""
    due_ms, command = stage(core)  # type: ignore[operator]
    core.now_ms = due_ms + 1_000
    events = core.decide(late(core.batch_input(command), due_ms - left_ms))
    in_time, by_itself = STAGES[stage]  # type: ignore[index]
    assert (in_time in kinds(events), by_itself in kinds(events)) == (left_ms > 0, left_ms == 0)


def test_a_rider_who_cancels_in_time_has_cancelled() -> None:
    core = CoreHarness()
    due_ms, command = wanted(core)
    core.now_ms = due_ms + 1_000
    assert kinds(core.decide(late(core.batch_input(command), due_ms - 1))) == ["RideCancelled"]


def test_a_command_that_changes_nothing_holds_a_limit_up_for_one_batch_only(core: CoreHarness) -> None:
    due_ms, _ = waited_for(core)
    nonsense = report(core.log_offer(), "dropped_off")
    core.now_ms = due_ms + 1_000
    assert kinds(core.decide(late(core.batch_input(nonsense), due_ms - 1))) == ["CommandRejected"]
    assert kinds(core.step()) == ["RideNoShow"]


@pytest.mark.parametrize("behind", [True, False])
def test_while_commands_are_unread_limits_are_judged_as_of_the_last_one_read(
    core: CoreHarness, behind: bool
) -> None:
    due_ms, _ = waited_for(core)
    core.now_ms = due_ms + 60_000
    batch_input = late(core.batch_input(online(2), behind=behind), due_ms - 1)
    assert ("RideNoShow" in kinds(core.decide(batch_input))) is not behind
    core.now_ms += 2_000
    later = late(core.batch_input(online(3), behind=True), due_ms)
    assert ("RideNoShow" in kinds(core.decide(later))) is behind


def test_a_dispatcher_that_has_read_no_command_ends_nothing(core: CoreHarness) -> None:
    due_ms, _ = waited_for(core)
    core.now_ms = due_ms + 60_000
    assert kinds(core.decide(core.batch_input(behind=True))) == []


def test_what_is_overdue_longest_ends_first_and_the_rest_in_the_next_batches() -> None:
    core = CoreHarness(limits=DecisionLimits(timeouts_max=3))
    names = ["e", "d", "c", "b", "a", "h", "g", "f"]
    for name in names:
        core.step(request(name))
    core.now_ms = core.ride("f").requested_ms + LIMITS.patience_ms
    ended = [[event.ride for event in core.step() if isinstance(event, m.RideExpired)] for _ in range(4)]
    assert ended == [["c", "d", "e"], ["a", "b", "h"], ["f", "g"], []]


def test_drivers_are_lost_a_bounded_number_at_a_time() -> None:
    core = CoreHarness(limits=DecisionLimits(timeouts_max=3))
    core.drivers(d9=0)
    core.step(*(online(number) for number in range(20, 28)))
    core.wait(14_000)
    lost = [[event.driver for event in core.step() if isinstance(event, m.DriverLost)] for _ in range(4)]
    assert lost == [[20, 21, 22], [23, 24, 25], [26, 27], []]


@pytest.mark.parametrize("left_ms", [1, 0])
def test_a_rider_who_cancels_after_the_offer_lapsed_and_in_time_has_cancelled(left_ms: int) -> None:
    """Two limits of one ride have passed: the command came after the first and before the second."""
    core = CoreHarness(limits=DecisionLimits(patience_ms=20_000))
    core.drivers(d1=0)
    offer = core.offered()
    due_ms = core.ride().requested_ms + 20_000
    assert offer.expires_ms < due_ms
    core.now_ms = due_ms + 1_000
    said = kinds(core.decide(late(core.batch_input(cancel()), due_ms - left_ms)))
    assert said == [
        "OfferExpired",
        "RideCancelled" if left_ms else "RideExpired",
        *["CommandRejected"] * (not left_ms),
    ]
