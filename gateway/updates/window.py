# SPDX-License-Identifier: Apache-2.0
"""The resume window: the cursors at which an update may begin.

A gateway that began to read in the middle of the log does not know rows that were removed before. It
therefore could not remove them from a client with an older cursor. The window is complete when all rows that
the gateway did not read have expired.
"""

from bisect import bisect_right
from collections import deque

from taxi.cursor import Cursor


class Clock:
    """Offset → log time of one topic: the greatest time before the offset. Exact at noted offsets only."""

    def __init__(self, offset: int, log_ms: int) -> None:
        self._offsets: deque[int] = deque([offset])
        self._times_ms: deque[int] = deque([log_ms])

    def note(self, offset: int, log_ms: int) -> None:
        """Record that log time before `offset` is `log_ms`.

        An offset that is not greater than the last one is ignored; a time that decreases is replaced by the
        last.
        """
        if offset > self._offsets[-1]:
            self._offsets.append(offset)
            self._times_ms.append(max(log_ms, self._times_ms[-1]))

    def at(self, offset: int) -> int:
        """Log time before `offset`, or a little earlier; 0 if it was forgotten."""
        noted = bisect_right(self._offsets, offset)
        return self._times_ms[noted - 1] if noted else 0

    def prune_before(self, log_ms: int) -> None:
        """Remove entries older than `log_ms`, except the newest of them."""
        while len(self._times_ms) > 1 and self._times_ms[1] < log_ms:
            self._offsets.popleft()
            self._times_ms.popleft()


class Window:
    """Decides at which cursors this gateway can begin an update."""

    def __init__(self, *, loc: int, ev: int, log_ms: int, full_ms: int, horizon_ms: int) -> None:
        """Create the window of a gateway that begins to read.

        Args:
            loc: The first offset that was read of `taxi.locations`.
            ev: The first offset that was read of `taxi.events`.
            log_ms: Log time there.
            full_ms: A cursor from this log time on is safe: all rows that were not read had expired by then.
            horizon_ms: How far back from the last cut the window reaches.
        """
        self.full_ms = full_ms
        self._horizon_ms = horizon_ms
        self._loc_start = loc
        self._ev_start = ev
        self._positions = Clock(loc, 0)
        self._events = Clock(ev, log_ms)

    def note(self, loc: int, loc_ms: int, ev: int, ev_ms: int) -> None:
        """Record how far the log was read: an offset and the log time of each topic."""
        self._positions.note(loc, loc_ms)
        self._events.note(ev, ev_ms)

    def contains(self, cursor: Cursor, cut_ms: int) -> bool:
        """Whether an update may begin at `cursor`. `cut_ms`: log time of the last cut."""
        if cursor.loc < self._loc_start or cursor.ev < self._ev_start:
            return False
        log_ms = max(self._positions.at(cursor.loc), self._events.at(cursor.ev))
        return log_ms >= max(self.full_ms, cut_ms - self._horizon_ms)

    def prune_before(self, log_ms: int) -> None:
        """Remove index entries older than `log_ms`."""
        self._positions.prune_before(log_ms)
        self._events.prune_before(log_ms)
