# SPDX-License-Identifier: Apache-2.0
"""Writing with sequence numbers: a request may be sent again, its records are in the log once."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from aiokafka.errors import DuplicateSequenceNumber, for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from taxi.bus import Outgoing, Unavailable, Unknown
from taxi.bus.kafka_link import KafkaLink

_BATCH_BYTES: Final = 512 << 10
"""Well below a topic's `max.message.bytes`; a single larger record still goes out, alone."""
_TIMEOUT_MS_MAX: Final = 2**31 - 1


class Identity(NamedTuple):
    """Who writes, as the broker knows it. (-1, -1): nobody in particular."""

    producer_id: int = -1
    epoch: int = -1


class Batch(NamedTuple):
    """A record batch as it goes over the wire, and how many records it has."""

    data: bytes
    size: int


def build(
    records: Sequence[Outgoing], first: int, who: Identity, sequence: int, *, transactional: bool, codec: int
) -> Batch:
    """As many of `records`, from index `first` on, as one batch holds; at least one."""
    builder = DefaultRecordBatchBuilder(
        2, codec, int(transactional), who.producer_id, who.epoch, sequence, _BATCH_BYTES
    )
    count = 0
    for record in records[first:]:
        added = builder.append(count, None, record.key, record.value, list(record.headers))
        if added is None:
            break
        count += 1
    return Batch(bytes(builder.build()), count)


def base_offset(answer: Any) -> int:
    """The offset of the first record of a produced batch. Raises KafkaError."""
    [(_, [(_, code, offset, *_rest)])] = answer.topics
    if code and for_code(code) is not DuplicateSequenceNumber:
        raise for_code(code)
    return int(offset)


def wrapped(sequence: int) -> int:
    """Sequence numbers go round at 2^31."""
    return sequence % 2**31


class KafkaProducer:
    """Idempotent with acks=all; or plain, compressed and with acks=1, for what may be lost or doubled."""

    def __init__(self, link: KafkaLink, prefix: str, *, idempotent: bool) -> None:
        self._link = link
        self._prefix = prefix
        self._idempotent = idempotent
        self._codec = DefaultRecordBatch.CODEC_NONE if idempotent else DefaultRecordBatch.CODEC_LZ4
        self._who: Identity | None = None if idempotent else Identity()
        self._one_at_a_time = asyncio.Lock()
        self._sequences: dict[tuple[str, int], int] = {}

    async def send(self, topic: str, partition: int, records: Sequence[Outgoing]) -> tuple[int, ...]:
        async with self._one_at_a_time:
            try:
                return tuple(await self._send_all(self._prefix + topic, partition, records))
            except Unavailable as error:
                raise Unknown(str(error)) from error

    async def close(self) -> None:
        await self._link.close()

    async def _send_all(self, topic: str, partition: int, records: Sequence[Outgoing]) -> list[int]:
        """Whoever does not know what became of a write must not go on under the same numbers."""
        who = self._who
        if who is None:
            who = await self._link.persist("producer id", self._introduce)
        self._who = None if self._idempotent else who
        offsets: list[int] = []
        while len(offsets) < len(records):
            offsets += await self._send(topic, partition, records, len(offsets), who)
        self._who = who
        return offsets

    async def _introduce(self) -> Identity:
        answer = await self._link.ask_anyone(InitProducerIdRequest(None, _TIMEOUT_MS_MAX))
        if answer.error_code:
            raise for_code(answer.error_code)
        self._sequences.clear()
        return Identity(answer.producer_id, answer.producer_epoch)

    async def _send(
        self, topic: str, partition: int, records: Sequence[Outgoing], first: int, who: Identity
    ) -> list[int]:
        sequence = self._sequences.get((topic, partition), 0) if self._idempotent else -1
        batch = build(records, first, who, sequence, transactional=False, codec=self._codec)
        acks = -1 if self._idempotent else 1
        request = ProduceRequest(
            None, acks, self._link.limits.request_ms, [(topic, [(partition, batch.data)])]
        )

        async def attempt() -> int:
            return base_offset(await self._link.ask_leader(topic, partition, request))

        base = await self._link.persist(f"send to {topic}", attempt)
        self._sequences[topic, partition] = wrapped(sequence + batch.size)
        return [base + index if base >= 0 else -1 for index in range(batch.size)]
