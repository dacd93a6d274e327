# SPDX-License-Identifier: Apache-2.0
"""The bus in memory: for tests, which make it harsher than Kafka, and for a demo without a broker.

A `MemoryBus` is one process's connection. It keeps no state of the log: everything is asked of the broker
over a network that may delay, lose and reorder, in the same steps in which `taxi.bus.kafka` asks it.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from taxi.bus import BusError, Claim, Offsets, Outgoing, Record, Unavailable, Unknown, Write
from taxi.bus.memory_broker import Busy, MemoryBroker, NothingOpen, Place
from taxi.bus.memory_groups import Rejoin
from taxi.bus.memory_log import Fate, Fetched, Partition
from taxi.bus.memory_membership import MemoryClaim, MemoryMembership
from taxi.bus.memory_network import Network, PlainWorld, Reply, Serve, Timeout, World

__all__ = ["MemoryBroker", "MemoryBus", "MemoryLimits", "plain_broker"]

_BUSY_S = 0.005


@dataclass(frozen=True, kw_only=True)
class MemoryLimits:
    """How long things may take, as `taxi.bus.kafka_link.Limits` says for Kafka."""

    give_up_s: float = 10.0
    request_s: float = 3.0
    end_transaction_s: float = 2.0
    transaction_s: float = 10.0
    session_s: float = 4.0
    heartbeat_s: float = 1.0


def plain_broker() -> MemoryBroker:
    """A broker on the running loop where nothing goes wrong; visibility still comes after the commit."""
    return MemoryBroker(
        PlainWorld(), now_ms=lambda: time.time_ns() // 1_000_000, now_s=time.monotonic, rng=random.Random(0)
    )


class Link:
    """The steps that readers and producers share: one request, and patience."""

    def __init__(self, broker: MemoryBroker, network: Network, limits: MemoryLimits) -> None:
        self.broker = broker
        self.network = network
        self.limits = limits

    async def once(self, act: Callable[[], Any], timeout_s: float | None = None) -> Any:
        """One request that the broker answers at once. Raises Timeout."""
        return await self.network.ask(lambda reply: reply(act()), timeout_s or self.limits.request_s)

    async def persist(self, what: str, act: Callable[[], Any]) -> Any:
        return await self.persist_held(what, lambda reply: reply(act()), 0.0)

    async def persist_held(self, what: str, serve: Serve, held_s: float) -> Any:
        """Ask again until there is an answer. `held_s`: the broker may keep the request so long."""
        return await self.repeat(what, lambda: self.network.ask(serve, self.limits.request_s + held_s))

    async def repeat(self, what: str, attempt: Callable[[], Awaitable[Any]]) -> Any:
        """Try again until there is an answer."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.give_up_s
        while True:
            try:
                return await attempt()
            except (Busy, Rejoin):
                await asyncio.sleep(_BUSY_S)
            except Timeout:
                await asyncio.sleep(0.05 * self.network.random.random())
            if loop.time() >= deadline:
                raise Unavailable(f"{what}: no success within {self.limits.give_up_s} s")


