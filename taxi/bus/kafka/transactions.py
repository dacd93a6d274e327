# SPDX-License-Identifier: Apache-2.0
"""The transactional producer (KIP-98): AddPartitionsToTxn, Produce, EndTxn.

EndTxn is sent again only after an answer that allows it. If it gets none, it is never sent again under the
same epoch: with this version of the request a copy that arrives late would commit a part of the next
transaction (KIP-890). The outcome is then Unknown, and the producer can't be used again. A successor raises
the epoch first, so the broker rejects late requests.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    KafkaError,
    NodeNotReadyError,
    NotCoordinatorError,
    ProducerFenced,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatch

from taxi.bus import BusError, Claim, Fenced, Outgoing, Unavailable, Unknown, Write
from taxi.bus.kafka.link import KafkaLink
from taxi.bus.kafka.producer import Identity, ProduceBatch, base_offset, build, wrapped

_FENCED: Final = (ProducerFenced, InvalidProducerEpoch, InvalidProducerIdMapping)
_MOVED: Final = (CoordinatorNotAvailableError, NotCoordinatorError)
_BUSY: Final = (ConcurrentTransactions, CoordinatorLoadInProgressError)
_BUSY_S: Final = 0.005
"""Pause before a retry while the coordinator still writes the markers of the previous transaction."""

Place = tuple[str, int]
T = TypeVar("T")


class KafkaTransactionalProducer:
    """A transactional producer; it can write until a successor with its transactional id starts."""

    def __init__(self, link: KafkaLink, prefix: str, transactional_id: str) -> None:
        self._link = link
        self._prefix = prefix
        self._id = prefix + transactional_id
        self._who = Identity()
        self._sequences: defaultdict[Place, int] = defaultdict(int)
        self._spent = False

    async def start(self, claim: Claim | None = None) -> None:
        """Fence the predecessor, abort its open transaction and wait until that is done (InitProducerId).

        The coordinator is looked up and connected before the claim is checked. There is no await between
        `claim.holds()` and sending the request, so the claim can't expire between them.

        Raises:
            ClaimLost: The group has taken the claim's assignment back.
            Unavailable: The coordinator did not answer within the limit.
        """
        request = InitProducerIdRequest(self._id, self._link.limits.transaction_ms)

        async def attempt() -> Identity:
            await self._link.reach_coordinator(self._id)
            while claim is not None and not claim.holds():
                try:
                    await claim.confirm()
                except Unavailable as error:
                    raise NodeNotReadyError(str(error)) from error
            answer = await self._ask(request)
            await self._check(answer.error_code)
            return Identity(answer.producer_id, answer.producer_epoch)

        self._who = await self._link.persist(f"start producer {self._id}", attempt, also=_BUSY)

    @property
    def producer_id(self) -> int:
        return self._who.producer_id

    async def transact(self, writes: Sequence[Write]) -> tuple[int, ...]:
        if self._spent:
            raise BusError(f"producer {self._id} is spent")
        if not writes:
            return ()
        self._spent = True
        try:
            async with asyncio.timeout(self._link.limits.give_up_s):
                await self._add_partitions(sorted({self._place(write) for write in writes}))
                offsets = await self._produce(writes)
            await self._end()
        except _FENCED as error:
            raise Fenced(f"{self._id}: {error!r}") from error
        except (TimeoutError, Unavailable) as error:
            raise Unknown(f"transaction of {self._id}: {error!r}") from error
        self._spent = False
        return offsets

    async def close(self) -> None:
        self._spent = True
        await self._link.close()

    def _place(self, write: Write) -> Place:
        return self._prefix + write.topic, write.partition

    async def _add_partitions(self, places: list[Place]) -> None:
        topics: defaultdict[str, list[int]] = defaultdict(list)
        for topic, partition in places:
            topics[topic].append(partition)
        request = AddPartitionsToTxnRequest(self._id, *self._who, list(topics.items()))

        async def attempt() -> None:
            answer = await self._ask(request)
            for code in sorted({code for _, errors in answer.errors for _, code in errors}):
                await self._check(code)

        await self._persist("add partitions", attempt)

    async def _produce(self, writes: Sequence[Write]) -> tuple[int, ...]:
        places: defaultdict[Place, list[Outgoing]] = defaultdict(list)
        indices: defaultdict[Place, list[int]] = defaultdict(list)
        for index, write in enumerate(writes):
            places[self._place(write)].append(write.record)
            indices[self._place(write)].append(index)
        offsets = [0] * len(writes)
        for place, records in places.items():
            for index, offset in zip(indices[place], await self._produce_one(place, records), strict=True):
                offsets[index] = offset
        return tuple(offsets)

    async def _produce_one(self, place: Place, records: Sequence[Outgoing]) -> list[int]:
        offsets: list[int] = []
        while len(offsets) < len(records):
            batch = self._batch(place, records, len(offsets))
            base = await self._send(place, batch)
            self._sequences[place] = wrapped(self._sequences[place] + batch.size)
            offsets += range(base, base + batch.size)
        return offsets

    def _batch(self, place: Place, records: Sequence[Outgoing], first: int) -> ProduceBatch:
        codec = DefaultRecordBatch.CODEC_NONE
        return build(records, first, self._who, self._sequences[place], transactional=True, codec=codec)

    async def _send(self, place: Place, batch: ProduceBatch) -> int:
        topic, partition = place
        request = ProduceRequest(
            self._id, -1, self._link.limits.request_ms, [(topic, [(partition, batch.data)])]
        )

        async def attempt() -> int:
            return base_offset(await self._link.ask_leader(topic, partition, request))

        return await self._persist(f"send to {topic}", attempt)

    async def _end(self) -> None:
        """Commit. EndTxn is sent again only after an answer that refuses it for now.

        A repeat is safe then: the earlier request was answered, and no next transaction has begun.
        """
        request = EndTxnRequest(self._id, *self._who, True)
        async with asyncio.timeout(self._link.limits.end_transaction_s):
            while True:
                try:
                    answer = await self._ask(request)
                except KafkaError as error:
                    raise Unknown(f"end of transaction: {error!r}") from error
                if answer.error_code == 0:
                    return
                refusal = for_code(answer.error_code)
                if refusal in _MOVED:
                    self._link.drop_coordinator()
                elif refusal in _FENCED:
                    raise refusal
                elif refusal not in _BUSY:
                    raise Unknown(f"end of transaction: {refusal.__name__}")
                await asyncio.sleep(_BUSY_S)

    async def _persist(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        return await self._link.persist(f"{what} for {self._id}", attempt, also=_BUSY, through=_FENCED)

    async def _ask(self, request: Any) -> Any:
        return await self._link.ask_coordinator(self._id, request)

    async def _check(self, code: int) -> None:
        """Raise the error of the coordinator's answer, if any; `persist` retries the retriable ones."""
        error = for_code(code)
        if error in _MOVED:
            self._link.drop_coordinator()
        if code:
            raise error
