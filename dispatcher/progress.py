# SPDX-License-Identifier: Apache-2.0
"""How far the batches of a city are behind the ends of its inputs: metrics, faults, and a log line meanwhile.

A backlog is ordinary after an outage. It must be visible, and whether it shrinks.
"""

from collections import deque
from typing import Any, Final, NamedTuple

from dispatcher.inputs import COMMANDS_MAX
from taxi.runtime.env import Env

LASTS_S: Final = 1.0
"""A backlog that is gone sooner is not reported."""
OVER_BELOW: Final = COMMANDS_MAX // 10
"""So few commands are no backlog any more."""
_LOG_EVERY_S: Final = 3.0
_RATE_OVER_S: Final = 5.0
"""How fast a backlog shrinks is measured over the last seconds."""


class _Sample(NamedTuple):
    at_s: float
    behind: int


class _Backlog:
    """Of one input. It begins at `begins_at` records and ends below `ends_below`."""

    def __init__(self, code: str, what: str, begins_at: int, ends_below: int) -> None:
        self.code, self.what = code, what
        self._begins_at, self._ends_below = begins_at, ends_below
        self.since_s: float | None = None
        self._samples: deque[_Sample] = deque()

    def record(self, behind: int, now_s: float) -> None:
        """One batch more was decided."""
        if self.since_s is None and behind >= self._begins_at:
            self.since_s = now_s
        elif behind < self._ends_below:
            self.since_s = None
            self._samples.clear()
        self._samples.append(_Sample(now_s, behind))
        while self._samples[0].at_s < now_s - _RATE_OVER_S:
            self._samples.popleft()

    def lasts(self, now_s: float) -> bool:
        return self.since_s is not None and now_s - self.since_s >= LASTS_S

    @property
    def behind(self) -> int:
        return self._samples[-1].behind

    @property
    def shrinks_per_s(self) -> float:
        """Below 0: it grows."""
        first, last = self._samples[0], self._samples[-1]
        return (first.behind - last.behind) / max(last.at_s - first.at_s, 0.1)

    def text(self, city: str) -> str:
        rate = self.shrinks_per_s
        way = (
            f"decided in about {self.behind / rate:.0f} s at this pace"
            if rate > 0
            else f"and {-rate:,.0f} more each second: more comes in than this dispatcher can decide"
        )
        return f"{self.behind:,} {self.what} of {city} wait to be read by the dispatcher, {way}"


class Progress:
    """Of one city."""

    def __init__(self, env: Env[Any], city: str) -> None:
        self._env = env
        self._city = city
        self._commands = _Backlog("commands_backlog", "commands", COMMANDS_MAX, OVER_BELOW)
        self._positions = _Backlog("positions_backlog", "positions", 1, 1)
        self._logged_s = 0.0

    def record(self, commands_behind: int, positions_behind: int, now_s: float) -> None:
        """A batch was decided, and so many records of its inputs are still waiting. Times are loop time."""
        metrics = self._env.metrics
        metrics.gauge("dispatcher_commands_behind", commands_behind, city=self._city)
        metrics.gauge("dispatcher_positions_behind", positions_behind, city=self._city)
        for backlog, behind in ((self._commands, commands_behind), (self._positions, positions_behind)):
            backlog.record(behind, now_s)
            if backlog.lasts(now_s):
                self._env.faults.report(backlog.code, backlog.text(self._city), about=self._city)
                self._log(backlog, now_s)
            elif backlog.since_s is None:
                self._env.faults.clear(backlog.code, about=self._city)

    def _log(self, backlog: _Backlog, now_s: float) -> None:
        if now_s - self._logged_s < _LOG_EVERY_S:
            return
        self._logged_s = now_s
        self._env.log.info(
            "catching up",
            city=self._city,
            waiting=backlog.behind,
            topic=backlog.what,
            shrinks_per_s=round(backlog.shrinks_per_s),
        )

    def clear(self) -> None:
        """The city is another's: its backlog says nothing about this process any more."""
        for backlog in (self._commands, self._positions):
            self._env.faults.clear(backlog.code, about=self._city)
        self._env.metrics.gauge("dispatcher_commands_behind", 0, city=self._city)
        self._env.metrics.gauge("dispatcher_positions_behind", 0, city=self._city)
