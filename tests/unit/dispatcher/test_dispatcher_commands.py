# SPDX-License-Identifier: Apache-2.0
"""Every command in every state of a ride or driver: what accepts it, or why it is refused."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dispatcher.limits import DecisionLimits
from taxi import messages as m
from testing.core_harness import CoreHarness, cancel, offline, online, report, request

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "messages.md").read_text()
ME, OTHER = 1, 2
EARLY_MS = 100
"""So soon after the batch before, a batch only answers: no timer and no policy has a say."""

Stage = Callable[[CoreHarness], object]


def waits(core: CoreHarness) -> None:
    """For a driver who is off shift by now."""
    core.step(offline(ME))
    core.step(request())


def ordered(core: CoreHarness) -> None:
    waits(core)
    core.step(online(ME, "back"), after_ms=EARLY_MS)
    at: dict[str, Any] = {"batch": core.city.batch + 1, "at_ms": core.city.now_ms}
    core.city.apply(m.RideReassigned(**at, ride="r1", driver=ME, attempt=1, eta_s=60))


def ordered_and_there(core: CoreHarness) -> None:
    ordered(core)
    core.step(said("arrived", command_id="before"), after_ms=EARLY_MS)


def waited_long(core: CoreHarness) -> None:
    core.taken()
    offer = core.log_offer()
    core.step(report(offer, "arrived"), after_ms=1_000)
    core.step(after_ms=core.decision_config.limits.no_show_ms - EARLY_MS)


def completed(core: CoreHarness) -> None:
    core.step(report(core.on_trip(), "dropped_off"))


def cancelled(core: CoreHarness) -> None:
    core.taken()
    core.step(cancel(command_id="before"))


def expired(core: CoreHarness) -> None:
    waits(core)
    core.wait(core.decision_config.limits.patience_ms)


STAGES: dict[str, Stage] = {
    "unknown": lambda _: None,
    "waits": waits,
    "offered": CoreHarness.offered,
    "accepted": CoreHarness.taken,
    "ordered": ordered,
    "at pickup": CoreHarness.waiting_at_pickup,
    "at pickup by order": ordered_and_there,
    "waited long": waited_long,
    "on trip": CoreHarness.on_trip,
    "completed": completed,
    "cancelled": cancelled,
    "no-show": lambda core: (core.waiting_at_pickup(), core.wait(core.decision_config.limits.no_show_ms)),
    "expired": expired,
}
AT_PICKUP = ("at pickup", "at pickup by order")
TOO_EARLY = dict.fromkeys(("offered", "accepted", "ordered"), "too_early")
BEFORE = {"unknown": "unknown_ride", "waits": "too_early"}
"""Of what is said about an attempt that is still to come."""
ENDS = dict.fromkeys(("completed", "cancelled", "no-show", "expired"), "ended")

ACCEPTED: dict[str, tuple[str, dict[str, str]]] = {
    "request": ("ride_exists", {"unknown": "RideRequested"}),
    "cancel": (
        "RideCancelled",
        {"unknown": "unknown_ride", "on trip": "on_trip", **ENDS},
    ),
    "yes": ("stale_offer", {"offered": "RideAssigned", **BEFORE}),
    "no": ("stale_offer", {"offered": "OfferDeclined", "ordered": "RideReleased", **BEFORE}),
    "arrived": (
        "stale_report",
        {"accepted": "DriverArrived", "ordered": "DriverArrived", "offered": "too_early", **BEFORE},
    ),
    "picked_up": (
        "stale_report",
        {**dict.fromkeys((*AT_PICKUP, "waited long"), "TripStarted"), **TOO_EARLY, **BEFORE},
    ),
    "no_show": (
        "stale_report",
        {**dict.fromkeys(AT_PICKUP, "too_early"), "waited long": "RideNoShow", **TOO_EARLY, **BEFORE},
    ),
    "dropped_off": (
        "stale_report",
        {
            "on trip": "TripCompleted",
            **dict.fromkeys((*AT_PICKUP, "waited long"), "too_early"),
            **TOO_EARLY,
            **BEFORE,
        },
    ),
    "nonsense": ("unknown_stage", {}),
}
"""What is said → its outcome in every stage, but for those named."""


def said(word: str, driver: int = ME, attempt: int = 1, command_id: str = "said") -> m.AnyCommand:
    who: dict[str, Any] = {"command_id": command_id, "driver": driver, "ride": "r1", "attempt": attempt}
    match word:
        case "request":
            return request(command_id="said")
        case "cancel":
            return cancel(command_id="said")
        case "yes" | "no":
            return m.AnswerOffer(**who, accept=word == "yes")
        case _:
            return m.ReportProgress(**who, stage=word)


def outcome(core: CoreHarness, command: m.AnyCommand) -> str:
    [event] = [e for e in core.step(command, after_ms=EARLY_MS) if e.command_id == "said"]
    return event.reason if isinstance(event, m.CommandRejected) else m.tag_of(event)


def core_at(stage: str) -> CoreHarness:
    core = CoreHarness(limits=DecisionLimits(patience_ms=20_000, no_show_ms=20_000))
    core.drivers(d1=0)
    STAGES[stage](core)
    return core


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("word", ACCEPTED)
def test_every_command_in_every_stage_of_a_ride(word: str, stage: str) -> None:
    mostly, but_for = ACCEPTED[word]
    assert outcome(core_at(stage), said(word)) == but_for.get(stage, mostly)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("word", ["yes", "no", "arrived", "picked_up", "no_show", "dropped_off"])
@pytest.mark.parametrize(("driver", "attempt"), [(OTHER, 1), (ME, 2)], ids=["another's", "another attempt"])
def test_what_is_not_about_this_driver_and_attempt_is_stale_or_too_early(
    word: str, stage: str, driver: int, attempt: int
) -> None:
    is_to_come = attempt == 2 and stage not in ENDS
    otherwise = {"too_early"} if is_to_come else {"stale_offer", "stale_report"}
    reason = outcome(core_at(stage), said(word, driver, attempt))
    assert reason in ({BEFORE[stage]} if stage in BEFORE else otherwise)


def lost(core: CoreHarness) -> None:
    core.where = {9: 35}
    core.wait(20_000)


def lost_on_trip(core: CoreHarness) -> None:
    core.on_trip()
    lost(core)


DRIVER_STAGES: dict[str, Stage] = {
    **{
        name: STAGES[name] for name in ("offered", "accepted", "ordered", "at pickup", "on trip", "completed")
    },
    "idle": lambda _: None,
    "off": lambda core: core.step(offline(ME)),
    "leaves": lambda core: (core.on_trip(), core.step(offline(ME))),
    "left": lambda core: core.step(report(core.on_trip(), "dropped_off"), offline(ME)),
    "lost": lost,
    "lost on trip": lost_on_trip,
}
NOT_ON_SHIFT = {"off", "leaves", "left"}


@pytest.mark.parametrize("stage", DRIVER_STAGES)
def test_a_shift_begins_and_ends_in_every_stage_of_a_driver(stage: str) -> None:
    for command, yes, no in (
        (online(ME, "said"), "DriverCameOnline", "already_online"),
        (m.GoOffline(command_id="said", driver=ME), "not_online", "DriverWentOffline"),
    ):
        core = CoreHarness()
        core.drivers(d1=0)
        DRIVER_STAGES[stage](core)
        assert outcome(core, command) == (yes if stage in NOT_ON_SHIFT else no)


def test_the_page_on_messages_names_every_reason_beside_its_command() -> None:
    rows = dict(re.findall(r"\| `(\w+)` \|(.*)", PAGE))
    by_word = {"request": "RequestRide", "cancel": "CancelRide", "yes": "AnswerOffer", "no": "AnswerOffer"}
    for word, (mostly, but_for) in ACCEPTED.items():
        reasons = {one for one in (mostly, *but_for.values()) if one.islower()}
        assert all(f"`{reason}`" in rows[by_word.get(word, "ReportProgress")] for reason in reasons)


@pytest.mark.parametrize("kind", [m.GoOnline, m.GoOffline])
def test_a_rejection_repeats_no_more_than_forty_figures_of_a_driver(
    kind: type[m.GoOnline] | type[m.GoOffline],
) -> None:
    [event] = CoreHarness().step(kind(command_id="c", driver=10**4_000))
    assert isinstance(event, m.CommandRejected)
    assert len(event.subject) == 40
