# SPDX-License-Identifier: Apache-2.0
"""From which cursors a diff may be cut: only from where everything that stood there is known.

A gateway that began to read in the middle of the log does not know the rows that went before, so it could
not tell anyone that they are gone. Its window is full once everything that it did not read has expired.
"""

from bisect import bisect_right
from collections import deque

from taxi.cursor import Cursor


class Clock:
    """Log time along one topic: the greatest time before an offset. Coarse: exact where noted."""

    def __init__(self, offset: int, at_ms: int) -> None:
        self._offsets: deque[int] = deque([offset])
        self._times_ms: deque[int] = deque([at_ms])

    def note(self, offset: int, at_ms: int) -> None:
        """Before `offset`, log time is `at_ms`. Offsets only grow; a time that goes back does not count."""
        if offset > self._offsets[-1]:
            self._offsets.append(offset)
            self._times_ms.append(max(at_ms, self._times_ms[-1]))

    def at(self, offset: int) -> int:
        """Log time before `offset`, or a little earlier; 0 where that is forgotten."""
        noted = bisect_right(self._offsets, offset)
        return self._times_ms[noted - 1] if noted else 0

    def forget_before(self, at_ms: int) -> None:
        """Let go of what is older, but for the newest of it."""
        while len(self._times_ms) > 1 and self._times_ms[1] < at_ms:
            self._offsets.popleft()
            self._times_ms.popleft()


class Window:
    """The cursors that this gateway can cut a diff from."""

    def __init__(self, *, loc: int, ev: int, at_ms: int, full_ms: int, horizon_ms: int) -> None:
        """`loc`, `ev`: where reading began, at log time `at_ms`. `full_ms`: everything before has expired."""
        self.full_ms = full_ms
        self._horizon_ms = horizon_ms
        self._loc_start = loc
        self._ev_start = ev
        self._locations = Clock(loc, 0)
        self._events = Clock(ev, at_ms)

    def note(self, loc: int, loc_ms: int, ev: int, ev_ms: int) -> None:
        """The log was read up to here; both times are of their own topic."""
        self._locations.note(loc, loc_ms)
        self._events.note(ev, ev_ms)

    def contains(self, cursor: Cursor, now_ms: int) -> bool:
        """Whether a diff from `cursor` can be right, at cut time `now_ms`."""
        if cursor.loc < self._loc_start or cursor.ev < self._ev_start:
            return False
        at_ms = max(self._locations.at(cursor.loc), self._events.at(cursor.ev))
        return at_ms >= max(self.full_ms, now_ms - self._horizon_ms)

    def forget_before(self, at_ms: int) -> None:
        """Let go of the index of times below `at_ms`."""
        self._locations.forget_before(at_ms)
        self._events.forget_before(at_ms)
