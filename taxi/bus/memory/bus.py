# SPDX-License-Identifier: Apache-2.0
"""The bus in memory: for tests, which inject faults into it, and for a demo without a broker.

A `MemoryBus` is one process's access. It holds no state of the log: it sends requests to a `MemoryBroker`
over a simulated network that may delay, lose and reorder them, in the same steps as `taxi.bus.kafka`.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from taxi.bus import (
    RECORDS_AT_ONCE,
    BusError,
    Claim,
    Offsets,
    OpenTransaction,
    Outgoing,
    Record,
    Unavailable,
    Unknown,
    Write,
)
from taxi.bus.memory.broker import Busy, MemoryBroker, NothingOpen, Place
from taxi.bus.memory.groups import Rejoin
from taxi.bus.memory.log import Fate, FetchedRecords, Partition
from taxi.bus.memory.membership import MemoryClaim, MemoryMembership
from taxi.bus.memory.network import (
    MemoryConnection,
    Network,
    PlainScheduler,
    Reply,
    Scheduler,
    Serve,
    Timeout,
)

__all__ = ["MemoryBroker", "MemoryBus", "MemoryLimits", "plain_broker"]

_BUSY_S = 0.005


@dataclass(frozen=True, kw_only=True)
class MemoryLimits:
    """Time limits, as in `taxi.bus.kafka.limits.KafkaLimits`."""

    give_up_s: float = 10.0
    request_s: float = 3.0
    end_transaction_s: float = 2.0
    transaction_s: float = 10.0
    session_s: float = 4.0
    heartbeat_s: float = 1.0


def plain_broker() -> MemoryBroker:
    """A broker on the running loop without faults.

    A commit still becomes visible after it is acknowledged.
    """
    return MemoryBroker(
        PlainScheduler(),
        now_ms=lambda: time.time_ns() // 1_000_000,
        now_s=time.monotonic,
        rng=random.Random(0),
    )


class BrokerLink:
    """Sends requests with retries, over one connection; every reader and producer has its own."""

    def __init__(self, broker: MemoryBroker, network: Network, limits: MemoryLimits) -> None:
        self.broker = broker
        self.network = network
        self.limits = limits
        self.connection = MemoryConnection(network)

    async def once(self, act: Callable[[], Any], timeout_s: float | None = None) -> Any:
        """Send one request that the broker answers at once, without retry. Raises Timeout."""
        return await self.connection.ask(lambda reply: reply(act()), timeout_s or self.limits.request_s)

    async def persist(self, what: str, act: Callable[[], Any]) -> Any:
        return await self.persist_held(what, lambda reply: reply(act()), 0.0)

    async def persist_held(self, what: str, serve: Serve, held_s: float) -> Any:
        """Send a request until there is an answer. `held_s`: how long the broker may hold it."""
        return await self.repeat(what, lambda: self.connection.ask(serve, self.limits.request_s + held_s))

    async def repeat(self, what: str, attempt: Callable[[], Awaitable[Any]]) -> Any:
        """Retry `attempt` after Busy, Rejoin and Timeout. Raises Unavailable after `give_up_s`."""
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

    def __init__(self, link: BrokerLink, place: Place, offset: int, *, committed: bool) -> None:
        self._link = link
        self._place = place
        self._committed = committed
        self._position = offset
        self._end: int | None = None
        self._withheld = 0

    @property
    def position(self) -> int:
        return self._position

    @property
    def end(self) -> int | None:
        return self._end

    @property
    def withheld(self) -> int:
        return self._withheld

    @property
    def _partition(self) -> Partition:
        """The partition that has the name now. A topic may have been deleted and created again."""
        return self._link.broker.partition(*self._place)

    def seek(self, offset: int) -> None:
        self._position = offset

    async def fetch(self, *, max_records: int = RECORDS_AT_ONCE, wait_ms: int = 100) -> list[Record]:
        offset, wait_s = self._position, wait_ms / 1000
        limit = self._cut(max_records)

        def serve(reply: Reply) -> None:
            self._serve(reply, offset, limit, wait_s)

        fetched = await self._link.persist_held(f"fetch {self._place[0]}", serve, wait_s)
        self._end = fetched.end
        self._withheld = fetched.withheld
        if self._position != offset:
            return []  # `seek` was called during the request
        self._position = fetched.next_offset
        return fetched.records if isinstance(fetched.records, list) else []

    async def close(self) -> None:
        """Does nothing; part of the interface."""

    def _cut(self, max_records: int) -> int:
        """How many records this fetch returns at most: fewer than `max_records` at random (`cut_fetches`)."""
        network = self._link.network
        if network.random.random() < network.harshness.cut_fetches:
            return network.random.randrange(1, max(2, min(max_records, 12)))
        return max_records

    def _serve(self, reply: Reply, offset: int, limit: int, wait_s: float) -> None:
        """Answer now if there are records, otherwise after the next append, at the latest after `wait_s`."""
        partition = self._partition
        fetched = partition.fetch(offset, limit, committed=self._committed)
        if fetched.next_offset > offset or not wait_s:
            return self._answer(reply, fetched)
        answered = False

        def again() -> None:
            nonlocal answered
            if not answered:
                answered = True
                partition.cancel(again)
                try:
                    fetched = self._partition.fetch(offset, limit, committed=self._committed)
                except BusError as error:
                    reply(error)
                else:
                    self._answer(reply, fetched)

        partition.when_it_grows(again)
        self._link.network.world.in_world(wait_s, again)
        return None

    def _answer(self, reply: Reply, fetched: FetchedRecords) -> None:
        if fetched.cut_through:
            self._link.broker.counts["half a transaction read"] += 1
        reply(fetched)


class MemoryProducer:
    """A producer without transactions. With acks "leader" a repeated request writes its records twice."""

    def __init__(self, link: BrokerLink, prefix: str, *, idempotent: bool) -> None:
        self._link = link
        self._prefix = prefix
        self._idempotent = idempotent
        self._producer_id = -1
        self._sequence = 0
        self._one_at_a_time = asyncio.Lock()
        self._append_ms: int | None = None

    @property
    def append_ms(self) -> int | None:
        return self._append_ms

    async def send(self, topic: str, partition: int, records: Sequence[Outgoing]) -> tuple[int, ...]:
        async with self._one_at_a_time:
            try:
                base = await self._send((self._prefix + topic, partition), records)
            except Unavailable as error:
                raise Unknown(str(error)) from error
        return tuple(range(base, base + len(records)))

    async def _send(self, place: Place, records: Sequence[Outgoing]) -> int:
        """Write one request. After an unknown outcome the next call gets a new producer id."""
        broker = self._link.broker
        if self._idempotent and self._producer_id < 0:
            self._producer_id = await self._link.persist("producer id", broker.new_producer_id)
        producer_id, self._producer_id = self._producer_id, -1
        self._sequence += 1
        sequence = self._sequence

        def produce() -> tuple[int, int | None]:
            base = broker.produce(place, records, producer_id, sequence)
            written = broker.partition(*place).entries[base : base + len(records)]
            return base, max((entry.record.timestamp_ms for entry in written), default=None)

        base, append_ms = await self._link.persist(f"send to {place[0]}", produce)
        self._append_ms = append_ms or self._append_ms
        self._producer_id = producer_id
        return int(base)

    async def close(self) -> None:
        """Does nothing; part of the interface."""


class MemoryTransactionalProducer:
    """Writes whole transactions, in the same requests as `KafkaTransactionalProducer`."""

    def __init__(self, link: BrokerLink, prefix: str, transactional_id: str) -> None:
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
            producer_epoch = await self._link.once(lambda: broker.start_writer(self._id, timeout_s, stamp))
            return int(producer_epoch)

        self._epoch = await self._link.repeat(f"start producer {self._id}", attempt)

    @property
    def producer_id(self) -> int:
        return self._link.broker.producer_id_of(self._id)

    async def transact(self, writes: Sequence[Write]) -> tuple[int, ...]:
        if self._spent:
            raise BusError(f"producer {self._id} is spent")
        if not writes:
            return ()
        self._spent = True
        try:
            offsets = await self._produce(writes)
            await self.commit()
        except (Unavailable, Timeout, NothingOpen) as error:
            raise Unknown(f"transaction of {self._id}: {error!r}") from error
        self._spent = False
        return offsets

    async def close(self) -> None:
        self._spent = True

    async def _produce(self, writes: Sequence[Write]) -> tuple[int, ...]:
        """Send requests of one partition and a few records each, so that a crash can happen between them."""
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
        """Records in one request: all if the network has no latency, otherwise one to three requests."""
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

    async def commit(self) -> None:
        """Commit. EndTxn is sent once, also if no answer comes."""
        broker, limits = self._link.broker, self._link.limits
        await self._link.once(
            lambda: broker.end(self._id, self._epoch, Fate.COMMITTED), limits.end_transaction_s
        )


class MemoryBus:
    """One process's access to a memory broker."""

    def __init__(
        self,
        broker: MemoryBroker,
        *,
        world: Scheduler | None = None,
        rng: random.Random | None = None,
        limits: MemoryLimits | None = None,
        prefix: str = "",
    ) -> None:
        self._prefix = prefix
        self._broker = broker
        broker.groups.partitions_of = broker.partitions_of
        self.network = Network(world or PlainScheduler(), broker.harshness, rng or random.Random(0))
        self._limits = limits or MemoryLimits()
        self._link = self._new_link()
        self._members: list[MemoryMembership] = []

    async def reader(
        self, topic: str, partition: int, offset: int, *, committed: bool = True
    ) -> MemoryReader:
        place = self._prefix + topic, partition
        self._broker.partition(*place)  # raises if it does not exist
        return MemoryReader(self._new_link(), place, offset, committed=committed)

    def _new_link(self) -> BrokerLink:
        return BrokerLink(self._broker, self.network, self._limits)

    async def offsets(self, topic: str, partition: int) -> Offsets:
        place = self._prefix + topic, partition
        bounds: Offsets = await self._link.persist(
            f"offsets of {topic}", lambda: self._broker.partition(*place).offsets
        )
        return bounds

    async def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        place = self._broker.partition(self._prefix + topic, partition)
        return int(await self._link.persist(f"offsets of {topic}", lambda: place.offset_at(timestamp_ms)))

    async def open_transactions(self, topic: str, partition: int) -> tuple[OpenTransaction, ...]:
        place = self._prefix + topic, partition
        try:
            found: tuple[OpenTransaction, ...] = await self._link.once(
                lambda: self._broker.partition(*place).open_transactions
            )
        except BusError:
            return ()
        return found

    async def producer(self, *, acks: Literal["all", "leader"] = "all") -> MemoryProducer:
        return MemoryProducer(self._new_link(), self._prefix, idempotent=acks == "all")

    async def transactional_producer(
        self, transactional_id: str, claim: Claim | None = None
    ) -> MemoryTransactionalProducer:
        producer = MemoryTransactionalProducer(self._new_link(), self._prefix, transactional_id)
        await producer.start(claim)
        return producer

    async def join(self, group: str, topic: str) -> MemoryMembership:
        member = MemoryMembership(
            self._broker,
            MemoryConnection(self.network),
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
