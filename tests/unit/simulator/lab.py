# SPDX-License-Identifier: Apache-2.0
"""The real shell against a memory broker and an obliging dispatcher, in virtual time."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from simulator.settings import Habits, Settings
from simulator.shell import main
from simulator.streets import Streets
from taxi import topics
from taxi.bus import Outgoing
from taxi.bus.memory import MemoryBroker, MemoryBus, MemoryLimits
from taxi.codec import decode, encode
from taxi.messages import AnyCommand, Fix
from taxi.runtime.env import Env
from tests.simulation.loop import Node, SimLoop, SimTask
from tests.unit.simulator.obliging import Obliging
from tests.unit.simulator.worlds import QUICK, START_MS

LIMITS = MemoryLimits(give_up_s=1.0, request_s=0.3, end_transaction_s=0.2)


class Spy:
    """Log, metrics and health in one: remembers what it was told."""

    def __init__(self) -> None:
        self.is_ready = False
        self.said: list[str] = []
        self.counts: dict[str, float] = {}

    def ready(self) -> None:
        self.is_ready = True

    def not_ready(self, reason: str) -> None:
        self.is_ready = False
        self.said.append(reason)

    def note(self, event: str, **_: Any) -> None:
        self.said.append(event)

    debug = info = warning = error = note

    def count(self, name: str, amount: float = 1, **_: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount

    def gauge(self, name: str, value: float, **_: str) -> None:
        self.counts[name] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        self.count(name, value, **labels)


class Lab:
    """A broker, a dispatcher, and simulators that can be killed."""

    def __init__(self, streets: Streets, seed: int = 1, *, drivers: int = 8, load: float = 5.0) -> None:
        self.loop = SimLoop(seed)
        self.streets = streets
        self.settings = Settings(drivers=drivers, load=load, seed=seed)
        self.broker = MemoryBroker(
            self.loop, now_ms=self.now_ms, now_s=self.loop.time, rng=random.Random(f"broker {seed}")
        )
        for name in (topics.LOCATIONS, topics.COMMANDS, topics.EVENTS, topics.SNAPSHOTS):
            self.broker.create_topic(name)
        self.dispatcher = Obliging()
        self.heard: list[AnyCommand] = []
        """Every command as written, repeats included."""
        self._births = 0

    def now_ms(self) -> int:
        return START_MS + int(self.loop.now * 1000)

    def bus(self, name: str) -> MemoryBus:
        return MemoryBus(self.broker, world=self.loop, rng=random.Random(name), limits=LIMITS)

    def start(self, habits: Habits = QUICK) -> tuple[Node, Spy, SimTask]:
        """A simulator, as the first or the next process."""
        self._births += 1
        name, spy = f"simulator {self._births}", Spy()
        env = Env(
            settings=self.settings,
            bus=self.bus(name),
            now_ms=self.now_ms,
            random=random.Random(name),
            new_id=lambda: "0" * 16,
            log=spy,
            metrics=spy,
            health=spy,
        )
        node = Node(name)
        coroutine = main(env, roads=self.streets.roads, demand=self.streets.demand, habits=habits)
        return node, spy, self.loop.spawn(node, coroutine)

    async def dispatch(self) -> None:
        """A batch each second, for ever, at the broker's side: what goes wrong hits the simulator alone.

        A batch arrives in two pieces, so that readers see half of one.
        """
        commands, events = (self.broker.partition(name, 0) for name in (topics.COMMANDS, topics.EVENTS))
        offset = 0
        while True:
            fetched = commands.fetch(offset, 10_000, committed=False)
            offset = fetched.next_offset
            said = [decode(topics.COMMANDS, record) for record in fetched.records]
            self.heard += said
            batch = [Outgoing(None, encode(e)) for e in self.dispatcher.decide(said, self.now_ms())]
            events.append(batch[: len(batch) // 2], self.now_ms())
            await asyncio.sleep(0.3)
            events.append(batch[len(batch) // 2 :], self.now_ms())
            await asyncio.sleep(0.7)

    def fixes(self) -> list[Fix]:
        """Every fix on the log."""
        place = self.broker.partition(topics.LOCATIONS, 0)
        records = place.fetch(0, 10**6, committed=False).records
        return [decode(topics.LOCATIONS, record) for record in records]

    async def until(self, what: Callable[[], bool], within_s: float = 120.0) -> None:
        """Wait for a condition; fails when it takes longer than `within_s` of virtual time."""
        end = self.loop.now + within_s
        while not what():
            assert self.loop.now < end, "waited in vain"
            await asyncio.sleep(0.1)

    async def sleep_until(self, at_s: float) -> None:
        """Let the world go on until this time of the loop."""
        await asyncio.sleep(at_s - self.loop.now)
