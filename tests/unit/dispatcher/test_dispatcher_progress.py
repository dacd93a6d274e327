# SPDX-License-Identifier: Apache-2.0
"""When a backlog is a fault, and when it is over."""

from types import SimpleNamespace
from typing import Any

import pytest

from dispatcher.progress import LASTS_S, Progress
from taxi.runtime.faults import Faults
from testing.memory_world import Spy


def made() -> tuple[Progress, Faults]:
    spy, faults = Spy(), Faults()
    env: Any = SimpleNamespace(metrics=spy, log=spy, faults=faults)
    return Progress(env, "manhattan"), faults


@pytest.mark.anyio
async def test_positions_that_stay_unread_are_a_fault_until_all_are_read() -> None:
    progress, faults = made()
    progress.record(0, 5_000, 10.0)
    assert not faults.current, "a backlog that is gone at once is none"
    progress.record(0, 4_000, 10.0 + LASTS_S)
    [fault] = faults.current
    assert (fault.code, fault.blocks, fault.about) == ("positions_backlog", False, "manhattan")
    assert fault.text.startswith("4,000 positions of manhattan wait to be read by the dispatcher, decided in")
    progress.record(0, 0, 13.0)
    assert not faults.current


@pytest.mark.anyio
async def test_a_backlog_that_grows_says_so() -> None:
    progress, faults = made()
    for second in range(4):
        progress.record(3_000 + 500 * second, 0, 20.0 + second)
    assert "500 more each second: more comes in than this dispatcher can decide" in faults.current[0].text


@pytest.mark.anyio
async def test_the_backlog_of_a_city_that_moved_is_no_fault_here() -> None:
    progress, faults = made()
    for second in range(3):
        progress.record(9_000, 9_000, 30.0 + second)
    assert len(faults.current) == 2
    progress.clear()
    assert not faults.current
