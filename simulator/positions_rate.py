# SPDX-License-Identifier: Apache-2.0
"""How often each driver is really seen. On a machine that is too slow it is less than once a second."""

import asyncio
from collections import deque
from typing import Any, Final

from taxi.runtime.env import Env

WINDOW_S: Final = 10.0
SLOW: Final = 0.9
"""Below this share of the intended rate it is a fault …"""
GOOD: Final = 0.95
"""… until this share is reached again."""


class PositionsRate:
    """Measures the rate of positions over the last ten seconds in which the broker answered.

    Args:
        env: Of the simulator.
        ticks_per_s: In how many ticks each driver is to be seen once a second.
        drivers: Their number, for the text of the fault.
    """

    def __init__(self, env: Env[Any], ticks_per_s: int, drivers: int) -> None:
        self._env = env
        self._drivers = drivers
        self._count = max(round(WINDOW_S * ticks_per_s), 1)
        self._seconds = self._count / ticks_per_s
        self._ticks_s: deque[float] = deque(maxlen=self._count + 1)

    def published(self) -> None:
        """A tick's positions are on the log."""
        self._ticks_s.append(asyncio.get_running_loop().time())
        if len(self._ticks_s) > self._count:
            self._report(self._seconds / max(self._ticks_s[-1] - self._ticks_s[0], 1e-9))

    def interrupted(self) -> None:
        """The broker did not answer: that is reported elsewhere, and what it delayed is not counted."""
        self._ticks_s.clear()

    def _report(self, rate_hz: float) -> None:
        self._env.metrics.gauge("simulator_positions_per_driver", round(rate_hz, 3))
        if rate_hz >= GOOD:
            self._env.faults.clear("positions_slow")
        elif rate_hz < SLOW:
            text = (
                f"each driver is seen {rate_hz:.2f} times a second instead of once: this machine is too "
                f"busy for {self._drivers:,} drivers. Close other programs, or set TAXI_DRIVERS to less"
            )
            self._env.faults.report("positions_slow", text)
