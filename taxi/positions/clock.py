# SPDX-License-Identifier: Apache-2.0
"""Log time along `taxi.locations`: a function of the log, which no single record can carry away.

The clock at a position is the median of the append times of the last five positions. From it follow

- how far one position may move log time: to its own append time, but at most `ALONE_MS_MAX` past the clock;
- whether its append time can be believed: within `APART_MS_MAX` of the clock, either way;
- whether the broker's clock was set back: the clock falls by more than `BACK_MS_MIN`. From that position on
  all times are shifted, so that log time goes on where it stood. It never goes back.

A clock that jumps forward and stays there is time that has passed: the machine slept.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from taxi.positions.columns import FixColumns
from taxi.positions.fixes import Longs

WINDOW: Final = 5
ALONE_MS_MAX: Final = 5_000
APART_MS_MAX: Final = 30_000
BACK_MS_MIN: Final = 5_000


class SetBack(NamedTuple):
    """The broker's clock was found set back."""

    offset: int
    """Of the first position whose times are shifted."""
    shift_ms: int
    """What is added to the broker's time from there on."""


class Timed(NamedTuple):
    """Positions in log time, up to where the clock was set back."""

    fixes: FixColumns
    """Device and append times are log times."""
    is_near: npt.NDArray[np.bool_]
    """Whether the append time of each can be believed."""
    times_ms: Longs
    """Log time after each."""
    set_back: SetBack | None
    """Why it ends here; None if it does not."""


class PositionsClock(Struct, kw_only=True):
    """The state of the clock."""

    recent_ms: list[int] = field(default_factory=list)
    """Append times of the last four positions, as the broker gave them."""
    clock_ms: int = 0
    """The greatest median so far, in log time."""
    shift_ms: int = 0
    """What is added to the broker's time to get log time."""

    def prime(self, append_ms: Longs) -> None:
        """Positions that stand before those that are read."""
        self.recent_ms = [*self.recent_ms, *append_ms[-WINDOW:].tolist()][-(WINDOW - 1) :]

    def read(self, fixes: FixColumns, heard_ms: int) -> Timed:
        """The next positions. `heard_ms`: log time before them."""
        if not len(fixes.offset):
            return Timed(fixes, np.zeros(0, np.bool_), np.zeros(0, np.int64), None)
        median_ms = _medians(self.recent_ms, fixes.append_ms) + self.shift_ms
        end = self._set_back_at(median_ms)
        set_back = None
        if end < len(median_ms):
            greatest_ms = int(max(self.clock_ms, median_ms[:end].max(initial=0)))
            shift_ms = self.shift_ms + greatest_ms - int(median_ms[end])
            set_back = SetBack(int(fixes.offset[end]), shift_ms)
            fixes, median_ms = fixes.take(slice(end)), median_ms[:end]
        if end:
            self.prime(fixes.append_ms)
            self.clock_ms = max(self.clock_ms, int(median_ms.max()))
        if self.shift_ms:
            fixes = fixes.later(self.shift_ms)
        ahead_ms = fixes.append_ms - median_ms
        times_ms = np.where(ahead_ms <= ALONE_MS_MAX, fixes.append_ms, median_ms)
        times_ms = np.maximum.accumulate(np.maximum(times_ms, heard_ms))
        return Timed(fixes, np.abs(ahead_ms) <= APART_MS_MAX, times_ms, set_back)

    def start_new_topic(self) -> None:
        """Drop the append times of the topic: what follows is from another topic of the same broker."""
        self.recent_ms, self.clock_ms = [], 0

    def believe(self) -> None:
        """The clock fell, and those who decide did not take that for a clock set back."""
        self.clock_ms = 0

    def _set_back_at(self, median_ms: Longs) -> int:
        """The index of the first median that fell too far below the greatest one; else their number."""
        greatest_ms = np.maximum.accumulate(np.maximum(median_ms, self.clock_ms))
        fallen = median_ms < greatest_ms - BACK_MS_MIN
        return int(fallen.argmax()) if fallen.any() else len(median_ms)


def _medians(recent_ms: list[int], append_ms: Longs) -> Longs:
    """At each position the lower median of the last five append times, or of all if there are fewer."""
    known = len(recent_ms)
    times_ms = np.concatenate((np.array(recent_ms, np.int64), append_ms))
    lacking = max(0, WINDOW - 1 - known)
    first = [
        sorted(times_ms[: known + n + 1].tolist())[(known + n) // 2]
        for n in range(min(lacking, len(append_ms)))
    ]
    if len(times_ms) < WINDOW:
        return np.array(first, np.int64)
    if (times_ms[1:] >= times_ms[:-1]).all():  # as a broker whose clock is right appends them
        full = times_ms[WINDOW // 2 : len(times_ms) - WINDOW // 2]
    else:
        windows = np.lib.stride_tricks.sliding_window_view(times_ms, WINDOW)
        full = np.partition(windows, WINDOW // 2, axis=1)[:, WINDOW // 2]
    return np.concatenate((np.array(first, np.int64), full)) if first else full
