# SPDX-License-Identifier: Apache-2.0
"""City time along a log: log time, and what people have lived through faster than the clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_CHANGES_MAX: Final = 32
"""So many changes count one by one."""


@dataclass
class CityClock:
    """City time of the events so far. Written from docs/messages.md."""

    changes: tuple[tuple[int, int], ...] = ()
    """(log time, speed from there on), ascending. Before the first one the speed is 1."""
    _wanted: int = 1
    _ahead_ms: int = 0
    """City time − log time at the oldest of `changes`, and before it."""

    @property
    def speed(self) -> int:
        """The speed now."""
        return self.changes[-1][1] if self.changes else 1

    def take(self, kind: str, body: Mapping[str, Any]) -> None:
        """Process an event, in the order of the log."""
        if kind == "EpochStarted" and body.get("reason") == "events_lost":
            self.changes, self._wanted, self._ahead_ms = (), 1, 0
        if kind == "PolicyActivated":
            self._wanted = body.get("speed", 1)
        if self._wanted == self.speed:
            return
        if kind in {"PolicyActivated", "BatchClosed"} and body["at_ms"] > 0:
            self._change(body["at_ms"])

    def _change(self, at_ms: int) -> None:
        self.changes = tuple(change for change in self.changes if change[0] < at_ms)
        if self._wanted != self.speed:
            self.changes = (*self.changes, (at_ms, self._wanted))
        if len(self.changes) > _CHANGES_MAX:
            (from_ms, speed), (until_ms, _), *_ = self.changes
            self._ahead_ms += (speed - 1) * (until_ms - from_ms)
            self.changes = self.changes[1:]

    def at(self, log_ms: int) -> int:
        """City time at a log time."""
        ends_ms = [*(from_ms for from_ms, _ in self.changes[1:]), log_ms]
        return (
            log_ms
            + self._ahead_ms
            + sum(
                (speed - 1) * max(min(end_ms, log_ms) - from_ms, 0)
                for (from_ms, speed), end_ms in zip(self.changes, ends_ms, strict=False)
            )
        )

    def lived_ms(self, from_ms: int, to_ms: int) -> int:
        """The city time between two log times."""
        return self.at(to_ms) - self.at(from_ms)
