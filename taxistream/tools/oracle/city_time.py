# SPDX-License-Identifier: Apache-2.0
"""City time along a log: log time, and what people have lived through faster than the clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class CityClock:
    """City time of the events so far. Written from docs/messages.md."""

    changes: tuple[tuple[int, int], ...] = ()
    """(log time, speed from there on), ascending. Before the first one the speed is 1."""
    _wanted: int = 1

    @property
    def speed(self) -> int:
        """The speed now."""
        return self.changes[-1][1] if self.changes else 1

    def take(self, kind: str, body: Mapping[str, Any]) -> None:
        """Process an event, in the order of the log."""
        if kind == "EpochStarted" and body.get("reason") == "events_lost":
            self.changes, self._wanted = (), 1
        if kind == "PolicyActivated":
            self._wanted = body.get("speed", 1)
        if self._wanted == self.speed:
            return
        if kind in {"PolicyActivated", "BatchClosed"} and body["at_ms"] > 0:
            self.changes = (*self.changes, (body["at_ms"], self._wanted))

    def at(self, log_ms: int) -> int:
        """City time at a log time."""
        ends_ms = [*(from_ms for from_ms, _ in self.changes[1:]), log_ms]
        return log_ms + sum(
            (speed - 1) * max(min(end_ms, log_ms) - from_ms, 0)
            for (from_ms, speed), end_ms in zip(self.changes, ends_ms, strict=False)
        )

    def lived_ms(self, from_ms: int, to_ms: int) -> int:
        """The city time between two log times."""
        return self.at(to_ms) - self.at(from_ms)
