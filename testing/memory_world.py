# SPDX-License-Identifier: Apache-2.0
"""A memory broker in virtual time, with real services as processes, for tests of the services."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from taxi import topics
from taxi.bus.memory.bus import MemoryBroker, MemoryBus, MemoryLimits
from taxi.runtime.env import Env
from taxi.runtime.faults import Faults
from testing.virtual_time import Node, SimLoop, SimTask


class Spy:
    """Log, metrics and health in one object that records all calls."""

    def __init__(self) -> None:
        self.is_ready = False
        self.said: list[str] = []
        self.counts: Counter[str] = Counter()
        """By name, and by name and labels."""

    def ready(self) -> None:
        self.is_ready = True

    def not_ready(self, reason: str) -> None:
        self.is_ready = False
        self.said.append(reason)

    def note(self, event: str, **_: Any) -> None:
        self.said.append(event)

    debug = info = warning = error = note

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        for key in {name, " ".join([name, *labels.values()])}:
            self.counts[key] += int(amount)

    def gauge(self, name: str, value: float, **_: str) -> None:
        """Ignored."""

    observe = gauge


class MemoryWorld:
    """Time, a broker with the topics, and processes that can be killed."""

    def __init__(self, seed: int, *, start_ms: int, limits: MemoryLimits, look_every_s: float) -> None:
        self.loop = SimLoop(seed)
        self._start_ms = start_ms
        self._limits = limits
        self._look_every_s = look_every_s
        self.faults: list[Faults] = []
        """Of each process, in the order of their starts."""
        self.broker = MemoryBroker(
            self.loop, now_ms=self.now_ms, now_s=self.loop.time, rng=random.Random(f"broker {seed}")
        )
        for spec in topics.specs():
            self.broker.create_topic(spec.name)

    def now_ms(self) -> int:
        return self._start_ms + int(self.loop.now * 1000)

    def bus(self, name: str) -> MemoryBus:
        return MemoryBus(self.broker, world=self.loop, rng=random.Random(name), limits=self._limits)

    def spawn(
        self, name: str, settings: Any, new_id: str, main: Callable[[Env[Any]], Coroutine[Any, Any, None]]
    ) -> tuple[Node, Spy, SimTask]:
        """A process of this name."""
        spy, node = Spy(), Node(name)
        env = Env(
            settings=settings,
            bus=self.bus(name),
            now_ms=self.now_ms,
            random=random.Random(name),
            new_id=lambda: new_id,
            log=spy,
            metrics=spy,
            health=spy,
        )
        self.faults.append(env.faults)
        return node, spy, self.loop.spawn(node, main(env))

    async def until(self, what: Callable[[], bool], within_s: float = 120.0) -> None:
        """Wait for a condition; fails when it takes longer than `within_s` of virtual time."""
        end = self.loop.now + within_s
        while not what():
            assert self.loop.now < end, "waited in vain"
            await asyncio.sleep(self._look_every_s)