class MemoryReader:
    """A reader of one partition."""

    def __init__(self, link: Link, place: Place, offset: int, *, committed: bool) -> None:
        self._link = link
        self._place = place
        self._committed = committed
        self._position = offset

    @property
    def position(self) -> int:
        return self._position

    @property
    def _partition(self) -> Partition:
        """The one that has the name now: a topic may have been made anew."""
        return self._link.broker.partition(*self._place)

    def seek(self, offset: int) -> None:
        self._position = offset

    async def fetch(self, *, max_records: int = 1000, wait_ms: int = 100) -> list[Record]:
        offset, wait_s = self._position, wait_ms / 1000
        limit = self._cut(max_records)

        def serve(reply: Reply) -> None:
            self._serve(reply, offset, limit, wait_s)

        fetched = await self._link.persist_held(f"fetch {self._place[0]}", serve, wait_s)
        if self._position != offset:
            return []  # sought elsewhere meanwhile
        self._position = fetched.next_offset
        return fetched.records if isinstance(fetched.records, list) else []

    async def close(self) -> None:
        """There is nothing to close."""

    def _cut(self, max_records: int) -> int:
        """A fetch brings at most `max_records`, and often fewer, wherever that ends."""
        network = self._link.network
        if network.random.random() < network.harshness.cut_fetches:
            return network.random.randrange(1, max(2, min(max_records, 12)))
        return max_records

    def _serve(self, reply: Reply, offset: int, limit: int, wait_s: float) -> None:
        """Answer now if there is anything, else when something comes, else after the wait."""
        partition = self._partition
        fetched = partition.fetch(offset, limit, committed=self._committed)
        if fetched.next_offset > offset or not wait_s:
            return self._answer(reply, fetched)
        answered = False

        def again() -> None:
            nonlocal answered
            if not answered:
                answered = True
                partition.forget(again)
                try:
                    fetched = self._partition.fetch(offset, limit, committed=self._committed)
                except BusError as error:
                    reply(error)
                else:
                    self._answer(reply, fetched)

        partition.when_it_grows(again)
        self._link.network.world.in_world(wait_s, again)
        return None

    def _answer(self, reply: Reply, fetched: Fetched) -> None:
        if fetched.cut_through:
            self._link.broker.counts["half a transaction read"] += 1
        reply(fetched)


class MemoryProducer:
    """Idempotent with acks "all"; with "leader" a repeated request is a double."""

    def __init__(self, link: Link, prefix: str, *, idempotent: bool) -> None:
        self._link = link
        self._prefix = prefix
        self._idempotent = idempotent
        self._producer_id = -1
        self._sequence = 0
        self._one_at_a_time = asyncio.Lock()

    async def send(self, topic: str, partition: int, records: Sequence[Outgoing]) -> tuple[int, ...]:
        async with self._one_at_a_time:
            try:
                base = await self._send((self._prefix + topic, partition), records)
            except Unavailable as error:
                raise Unknown(str(error)) from error
        return tuple(range(base, base + len(records)))

    async def _send(self, place: Place, records: Sequence[Outgoing]) -> int:
        """Under a number of its own; whoever does not know what became of it starts over as someone new."""
        broker = self._link.broker
        if self._idempotent and self._producer_id < 0:
            self._producer_id = await self._link.persist("producer id", broker.new_producer_id)
        producer_id, self._producer_id = self._producer_id, -1
        self._sequence += 1
        sequence = self._sequence
        base = await self._link.persist(
            f"send to {place[0]}", lambda: broker.produce(place, records, producer_id, sequence)
        )
        self._producer_id = producer_id
        return int(base)

    async def close(self) -> None:
        """There is nothing to close."""


