# SPDX-License-Identifier: Apache-2.0
"""The broker's clock, as a sender can tell it from append times.

A position counts only if its device time is close to its append time. A sender whose own clock is off learns
the broker's time from its answers: each says when the broker appended, and that was between the request and
the answer (F. Cristian, "Probabilistic clock synchronization", 1989). In between it counts on with the time
of the event loop, so steps of the own clock do not matter.
"""

import asyncio
from typing import Any, Final

from taxi.runtime.env import Env

OFF_MS_MAX: Final = 1_000
"""An own clock that is off by more is a fault."""


class SenderClock:
    """Of one process, and one broker. Made on the event loop; until it has learnt, it is the own clock."""

    def __init__(self, env: Env[Any]) -> None:
        self._env = env
        self._loop = asyncio.get_running_loop()
        self._lead_ms = env.now_ms() - self._loop_ms()
        """By how much the broker's time is ahead of the loop's."""
        self._newest_ms = 0
        self.shift_ms = 0
        """What is added to the broker's time to get log time; the city's state knows it."""

    def device_ms(self) -> int:
        """The broker's time now, for the messages that are sent. It goes back if the broker's clock does."""
        return self._loop_ms() + self._lead_ms

    def now_ms(self) -> int:
        """Log time now: that of everybody in the city. It never goes back."""
        self._newest_ms = max(self._newest_ms, self.device_ms() + self.shift_ms)
        return self._newest_ms

    def learn(self, asked_s: float, append_ms: int | None) -> None:
        """The broker has answered that it appended at `append_ms` what was sent at `asked_s` (loop time).

        An estimate that is possible stays; one that is not is changed by as little as possible.
        """
        if append_ms is None:
            return
        least_ms, most_ms = append_ms - self._loop_ms(), append_ms - round(asked_s * 1000)
        self._lead_ms = min(max(self._lead_ms, least_ms), most_ms)
        self._report()

    def _loop_ms(self) -> int:
        return round(self._loop.time() * 1000)

    def _report(self) -> None:
        off_ms = self._env.now_ms() - self.device_ms()
        if abs(off_ms) <= OFF_MS_MAX:
            self._env.faults.clear("clock_off")
            return
        way = "ahead of" if off_ms > 0 else "behind"
        text = (
            f"the clock of this machine is {abs(off_ms) / 1000:.0f} s {way} the broker's: the times "
            "that it sends are corrected by as much, but set the clock right"
        )
        self._env.faults.report("clock_off", text)
