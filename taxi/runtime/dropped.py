# SPDX-License-Identifier: Apache-2.0
"""Reports positions that a reader drops: in a metric, in one log line a minute, and as a fault.

Single dropped positions are normal, because a broker that was unavailable for some seconds makes positions
late. It is a fault while a reader drops at least a tenth of the positions.
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from taxi.positions.dropped import AHEAD, LATE, REASONS, UNBELIEVED, UNREADABLE, Dropped
from taxi.runtime.env import Env

WINDOW_S: Final = 10.0
"""The share of dropped positions is measured over this time."""
SHARE: Final = 0.1
"""It is a fault if at least this share of the positions in the window is dropped."""
COUNT_MIN: Final = 5
"""Fewer dropped positions in the window are not a fault."""
MINUTE_S: Final = 60.0

CODES: Final = {
    LATE: "positions_late",
    AHEAD: "positions_ahead",
    UNBELIEVED: "positions_unbelieved",
    UNREADABLE: "positions_unreadable",
}
_SENDERS: Final = "check the clocks of the broker and of those who send them"
_TEXTS: Final = {
    LATE: "positions arrive but are {off} old",
    AHEAD: "positions arrive but are {off} in the future",
    UNBELIEVED: "positions arrive with append times far from those of the others",
    UNREADABLE: "records arrive among the positions that are no positions",
}
_REMEDIES: Final = {
    LATE: f"do not count. {_SENDERS.capitalize()}, and whether the network is slow",
    AHEAD: f"do not count. {_SENDERS.capitalize()}",
    UNBELIEVED: "do not count. Check the broker's clock, and that taxi.locations has LogAppendTime",
    UNREADABLE: "do not count. Check what is written to taxi.locations (docs/messages.md)",
}


Count = Callable[[str, int], None]
"""Called with (reason, number of positions)."""


class _Sample(NamedTuple):
    at_s: float
    arrived: int
    counts: dict[str, int]


class _Tally:
    """The state of one reason: positions not logged yet, their typical error, the fault's text."""

    def __init__(self) -> None:
        self.count = 0
        self.off_ms: int | None = None
        self.said_s: float | None = None
        """When the last log line was written (loop time)."""
        self.text = ""
        self.text_s = -MINUTE_S
        """When `text` was made (loop time)."""


class DroppedPositions:
    """Counts and reports the positions that one reader drops. Deterministic apart from its `env`."""

    def __init__(self, env: Env[Any], count: Count, about: str = "") -> None:
        """`count` increments the service's metric. `about` is the city if the process has several."""
        self._env = env
        self._count_metric = count
        self._about = about
        self._samples: deque[_Sample] = deque()
        self._arrived = 0
        self._dropped: Counter[str] = Counter()
        self._tallies = {reason: _Tally() for reason in REASONS}

    def record(self, now_s: float, taken: Dropped) -> None:
        """Count what was read since the last call, log, and report or clear the faults.

        Args:
            now_s: The event loop's time. Call it at least once a second, also if nothing was read.
            taken: Positions that arrived and that were dropped since the last call.
        """
        if taken.arrived:
            self._samples.append(_Sample(now_s, taken.arrived, taken.counts))
            self._arrived += taken.arrived
        for reason, count in taken.counts.items():
            if count:
                self._count(reason, count, taken.typical_ms(reason))
        while self._samples and self._samples[0].at_s <= now_s - WINDOW_S:
            past = self._samples.popleft()
            self._arrived -= past.arrived
            self._dropped.subtract(past.counts)
        for reason, tally in self._tallies.items():
            self._log(reason, tally, now_s)
            self._settle(reason, tally, now_s)

    def clear(self) -> None:
        """Discard the window and clear the faults, because the reader starts again."""
        self._samples.clear()
        self._dropped.clear()
        self._arrived = 0
        for code in CODES.values():
            self._env.faults.clear(code, about=self._about)

    def _count(self, reason: str, count: int, off_ms: int | None) -> None:
        self._count_metric(reason, count)
        self._dropped[reason] += count
        tally = self._tallies[reason]
        tally.count += count
        tally.off_ms = off_ms if off_ms is not None else tally.off_ms

    def _log(self, reason: str, tally: _Tally, now_s: float) -> None:
        """Log the first dropped positions at once, and later ones together once a minute."""
        if not tally.count or (tally.said_s is not None and now_s - tally.said_s < MINUTE_S):
            return
        fields = {} if tally.off_ms is None else {"typically_s": round(tally.off_ms / 1000, 1)}
        about = {"city": self._about} if self._about else {}
        self._env.log.warning("positions do not count", reason=reason, count=tally.count, **fields, **about)
        tally.said_s, tally.count = now_s, 0

    def _settle(self, reason: str, tally: _Tally, now_s: float) -> None:
        dropped = self._dropped[reason]
        if dropped < COUNT_MIN or dropped < SHARE * self._arrived:
            self._env.faults.clear(CODES[reason], about=self._about)
            tally.text_s = now_s - MINUTE_S
            return
        if now_s - tally.text_s >= WINDOW_S:
            tally.text, tally.text_s = self._text(reason, tally), now_s
        self._env.faults.report(CODES[reason], tally.text, about=self._about)

    def _text(self, reason: str, tally: _Tally) -> str:
        off = "seconds" if tally.off_ms is None else f"{tally.off_ms / 1000:.1f} s"
        share = f"{self._dropped[reason]:,} of {self._arrived:,} in the last {WINDOW_S:.0f} s"
        return f"{_TEXTS[reason].format(off=off)}: {share} {_REMEDIES[reason]}"
