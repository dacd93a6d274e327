# SPDX-License-Identifier: Apache-2.0
"""Reading a partition: one fetch request for each call that finds nothing in hand."""

from itertools import islice
from typing import Any, Final

from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import OffsetOutOfRangeError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from taxi.bus import OffsetOutOfRange, Record
from taxi.bus.kafka_link import KafkaLink

_BYTES_MAX: Final = 4 << 20


class _Unpacked(PartitionRecords):  # type: ignore[misc] # aiokafka ships no types
    """aiokafka's walk over batches (checksums, aborted and control records), straight into our records."""

    def _consumer_record(self, _tp: TopicPartition, record: Any) -> Record:
        return Record(record.offset, record.timestamp, record.key, record.value, tuple(record.headers))


class KafkaReader:
    """A reader with a connection of its own."""

    def __init__(self, link: KafkaLink, topic: str, partition: int, offset: int, *, committed: bool) -> None:
        self._link = link
        self._at = TopicPartition(topic, partition)
        self._isolation = 1 if committed else 0
        self._position = offset
        self._in_hand: _Unpacked | None = None

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
        records = list(islice(self._in_hand, max_records))
        self._position = self._in_hand.next_fetch_offset
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
            self._in_hand = _Unpacked(
                self._at, MemoryRecords(rest[-1] or b""), aborted, offset, None, None, True, self._isolation
            )