class MemoryTransactionalProducer:
    """Writes whole transactions, in the requests in which Kafka's does."""

    def __init__(self, link: Link, prefix: str, transactional_id: str) -> None:
        self._link = link
        self._prefix = prefix
        self._id = prefix + transactional_id
        self._epoch = -1
        self._sequence = 0
        self._spent = False

    async def start(self, claim: Claim | None = None) -> None:
        broker, timeout_s = self._link.broker, self._link.limits.transaction_s
        broker.counts["producers asked for"] += 1

        async def attempt() -> int:
            while claim is not None and not claim.holds():
                await claim.confirm()
            now_s = asyncio.get_running_loop().time()
            stamp = claim.member.stamp(now_s) if isinstance(claim, MemoryClaim) else None
            epoch = await self._link.once(lambda: broker.start_writer(self._id, timeout_s, stamp))
            return int(epoch)

        self._epoch = await self._link.repeat(f"start producer {self._id}", attempt)

    async def transact(self, writes: Sequence[Write]) -> tuple[int, ...]:
        if self._spent:
            raise BusError(f"producer {self._id} is spent")
        if not writes:
            return ()
        self._spent = True
        try:
            offsets = await self._produce(writes)
            await self._end()
        except (Unavailable, Timeout, NothingOpen) as error:
            raise Unknown(f"transaction of {self._id}: {error!r}") from error
        self._spent = False
        return offsets

    async def close(self) -> None:
        self._spent = True

    async def _produce(self, writes: Sequence[Write]) -> tuple[int, ...]:
        """One request for each partition and a few records, so that a crash may lie between any two."""
        offsets = [0] * len(writes)
        places: dict[Place, list[int]] = {}
        for index, write in enumerate(writes):
            places.setdefault((self._prefix + write.topic, write.partition), []).append(index)
        for place, indices in places.items():
            size = self._batch_size(len(indices))
            for first in range(0, len(indices), size):
                chunk = indices[first : first + size]
                base = await self._send(place, [writes[index].record for index in chunk])
                for offset, index in enumerate(chunk, base):
                    offsets[index] = offset
        return tuple(offsets)

    def _batch_size(self, count: int) -> int:
        """Harsh: a transaction may take up to three requests for each partition. Calm: one."""
        network = self._link.network
        if not network.harshness.latency_s:
            return count
        return max(1, -(-count // (1 + network.random.randrange(3))))

    async def _send(self, place: Place, records: list[Outgoing]) -> int:
        self._sequence += 1
        sequence, broker = self._sequence, self._link.broker

        def act() -> int:
            return broker.produce_in_transaction(self._id, self._epoch, sequence, place, records)

        return int(await self._link.persist(f"send for {self._id}", act))

    async def _end(self) -> None:
        """Sent once: an answer that never came is not asked for again."""
        broker, limits = self._link.broker, self._link.limits
        await self._link.once(
            lambda: broker.end(self._id, self._epoch, Fate.COMMITTED), limits.end_transaction_s
        )


class MemoryBus:
    """One process's connection to a memory broker."""

    def __init__(
        self,
        broker: MemoryBroker,
        *,
        world: World | None = None,
        rng: random.Random | None = None,
        limits: MemoryLimits | None = None,
        prefix: str = "",
    ) -> None:
        self._prefix = prefix
        self._broker = broker
        broker.groups.partitions_of = broker.partitions_of
        network = Network(world or PlainWorld(), broker.harshness, rng or random.Random(0))
        self._link = Link(broker, network, limits or MemoryLimits())
        self._members: list[MemoryMembership] = []

    async def reader(
        self, topic: str, partition: int, offset: int, *, committed: bool = True
    ) -> MemoryReader:
        place = self._prefix + topic, partition
        self._broker.partition(*place)  # raises for one that is not there
        return MemoryReader(self._link, place, offset, committed=committed)

    async def offsets(self, topic: str, partition: int) -> Offsets:
        place = self._prefix + topic, partition
        bounds: Offsets = await self._link.persist(
            f"offsets of {topic}", lambda: self._broker.partition(*place).offsets
        )
        return bounds

    async def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        place = self._broker.partition(self._prefix + topic, partition)
        return int(await self._link.persist(f"offsets of {topic}", lambda: place.offset_at(timestamp_ms)))

    async def producer(self, *, acks: Literal["all", "leader"] = "all") -> MemoryProducer:
        return MemoryProducer(self._link, self._prefix, idempotent=acks == "all")

    async def transactional_producer(
        self, transactional_id: str, claim: Claim | None = None
    ) -> MemoryTransactionalProducer:
        producer = MemoryTransactionalProducer(self._link, self._prefix, transactional_id)
        await producer.start(claim)
        return producer

    async def join(self, group: str, topic: str) -> MemoryMembership:
        member = MemoryMembership(
            self._broker,
            self._link.network,
            group=self._prefix + group,
            topic=self._prefix + topic,
            session_s=self._link.limits.session_s,
            heartbeat_s=self._link.limits.heartbeat_s,
            request_s=self._link.limits.request_s,
        )
        member.start()
        self._members.append(member)
        return member

    async def close(self) -> None:
        for member in self._members:
            await member.leave()
