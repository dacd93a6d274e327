# SPDX-License-Identifier: Apache-2.0
"""Separates the positions that count from those that are dropped, and counts both. Deterministic."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from taxi.positions.columns import FixColumns
from taxi.positions.fixes import AHEAD_MS_MAX, OLD_MS_MAX, Longs, is_timely

LATE: Final = "late"
AHEAD: Final = "ahead"
UNBELIEVED: Final = "unbelieved"
UNREADABLE: Final = "unreadable"
REASONS: Final = (LATE, AHEAD, UNBELIEVED, UNREADABLE)
_KEPT_MAX: Final = 1_000
"""How many time differences are kept for each reason between two calls of `take`, for their median."""


class Dropped:
    """The counts of one reader since the last `take`."""

    def __init__(self) -> None:
        self.arrived = 0
        """All positions that were read, including dropped and unreadable ones."""
        self.counts: dict[str, int] = dict.fromkeys(REASONS, 0)
        self._off_ms: dict[str, list[int]] = {reason: [] for reason in REASONS}

    @property
    def total(self) -> int:
        """How many positions were dropped."""
        return sum(self.counts.values())

    def add(self, reason: str, count: int, off_ms: Sequence[int] = ()) -> None:
        """Count dropped positions. `off_ms`: by how much the time of each is wrong."""
        self.counts[reason] += count
        kept = self._off_ms[reason]
        kept.extend(off_ms[: _KEPT_MAX - len(kept)])

    def sift(self, fixes: FixColumns, is_near: npt.NDArray[np.bool_]) -> FixColumns:
        """The positions that count; the others are counted.

        Args:
            positions: positions with their device and append times.
            is_near: whether the append time of each can be believed (taxi/positions/clock.py).
        """
        self.arrived += len(fixes.driver)
        counting = is_timely(fixes.at_ms, fixes.append_ms) & is_near
        if counting.all():
            return fixes
        self._add_untimely(fixes.at_ms, fixes.append_ms, ~counting & is_near)
        if not is_near.all():
            self.add(UNBELIEVED, int(np.count_nonzero(~is_near)))
        return fixes.take(counting)

    def _add_untimely(self, at_ms: Longs, append_ms: Longs, dropped: npt.NDArray[np.bool_]) -> None:
        """Those whose device time is too far from their append time."""
        off_ms = (at_ms - append_ms)[dropped]
        late, ahead = off_ms[off_ms < -OLD_MS_MAX], off_ms[off_ms > AHEAD_MS_MAX]
        if len(late):
            self.add(LATE, len(late), (-late[:_KEPT_MAX]).tolist())
        if len(ahead):
            self.add(AHEAD, len(ahead), ahead[:_KEPT_MAX].tolist())

    def typical_ms(self, reason: str) -> int | None:
        """The median of the time differences of a reason; None if there are none."""
        kept = self._off_ms[reason]
        return sorted(kept)[len(kept) // 2] if kept else None

    def take(self) -> "Dropped":
        """Return the counts since the last call, and start again at 0."""
        taken = Dropped()
        taken.arrived, self.arrived = self.arrived, 0
        taken.counts, self.counts = self.counts, taken.counts
        taken._off_ms, self._off_ms = self._off_ms, taken._off_ms
        return taken
