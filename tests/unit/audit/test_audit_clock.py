# SPDX-License-Identifier: Apache-2.0
"""The audit's clock where reading begins in the middle of the positions."""

import pytest

from taxistream.tools.audit.clock import LocationsClock, ShiftStart

T0 = 1_750_000_000_000


def read(clock: LocationsClock, *append_ms: int) -> list[ShiftStart]:
    for offset, each_ms in enumerate(append_ms, start=100):
        clock.take(offset, each_ms)
    return clock.take_set_backs()


@pytest.mark.parametrize("wrong", range(4))
def test_a_wrong_time_among_the_first_that_are_left_sets_no_clock_back(wrong: int) -> None:
    clock = LocationsClock()
    clock.begin_in_the_middle(0)
    times_ms = [T0 + step * 100 for step in range(20)]
    times_ms[wrong] += 20_000
    assert read(clock, *times_ms) == []
    assert clock.is_known
    assert clock.heard_ms == times_ms[-1]


def test_a_clock_set_back_later_is_found() -> None:
    clock = LocationsClock()
    clock.begin_in_the_middle(0)
    before = [T0 + step * 100 for step in range(8)]
    after = [each_ms - 60_000 for each_ms in before]
    [found] = read(clock, *before, *after)
    assert found.locations_from == 100 + len(before) + 2
