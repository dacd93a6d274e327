# SPDX-License-Identifier: Apache-2.0
"""Commands that overtake each other: in every order, over batches and restarts, a repeat is never ignored."""

from itertools import permutations, product

import pytest

from dispatcher.limits import DecisionLimits
from taxi import messages as m
from taxi.messages.states import DriverStatus, RideState
from taxi.state import CityState
from testing.core_harness import CoreHarness, answer, cancel, kinds, late, offline, online, report, request
from tests.unit.dispatcher.harness import DispatcherHarness
from tests.unit.dispatcher.test_dispatcher_shell import offer_of

BORDERS = ("none", "batch", "restart")
"""What may lie between two commands."""


def decided(
    core: CoreHarness, commands: tuple[m.AnyCommand, ...], borders: tuple[str, ...]
) -> list[m.AnyEvent]:
    """Let the commands be read in this order, with these borders between them; what answers them."""
    events: list[m.AnyEvent] = []
    batch: list[m.AnyCommand] = []
    for command, border in zip(commands, (*borders, "batch"), strict=True):
        batch.append(command)
        if border != "none":
            events += core.step(*batch)
            batch = []
        if border == "restart":
            core.city = CityState.from_bytes(core.city.to_bytes())
    return [event for event in events if event.command_id is not None]


def orders(commands: dict[str, m.AnyCommand]) -> list[object]:
    """Every order of these, with every border in every place."""
    return [
        pytest.param(tuple(commands[name] for name in names), borders, id=f"{names}-{borders}")
        for names in permutations(commands)
        for borders in product(BORDERS, repeat=len(names) - 1)
    ]


def accepted(events: list[m.AnyEvent], command: m.AnyCommand) -> int:
    return sum(
        event.command_id == command.command_id and not isinstance(event, m.CommandRejected)
        for event in events
    )


@pytest.mark.parametrize(
    ("commands", "borders"), orders({"ask": request(), "cancel": cancel(), "again": cancel()})
)
def test_a_ride_and_its_cancellation_in_every_order(
    commands: tuple[m.AnyCommand, ...], borders: tuple[str, ...]
) -> None:
    core = CoreHarness()
    events = decided(core, commands, borders)
    assert accepted(events, request()) == 1
    ends_with_a_cancel = not isinstance(commands[-1], m.RequestRide)
    assert accepted(events, cancel()) == ends_with_a_cancel
    if not ends_with_a_cancel:
        assert core.ride().state is RideState.REQUESTED
        assert kinds(core.step(cancel())) == ["RideCancelled"], "the repeat has the same id"
    assert core.ride().state is RideState.CANCELLED
    assert kinds(core.step(cancel())) == [], "what was accepted is never answered again"


@pytest.mark.parametrize("borders", list(product(BORDERS, repeat=2)))
def test_reports_that_overtake_each_other_count_when_they_are_repeated(borders: tuple[str, ...]) -> None:
    core = CoreHarness()
    core.drivers(d1=0)
    offer = core.taken()
    backwards = [report(offer, stage) for stage in ("dropped_off", "picked_up", "arrived")]
    for last in (3, 2, 1):
        events = decided(core, tuple(backwards[:last]), borders[: last - 1])
        assert [accepted(events, one) for one in backwards[:last]] == [0] * (last - 1) + [1]
    assert core.ride().state is RideState.COMPLETED


@pytest.mark.parametrize("borders", list(product(BORDERS, repeat=2)))
def test_an_answer_before_its_offer_counts_when_it_is_repeated(borders: tuple[str, ...]) -> None:
    early = m.AnswerOffer(command_id="yes", driver=1, ride="r1", attempt=1, accept=True)
    core = CoreHarness()
    core.drivers(d1=0)
    is_after_the_offer = borders[1] != "none"
    assert accepted(decided(core, (early, request(), early), borders), early) == is_after_the_offer
    assert kinds(core.step(early)) == ([] if is_after_the_offer else ["RideAssigned"])


@pytest.mark.parametrize("border", BORDERS)
def test_a_driver_that_ends_a_shift_before_it_began_may_say_so_again(border: str) -> None:
    core = CoreHarness()
    events = decided(core, (offline(1), online(1)), (border,))
    assert accepted(events, online(1)) == 1
    assert core.city.status(1) is DriverStatus.IDLE
    assert kinds(core.step(offline(1))) == ["DriverWentOffline"]
    assert kinds(core.step(online(1), offline(1))) == [], "both were accepted once"


def test_a_no_show_that_was_reported_too_early_counts_later() -> None:
    core = CoreHarness(limits=DecisionLimits(no_show_ms=60_500))
    core.drivers(d1=0)
    offer = core.waiting_at_pickup()
    early = report(offer, "no_show")
    assert [event.reason for event in core.step(early) if isinstance(event, m.CommandRejected)] == [
        "too_early"
    ]
    core.now_ms = core.ride().arrived_ms + 58_000
    assert kinds(core.step()) == []
    [event] = core.step(early, after_ms=600)
    assert (m.tag_of(event), event.command_id) == ("RideNoShow", early.command_id)


def test_a_request_that_lay_unread_for_as_long_as_a_rider_waits_is_not_served_but_may_be_repeated() -> None:
    core = CoreHarness()
    core.drivers(d1=0)
    patience_ms = core.decision_config.limits.patience_ms
    asked_ms = core.now_ms
    core.now_ms += patience_ms
    [event] = core.decide(late(core.batch_input(request()), asked_ms))
    assert isinstance(event, m.CommandRejected)
    assert event.reason == "patience_over"
    core.now_ms += 1_000
    assert kinds(core.decide(late(core.batch_input(request()), asked_ms + 1_001)))[:1] == ["RideRequested"]


def test_a_request_that_lay_unread_for_an_hour_may_be_repeated() -> None:
    core = CoreHarness()
    asked_ms = core.now_ms
    core.now_ms += 3_600_000
    [event] = core.decide(late(core.batch_input(request()), asked_ms))
    assert isinstance(event, m.CommandRejected)
    assert event.reason == "too_old"
    assert kinds(core.step(request()))[:1] == ["RideRequested"]


def test_what_was_rejected_for_good_is_not_answered_again() -> None:
    core = CoreHarness()
    core.drivers(d1=0)
    offer = core.on_trip()
    for command in (cancel(), request(command_id="other"), online(1, "again"), answer(offer, accept=False)):
        assert kinds(core.step(command)) == ["CommandRejected"]
        assert kinds(core.step(command)) == []
    core.step(report(offer, "dropped_off"))
    assert kinds(core.step(cancel())) == []


def test_a_cancellation_before_its_ride_is_effective_after_a_dispatcher_died_between_them() -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.say(cancel())
        await harness.until(lambda: bool(harness.answers("r1:cancel")))
        harness.loop.kill(harness.dispatchers[0][0])
        harness.say(request())
        harness.start()
        await offer_of(harness, "r1")
        harness.say(cancel())
        await harness.until(lambda: harness.city().rides["r1"].state is RideState.CANCELLED)
        assert [m.tag_of(event) for event in harness.answers("r1:cancel")] == [
            "CommandRejected",
            "RideCancelled",
        ]

    DispatcherHarness().run(scenario)


def test_repeats_in_one_batch_are_put_off_once() -> None:
    """No two events of a log are the same."""
    assert kinds(CoreHarness().step(cancel(), cancel(), cancel())) == ["CommandRejected"]
    assert kinds(CoreHarness().step(cancel(), request(), cancel()))[:3] == [
        "CommandRejected",
        "RideRequested",
        "RideCancelled",
    ]
