# SPDX-License-Identifier: Apache-2.0
"""How fast people lived since when, as `PolicyActivated` says: their time limits count in their time."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple


class _Stretch(NamedTuple):
    """A stretch of log time."""

    from_ms: float
    speed: int


_START: Final = _Stretch(float("-inf"), 1)
_CHANGES_MAX: Final = 32
"""So many changes count. What was before the oldest of them counts at speed 1."""


class Speeds:
    """The speeds of a city along its log. It is 1 before the first `PolicyActivated` that says otherwise."""

    def __init__(self) -> None:
        self._stretches = [_START]
        self._next_speed = 1
        """As the last `PolicyActivated` says. While log time is 0 it does not hold yet."""

    def take(self, event: Mapping[str, Any]) -> None:
        """Process an event, in the order of the log."""
        if event["type"] == "PolicyActivated":
            self._next_speed = int(event.get("speed", 1))
        elif event["type"] == "EpochStarted" and event.get("reason") == "events_lost":
            self._stretches, self._next_speed = [_START], 1
        elif event["type"] != "BatchClosed":
            return
        if self._next_speed != self._stretches[-1].speed and event["at_ms"] > 0:
            self._change(event["at_ms"])

    def _change(self, at_ms: int) -> None:
        if self._stretches[-1].from_ms == at_ms:  # no time passed at that speed
            self._stretches.pop()
        if self._next_speed != self._stretches[-1].speed:
            self._stretches.append(_Stretch(at_ms, self._next_speed))
        del self._stretches[1:-_CHANGES_MAX]

    def end_ms(self, begun_ms: int, lasts_ms: int) -> int:
        """The log time at which `lasts_ms` of people's time have passed since `begun_ms`."""
        left_ms, at_ms = lasts_ms, begun_ms
        for (_, speed), (until_ms, _) in pairwise(self._stretches):
            if at_ms >= until_ms:
                continue
            passes_ms = (int(until_ms) - at_ms) * speed
            if passes_ms >= left_ms:
                return at_ms + -(-left_ms // speed)
            left_ms, at_ms = left_ms - passes_ms, int(until_ms)
        return at_ms + -(-left_ms // self._stretches[-1].speed)
