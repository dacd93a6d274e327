# SPDX-License-Identifier: Apache-2.0
"""Positions that do not count are counted, logged once a minute, and a fault while they are many."""

import asyncio
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from taxi.messages import Fix
from taxi.positions.columns import columns_of
from taxi.positions.dropped import AHEAD, LATE, UNREADABLE, Dropped
from taxi.runtime.dropped import CODES, MINUTE_S, WINDOW_S, DroppedPositions
from taxi.runtime.faults import Faults

T0 = 1_750_000_000_000


class Lines:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})

    info = warning


class Reports:
    """One reader's reports, and what came of them."""

    def __init__(self) -> None:
        self.log, self.faults, self.metric = Lines(), Faults(), Counter[str]()
        env = cast("Any", SimpleNamespace(log=self.log, faults=self.faults))
        self.dropped = DroppedPositions(env, self._count)

    def _count(self, reason: str, count: int) -> None:
        self.metric[reason] += count

    @property
    def codes(self) -> list[str]:
        return [fault.code for fault in self.faults.current]


def dropped(arrived: int, *off_ms: int, unreadable: int = 0) -> Dropped:
    """`arrived` positions, of which some are off by so much."""
    found = Dropped()
    fixes = [Fix(driver=1, at_ms=T0 + off, lng=0, lat=0) for off in off_ms]
    found.sift(columns_of(fixes, range(len(fixes)), [T0] * len(fixes)), np.ones(len(fixes), bool))
    found.arrived = arrived
    if unreadable:
        found.add(UNREADABLE, unreadable)
    return found


def on_a_loop(scenario: Callable[[Reports], None]) -> None:
    async def run() -> None:
        scenario(Reports())

    asyncio.run(run())


@pytest.mark.parametrize(
    ("found", "reason", "code", "words"),
    [
        (
            dropped(20, *[2_000] * 20),
            AHEAD,
            "positions_ahead",
            "positions arrive but are 2.0 s in the future: 20 of 20",
        ),
        (dropped(20, *[-6_000] * 9), LATE, "positions_late", "positions arrive but are 6.0 s old: 9 of 20"),
        (dropped(20, unreadable=20), UNREADABLE, "positions_unreadable", "no positions: 20 of 20"),
    ],
)
def test_a_tenth_that_does_not_count_is_a_fault_of_its_reason(
    found: Dropped, reason: str, code: str, words: str
) -> None:
    def scenario(reports: Reports) -> None:
        reports.dropped.record(1.0, found)
        assert reports.codes == [CODES[reason]] == [code]
        assert words in reports.faults.current[0].text
        assert reports.metric == {reason: found.total}

    on_a_loop(scenario)


def test_single_ones_are_counted_and_logged_and_no_fault() -> None:
    def scenario(reports: Reports) -> None:
        reports.dropped.record(1.0, dropped(1_000, 5_000, 5_000, -9_000))
        assert reports.codes == []
        assert reports.metric == {AHEAD: 2, LATE: 1}
        assert {line["reason"]: line["count"] for line in reports.log.lines} == {LATE: 1, AHEAD: 2}

    on_a_loop(scenario)


def test_the_log_has_one_line_a_minute_with_all_of_the_minute() -> None:
    def scenario(reports: Reports) -> None:
        for second in range(int(2 * MINUTE_S)):
            reports.dropped.record(float(second), dropped(100, 2_000))
        assert [line["count"] for line in reports.log.lines] == [1, 60]
        assert reports.log.lines[0]["typically_s"] == 2.0

    on_a_loop(scenario)


def test_the_fault_is_over_when_positions_count_again() -> None:
    def scenario(reports: Reports) -> None:
        reports.dropped.record(1.0, dropped(20, *[2_000] * 20))
        assert reports.codes == ["positions_ahead"]
        reports.dropped.record(1.0 + WINDOW_S, dropped(20))
        assert reports.codes == []

    on_a_loop(scenario)


def test_a_fault_that_lasts_does_not_change_its_words_at_each_look() -> None:
    def scenario(reports: Reports) -> None:
        for tenth in range(90):
            reports.dropped.record(tenth / 10, dropped(10, *[2_000] * 10))
        assert reports.faults.version == 1

    on_a_loop(scenario)


def test_a_reader_that_starts_over_forgets_its_faults() -> None:
    def scenario(reports: Reports) -> None:
        reports.dropped.record(1.0, dropped(20, *[2_000] * 20))
        reports.dropped.clear()
        assert reports.codes == []
        reports.dropped.record(1.1, dropped(20))
        assert reports.codes == []

    on_a_loop(scenario)
