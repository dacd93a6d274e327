# SPDX-License-Identifier: Apache-2.0
"""The base class of all faults."""

import asyncio
import contextlib
import random

from testing.simulation.world import DISPATCHERS, World


class Faults:
    """Each fault is a coroutine that hurts the world, and heals what it hurt when it returns."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = random.Random(f"nemesis {world.seed}")
        self._slept_s = 0.0
        self._assigned = asyncio.Event()
        """Some dispatcher was given cities."""

    def _share(self, fault: str, usual: float) -> float:
        """The share of worlds that have this fault."""
        return 1.0 if fault in self.world.search.faults else usual

    def _victim(self) -> str:
        world = self.world
        return self.random.choice([*world.services, *DISPATCHERS, *world.clients[:1]])

    def _brief(self, most_s: float) -> float:
        """Mostly short, sometimes long."""
        return self.random.random() ** 2 * most_s

    async def _transaction_opens(self) -> None:
        """The next one, if it comes soon."""
        opened = asyncio.Event()
        self.world.broker.on_open = opened.set
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3.0):
                await opened.wait()
