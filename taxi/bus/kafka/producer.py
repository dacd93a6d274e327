# SPDX-License-Identifier: Apache-2.0
"""The idempotent producer (KIP-98): sequence numbers make a repeated request write its records once."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from aiokafka.errors import DuplicateSequenceNumber, for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from taxi.bus import Outgoing, Unavailable, Unknown
from taxi.bus.kafka.link import KafkaLink

_BATCH_BYTES: Final = 512 << 10
"""Size of a batch, far below a topic's `max.message.bytes`. A larger record is sent in a batch of its own."""
_TIMEOUT_MS_MAX: Final = 2**31 - 1


class Identity(NamedTuple):
    """Producer id and epoch. (-1, -1): a producer that is not idempotent."""

    producer_id: int = -1
    producer_epoch: int = -1


class ProduceBatch(NamedTuple):
    """An encoded record batch and its number of records."""

    data: bytes
    size: int


def build(
    records: Sequence[Outgoing], first: int, who: Identity, sequence: int, *, transactional: bool, codec: int
) -> ProduceBatch:
    """Encode as many of `records`, from index `first` on, as fit into one batch; at least one.

    Args:
        records: All records to write.
        first: The index of the first one that is not written yet.
        who: The producer id and epoch of the batch.
        sequence: The sequence number of its first record; −1 if the producer is not idempotent.
        transactional: Sets the transactional bit.
        codec: aiokafka's number of the compression codec.
    """
    builder = DefaultRecordBatchBuilder(
        2, codec, int(transactional), who.producer_id, who.producer_epoch, sequence, _BATCH_BYTES
    )
    count = 0
    for record in records[first:]:
        added = builder.append(count, None, record.key, record.value, list(record.headers))
        if added is None:
            break
        count += 1
    return ProduceBatch(bytes(builder.build()), count)


def base_offset(answer: Any) -> int:
    """The offset of the first record of a produced batch; −1 if the broker does not return it.

    A DuplicateSequenceNumber counts as success: an earlier attempt had written the batch.

    Raises:
        KafkaError: The broker refused the batch.
    """
    [(_, [(_, code, offset, *_rest)])] = answer.topics
    if code and for_code(code) is not DuplicateSequenceNumber:
        raise for_code(code)
    return int(offset)


def append_time(answer: Any) -> int | None:
    """The broker's append time of a produced batch; None if the topic keeps the producers' timestamps."""
    [(_, [(_, _code, _offset, timestamp_ms, *_rest)])] = answer.topics
    return int(timestamp_ms) if timestamp_ms >= 0 else None


def wrapped(sequence: int) -> int:
    """The sequence number modulo 2^31, after which Kafka starts from 0 again."""
    return sequence % 2**31


class KafkaProducer:
    """A producer without transactions.

    Either idempotent with acks=all, or not idempotent with acks=1 and LZ4, for records that may be lost or
    written twice.
    """

    def __init__(self, link: KafkaLink, prefix: str, *, idempotent: bool) -> None:
        self._link = link
        self._prefix = prefix
        self._idempotent = idempotent
        self._codec = DefaultRecordBatch.CODEC_NONE if idempotent else DefaultRecordBatch.CODEC_LZ4
        self._who: Identity | None = None if idempotent else Identity()
        self._one_at_a_time = asyncio.Lock()
        self._sequences: dict[tuple[str, int], int] = {}
        self._append_ms: int | None = None

    @property
    def append_ms(self) -> int | None:
        return self._append_ms

    async def send(self, topic: str, partition: int, records: Sequence[Outgoing]) -> tuple[int, ...]:
        async with self._one_at_a_time:
            try:
                return tuple(await self._send_all(self._prefix + topic, partition, records))
            except Unavailable as error:
                raise Unknown(str(error)) from error

    async def close(self) -> None:
        await self._link.close()

    async def _send_all(self, topic: str, partition: int, records: Sequence[Outgoing]) -> list[int]:
        """Write all records in batches. After an unknown outcome the next call gets a new producer id.

        The sequence numbers of the old one can't be continued, because it is not known which of them the
        broker has accepted.
        """
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
            answer = await self._link.ask_leader(topic, partition, request)
            base = base_offset(answer)
            self._append_ms = append_time(answer)
            return base

        base = await self._link.persist(f"send to {topic}", attempt)
        self._sequences[topic, partition] = wrapped(sequence + batch.size)
        return [base + index if base >= 0 else -1 for index in range(batch.size)]
