# SPDX-License-Identifier: Apache-2.0
"""What the simulation found, each as the shortest story that shows it. A seed holds only for its code."""

from dataclasses import replace

import numpy as np

from dispatcher.limits import DecisionLimits
from gateway.updates.rides import RideTable
from taxi.cursor import Cursor
from testing.core_harness import CoreHarness, cancel, kinds, request

HOUR_MS = 3_600_000
EPOCH = "0123456789abcdef"


def test_a_ride_that_a_late_batch_ends_in_the_past_is_sent_as_gone() -> None:
    """A dispatcher that catches up ends a ride in a past beyond the resume horizon; clients still show it."""
    rides = RideTable(expiry_ms=8_000, memory_ms=12_000)
    before = Cursor(EPOCH, 276, 93)
    rides.set("late", b"a waiting ride  ", before.ev, None)
    rides.close(before, 46_500)
    rides.set("late", b"a ride ended    ", 98, 25_594)
    rides.close(Cursor(EPOCH, 277, 98), 46_700)
    assert rides.held == 0
    assert rides.gone(before) == [b"late"]


def test_a_command_between_two_times_that_the_clock_was_set_back_is_not_too_old() -> None:
    """Both are found by one batch, because no dispatcher decided meanwhile.

    Found by seed 46 of kind "cities", as a cancellation that was ignored.
    """
    core = CoreHarness()
    core.step(request())
    core.where = dict.fromkeys(range(1, 16), 0)
    core.step()
    core.now_ms += 2_000
    batch_input = core.batch_input(cancel())
    back_ms = np.repeat([0, HOUR_MS, 2 * HOUR_MS], 5)
    at_ms, append_ms = batch_input.fixes.at_ms - back_ms, batch_input.fixes.append_ms - back_ms
    commands = tuple(replace(read, append_ms=read.append_ms - HOUR_MS) for read in batch_input.commands)
    fixes = batch_input.fixes._replace(at_ms=at_ms, append_ms=append_ms)
    events = core.decide(
        replace(batch_input, fixes=fixes, commands=commands, heard_ms=core.now_ms - 2 * HOUR_MS)
    )
    assert kinds(events) == ["ClockSetBack", "ClockSetBack", "RideCancelled"]


def test_a_limit_does_not_overtake_a_command_that_has_an_earlier_log_time_than_the_one_before() -> None:
    """The clock was set back twice while no dispatcher decided: log times go back within the batch.

    Found by seed 1001 of kind "city".
    """
    core = CoreHarness()
    core.step(request())
    due_ms = core.ride().requested_ms + DecisionLimits().patience_ms
    core.now_ms = due_ms + 1_000
    batch_input = core.batch_input(request(), cancel())
    times_ms = (due_ms + 500, due_ms - 1)
    commands = (
        replace(read, append_ms=at_ms) for read, at_ms in zip(batch_input.commands, times_ms, strict=True)
    )
    assert kinds(core.decide(replace(batch_input, commands=tuple(commands)))) == ["RideCancelled"]
