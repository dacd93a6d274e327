# SPDX-License-Identifier: Apache-2.0
"""No single record moves log time away, and a clock that is set back is shifted."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from dispatcher.batch_input import ReadCommand
from dispatcher.log_time import AHEAD_MS_MAX, COMMANDS_MS_MAX, in_log_time
from taxi import messages as m
from taxi.runtime import tracing
from testing.core_harness import STEP_MS, CoreHarness, online, report, request

HOUR_MS = 3_600_000
AHEAD_MS = 3_400_000


def busy_core() -> CoreHarness:
    """Six drivers, one of them on a trip."""
    core = CoreHarness()
    core.drivers(d1=0, d2=14, d3=30, d4=5, d5=20, d6=2)
    core.on_trip("on-its-way")
    return core


def step(
    core: CoreHarness, *commands: m.AnyCommand, command_ms: int = 0, fix_ms: int = 0
) -> list[m.AnyEvent]:
    """Positions flow; the last command, or the last position, has a time that is wrong by so much."""
    core.now_ms += STEP_MS
    batch_input = replace(core.batch_input(*commands), commands_alone=False)
    if command_ms:
        *others, last = batch_input.commands
        wrong = replace(last, append_ms=last.append_ms + command_ms)
        batch_input = replace(
            batch_input, commands=(*others, wrong), heard_ms=max(batch_input.heard_ms, wrong.append_ms)
        )
    if fix_ms:
        wrong_ms = np.zeros(len(batch_input.fixes.driver), np.int64)
        wrong_ms[-1] = fix_ms
        at_ms, append_ms = batch_input.fixes.at_ms + wrong_ms, batch_input.fixes.append_ms + wrong_ms
        batch_input = replace(batch_input, fixes=batch_input.fixes._replace(at_ms=at_ms, append_ms=append_ms))
    return core.decide(batch_input)


def kinds(events: list[m.AnyEvent]) -> set[str]:
    return {type(event).__name__ for event in events}


@pytest.mark.parametrize("fix_ms", [AHEAD_MS, 10_000, -AHEAD_MS])
def test_one_position_with_a_wrong_time_costs_nothing(fix_ms: int) -> None:
    core = busy_core()
    events = step(core, fix_ms=fix_ms)
    for _ in range(10):
        assert core.city.now_ms == core.now_ms
        events += step(core)
    assert kinds(events) <= {"RideOffered"}
    assert not core.city.shifts


@pytest.mark.parametrize(
    ("ahead_ms", "moved_ms"), [(COMMANDS_MS_MAX, COMMANDS_MS_MAX), (COMMANDS_MS_MAX + 1, 0), (AHEAD_MS, 0)]
)
def test_one_command_with_a_wrong_time_moves_log_time_by_five_seconds_at_most(
    ahead_ms: int, moved_ms: int
) -> None:
    core = busy_core()
    events = step(core, request("wrong"), command_ms=ahead_ms)
    assert core.city.now_ms == core.now_ms + moved_ms
    assert "RideRequested" in kinds(events)
    for _ in range(5):
        events += step(core)
    assert core.city.now_ms == core.now_ms
    assert not {"DriverLost", "RideExpired", "RideNoShow", "RideCancelled"} & kinds(events)


def test_while_no_position_comes_commands_alone_move_log_time() -> None:
    core = busy_core()
    core.where.clear()
    for ride in ("one", "two"):
        core.now_ms += 60_000
        core.decide(core.batch_input(request(ride)))
        assert core.city.now_ms == core.now_ms


@pytest.mark.parametrize("back_ms", [8_000, HOUR_MS, 24 * HOUR_MS])
def test_a_clock_that_is_set_back_is_announced_and_log_time_goes_on(back_ms: int) -> None:
    core = busy_core()
    before_ms = core.city.now_ms
    core.back_ms = back_ms
    events = step(core)
    [announced] = [event for event in events if isinstance(event, m.ClockSetBack)]
    assert announced.shift_ms == back_ms - STEP_MS  # the time between the two positions is lost
    assert core.city.now_ms == before_ms
    for _ in range(10):
        events += step(core)
    assert core.city.now_ms == before_ms + 10 * STEP_MS
    assert kinds(events) <= {"ClockSetBack", "RideOffered"}
    offer = core.log_offer("on-its-way")
    assert kinds(step(core, report(offer, "dropped_off"))) == {"TripCompleted"}


def test_a_command_from_before_the_clock_was_set_back_does_not_move_log_time() -> None:
    core = busy_core()
    before_ms = core.city.now_ms
    core.back_ms = 8_000
    events = step(core, request("asked-before"), command_ms=core.back_ms)
    assert "ClockSetBack" in kinds(events)
    assert core.city.now_ms == before_ms
    assert "RideRequested" in kinds(events)


def test_a_command_keeps_its_age_over_a_clock_that_is_set_back() -> None:
    core = busy_core()
    core.back_ms = HOUR_MS
    step(core)
    core.where[9] = 3
    asked = structs.replace(online(9), asked_ms=core.now_ms - core.back_ms)
    assert kinds(step(core, asked)) == {"DriverCameOnline"}


def test_a_clock_that_goes_back_a_little_stops_log_time_for_as_long() -> None:
    core = busy_core()
    before_ms = core.city.now_ms
    core.back_ms = 4_000
    events = step(core)
    assert core.city.now_ms == before_ms
    for _ in range(5):
        events += step(core)
    assert core.city.now_ms == core.now_ms - 4_000
    assert "ClockSetBack" not in kinds(events)


@pytest.mark.parametrize("ahead_ms", [-1_000, 1, COMMANDS_MS_MAX + 1_000, AHEAD_MS_MAX])
def test_what_is_asked_while_positions_pause_is_not_as_old_as_the_shift(ahead_ms: int) -> None:
    """Positions stopped, and commands do not move log time alone yet."""
    now_ms = 10 * HOUR_MS
    read = ReadCommand(request("late"), now_ms - HOUR_MS + ahead_ms, tracing.root("late"))
    [timed] = in_log_time((read,), (0, HOUR_MS), now_ms)
    assert timed.append_ms == min(now_ms, now_ms + ahead_ms)


def test_what_was_asked_before_the_clock_was_set_back_is_not_shifted() -> None:
    now_ms = 10 * HOUR_MS
    read = ReadCommand(request("early"), now_ms - 3_000, tracing.root("early"))
    [timed] = in_log_time((read,), (0, HOUR_MS), now_ms)
    assert timed.append_ms == now_ms - 3_000
