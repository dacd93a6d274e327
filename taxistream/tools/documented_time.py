# SPDX-License-Identifier: Apache-2.0
"""City time along a log, written from docs/messages.md for checks that share no code with services.

The audit and the oracle use it; `taxi.city_time` is the implementation of the services.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_CHANGES_MAX: Final = 32
"""So many changes count one by one."""


@dataclass
class CityClock:
    """City time of the events so far. The speed is 1 before the first `PolicyActivated` that says otherwise.

    A speed that was activated while log time was 0 holds from the first batch with a log time on.
    """

    changes: tuple[tuple[int, int], ...] = ()
    """(log time, speed from there on), ascending. Before the first one the speed is 1."""
    _next_speed: int = 1
    """As the last `PolicyActivated` says."""
    _ahead_ms: int = 0
    """City time − log time at the oldest of `changes`, and before it."""

    @property
    def speed(self) -> int:
        """The speed now."""
        return self.changes[-1][1] if self.changes else 1

    def take(self, kind: str, body: Mapping[str, Any]) -> None:
        """Process an event, in the order of the log.

        Args:
            kind: The type of the event.
            body: Its fields.
        """
        if kind == "EpochStarted" and body.get("reason") == "events_lost":
            self.changes, self._next_speed, self._ahead_ms = (), 1, 0
        if kind == "PolicyActivated":
            self._next_speed = int(body.get("speed", 1))
        if self._next_speed == self.speed:
            return
        if kind in {"PolicyActivated", "BatchClosed"} and body["at_ms"] > 0:
            self._change(body["at_ms"])

    def _change(self, at_ms: int) -> None:
        self.changes = tuple(change for change in self.changes if change[0] < at_ms)
        if self._next_speed != self.speed:
            self.changes = (*self.changes, (at_ms, self._next_speed))
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

    def end_ms(self, begun_ms: int, lasts_ms: int) -> int:
        """The first log time at which `lasts_ms` of city time have passed since `begun_ms`."""
        left_ms, at_ms, speed = lasts_ms, begun_ms, 1
        for until_ms, next_speed in self.changes:
            if at_ms < until_ms:
                passes_ms = (until_ms - at_ms) * speed
                if passes_ms >= left_ms:
                    break
                left_ms, at_ms = left_ms - passes_ms, until_ms
            speed = next_speed
        return at_ms + -(-left_ms // speed)  # ceil division
