# SPDX-License-Identifier: Apache-2.0
"""The bus suite's harness in memory: calm on an ordinary loop, or harsh on the simulation's, seed by seed."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Self

from taxi.bus import Bus
from taxi.bus.memory.bus import MemoryBroker, MemoryBus, MemoryLimits, plain_broker
from taxi.bus.memory.log import Fate
from taxi.bus.memory.network import PlainScheduler, Scheduler
from testing.virtual_time import SimLoop
from tests.bus.harness import outgoing

IMPATIENT = MemoryLimits(give_up_s=1.0, request_s=0.3, end_transaction_s=0.2)
SEEDS = range(1, 9)


class MemoryHarness:
    """A broker of its own."""

    def __init__(self, broker: MemoryBroker, world: Scheduler, rng: random.Random) -> None:
        self.broker = broker
        self._world = world
        self._random = rng
        self._topics = 0
        self._buses: list[Bus] = []

    def run(self, scenario: Callable[[Self], Awaitable[None]]) -> None:
        raise NotImplementedError

    async def topic(self, *, partitions: int = 1, append_time: bool = False) -> str:
        del append_time  # all memory topics are so
        self._topics += 1
        name = f"topic-{self._topics}"
        self.broker.create_topic(name, partitions=partitions)
        return name

    async def bus(self, *, prefix: str = "") -> MemoryBus:
        bus = MemoryBus(self.broker, world=self._world, rng=self._random, limits=IMPATIENT, prefix=prefix)
        self._buses.append(bus)
        return bus

    async def leave_open(self, topic: str, transactional_id: str, values: list[bytes]) -> None:
        self._write(topic, transactional_id, values)

    async def abort(self, topic: str, transactional_id: str, values: list[bytes]) -> None:
        producer_epoch = self._write(topic, transactional_id, values)
        self.broker.end(transactional_id, producer_epoch, Fate.ABORTED)
        place = self.broker.partition(topic, 0)
        marked, end = asyncio.Event(), place.end
        place.when_it_grows(marked.set)
        await marked.wait()
        assert place.end > end

    def _write(self, topic: str, transactional_id: str, values: list[bytes]) -> int:
        producer_epoch = self.broker.start_writer(transactional_id, 60.0)
        for sequence, record in enumerate(outgoing(*values)):
            self.broker.produce_in_transaction(
                transactional_id, producer_epoch, sequence, (topic, 0), [record]
            )
        return producer_epoch

    async def delete_before(self, topic: str, offset: int) -> None:
        self.broker.partition(topic, 0).delete_before(offset)

    def silence(self) -> None:
        self.broker.harshness.down = True

    def answer(self) -> None:
        self.broker.harshness.down = False

    async def close(self) -> None:
        self.answer()
        for bus in self._buses:
            await bus.close()


class CalmHarness(MemoryHarness):
    """On an ordinary loop; nothing goes wrong but what a test asks for."""

    def __init__(self) -> None:
        super().__init__(plain_broker(), PlainScheduler(), random.Random(1))

    def run(self, scenario: Callable[[Self], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with asyncio.timeout(60):
                await scenario(self)
                await self.close()

        asyncio.run(whole())


class HarshHarness(MemoryHarness):
    """On the simulation's loop: latency, cut fetches, late markers."""

    def __init__(self, seed: int) -> None:
        self.loop = SimLoop(seed)
        rng = random.Random(f"bus {seed}")
        broker = MemoryBroker(
            self.loop,
            now_ms=lambda: 1_700_000_000_000 + round(self.loop.now * 1000),
            now_s=self.loop.time,
            rng=rng,
        )
        broker.harshness.latency_s = 0.002
        broker.harshness.cut_fetches = 0.3
        super().__init__(broker, self.loop, rng)

    def run(self, scenario: Callable[[Self], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with asyncio.timeout(300):
                await scenario(self)
            await self.close()

        try:
            self.loop.run_until_complete(whole())
            assert not self.loop.errors
        finally:
            self.loop.shut_down()


class HarshHarnesses:
    """One scenario on many harsh harnesses, seed by seed."""

    def run(self, scenario: Callable[[HarshHarness], Awaitable[None]]) -> None:
        for seed in SEEDS:
            print("seed", seed)
            HarshHarness(seed).run(scenario)
