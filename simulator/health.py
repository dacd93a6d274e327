# SPDX-License-Identifier: Apache-2.0
"""Whether the simulator does its work, as its loops report it; and how long a loop waits for a broker."""

import asyncio

from simulator.settings import Settings
from taxi.runtime.env import Env

_FIRST_S = 0.1
_MOST_S = 2.0


class SimulatorReadiness:
    """Ready while every part works. What is not ready says why."""

    def __init__(self, env: Env[Settings], parts: tuple[str, ...]) -> None:
        self._env = env
        self._missing: dict[str, str] = dict.fromkeys(parts, "starting")
        self._ready = False
        self._waited_s: dict[str, float] = {}

    def working(self, part: str) -> None:
        """This part does its work."""
        self._waited_s.pop(part, None)
        if self._missing.pop(part, None) is not None:
            self._tell()

    def failing(self, part: str, why: str) -> None:
        """This part can't do its work."""
        if self._missing.get(part) != why:
            self._missing[part] = why
            self._tell()

    async def wait_out(self, part: str, error: Exception) -> None:
        """The broker is away: say so, and wait a little longer each time, with jitter."""
        if part not in self._waited_s:
            self._env.log.warning("broker away", part=part, reason=str(error))
        self.failing(part, "the broker is away")
        self._env.metrics.count("simulator_broker_failures_total", part=part)
        wait_s = min(_MOST_S, 2 * self._waited_s.get(part, _FIRST_S / 2))
        self._waited_s[part] = wait_s
        await asyncio.sleep(wait_s * self._env.random.uniform(0.5, 1.0))

    def _tell(self) -> None:
        if self._missing:
            self._env.health.not_ready("; ".join(f"{part}: {why}" for part, why in self._missing.items()))
            self._ready = False
        elif not self._ready:
            self._env.health.ready()
            self._env.log.info("ready")
            self._ready = True
