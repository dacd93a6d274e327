# SPDX-License-Identifier: Apache-2.0
"""Reading a partition: one fetch request for each call that finds nothing in hand."""

from typing import Any, Final

from aiokafka.errors import CorruptRecordException, OffsetOutOfRangeError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from taxi.bus import OffsetOutOfRange, Record
from taxi.bus.kafka_link import KafkaLink

_BYTES_MAX: Final = 4 << 20


class InHand:
    """What a fetch brought, taken a batch of the log at a time.

    aiokafka parses the batches; its own walk over them would make each record twice, a step of a generator
    apart, which takes three times as long.
    """

    def __init__(self, data: bytes, aborted: Any, offset: int, *, committed: bool) -> None:
        self.next_offset = offset
        self._batches = MemoryRecords(data)
        self._committed = committed
        self._aborts = sorted(aborted or [], key=lambda abort: abort[1])
        """(producer, first offset) of transactions that were aborted later."""
        self._aborting: set[int] = set()
        self._batch: list[Record] = []
        self._taken = 0
        self._after_batch = offset

    def take(self, at_most: int) -> list[Record]:
        """The next records; fewer than `at_most` only at the end. Moves `next_offset` behind them."""
        taken: list[Record] = []
        while len(taken) < at_most and self._has_more():
            more = self._batch[self._taken : self._taken + at_most - len(taken)]
            self._taken += len(more)
            taken = taken + more if taken else more
            done = self._taken == len(self._batch)
            self.next_offset = self._after_batch if done else more[-1].offset + 1
        return taken

    def _has_more(self) -> bool:
        """Whether the batch at hand, or the next that holds anything, has records left."""
        while self._taken == len(self._batch):
            if not self._batches.has_next():
                return False
            batch = self._batches.next_batch()
            if not batch.validate_crc():
                raise CorruptRecordException(f"batch at offset {batch.base_offset}")
            self._batch, self._taken = self._read(batch) if self._shows(batch) else [], 0
            self._after_batch = batch.next_offset
            if not self._batch:
                self.next_offset = self._after_batch
        return True

    def _read(self, batch: Any) -> list[Record]:
        """A fetch from the middle of a batch brings all of it."""
        records = [
            Record(each.offset, each.timestamp, each.key, each.value, tuple(each.headers)) for each in batch
        ]
        if batch.base_offset < self.next_offset:
            return [record for record in records if record.offset >= self.next_offset]
        return records

    def _shows(self, batch: Any) -> bool:
        """No control records, and nothing aborted to who reads committed."""
        if not self._committed or batch.producer_id is None:
            return not batch.is_control_batch
        while self._aborts and self._aborts[0][1] <= batch.base_offset:
            self._aborting.add(self._aborts.pop(0)[0])
        if batch.is_control_batch:
            if ControlRecord.parse(next(batch).key) == ABORT_MARKER:
                self._aborting.discard(batch.producer_id)
            return False
        return not (batch.is_transactional and batch.producer_id in self._aborting)


class KafkaReader:
    """A reader with a connection of its own."""

    def __init__(self, link: KafkaLink, topic: str, partition: int, offset: int, *, committed: bool) -> None:
        self._link = link
        self._at = TopicPartition(topic, partition)
        self._isolation = 1 if committed else 0
        self._position = offset
        self._in_hand: InHand | None = None

    @property
    def position(self) -> int:
        return self._position

    def seek(self, offset: int) -> None:
        self._position = offset
        self._in_hand = None

    async def fetch(self, *, max_records: int = 1000, wait_ms: int = 100) -> list[Record]:
        records = self._take(max_records)
        if not records:
            await self._link.persist(f"fetch {self._at.topic}", lambda: self._ask(wait_ms))
            records = self._take(max_records)
        return records

    async def close(self) -> None:
        self._in_hand = None
        await self._link.close()

    def _take(self, max_records: int) -> list[Record]:
        if self._in_hand is None:
            return []
        records = self._in_hand.take(max_records)
        self._position = self._in_hand.next_offset
        if len(records) < max_records:
            self._in_hand = None
        return records

    async def _ask(self, wait_ms: int) -> None:
        topic, partition = self._at
        offset = self._position
        wanted = [(topic, [(partition, offset, _BYTES_MAX)])]
        request = FetchRequest(wait_ms, 1, _BYTES_MAX, self._isolation, wanted)
        answer = await self._link.ask_leader(topic, partition, request)
        [(_, [(_, code, _, *rest)])] = answer.topics
        error = for_code(code)
        if error is OffsetOutOfRangeError:
            raise OffsetOutOfRange(f"{topic}/{partition} has no offset {offset}")
        if code:
            raise error(f"{topic}/{partition}")
        if offset == self._position:  # nobody sought elsewhere meanwhile
            # Before the records: aborted transactions, then (since version 11) the preferred replica.
            aborted = rest[2 if answer.API_VERSION >= 11 else -2]
            self._in_hand = InHand(rest[-1] or b"", aborted, offset, committed=self._isolation == 1)
