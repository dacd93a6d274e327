# SPDX-License-Identifier: Apache-2.0
"""A model of what Kafka 4.3 does with a file of record batches, damaged or not, and the real reader on it.

It looks for an offset from an entry of its sparse index on, believes each header that it passes, and returns
bytes without looking at them. tests/bus/test_kafka_damage.py shows that a real broker does so.
"""

import struct
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from taxi.bus import OffsetOutOfRange, Record
from taxi.bus.kafka.detour import FetchResponse
from taxi.bus.kafka.limits import KafkaLimits
from taxi.bus.kafka.reader import KafkaReader
from testing.record_batches import HEADER
from testing.virtual_time import SimLoop

FRAME: Final = struct.Struct(">qi")
REFUSED: Final = "the broker cannot read it: CorruptRecordException"


class Placed(NamedTuple):
    """Where a batch lies."""

    at: int
    base: int
    end: int


class Segment:
    """A file of batches, and an index of every `every`-th of them."""

    def __init__(self, batches: list[bytes], every: int) -> None:
        self.data = bytearray().join(batches)
        self.placed: list[Placed] = []
        at = 0
        for each in batches:
            base, _, _, _, _, _, last_delta, *_ = HEADER.unpack_from(each)
            self.placed.append(Placed(at, base, base + last_delta + 1))
            at += len(each)
        self.index = self.placed[::every]
        self.end = self.placed[-1].end if self.placed else 0
        self.fetches = 0

    def leads_to(self, placed: Placed) -> bool:
        """Whether the broker gets to this batch from its index: it passes others by their claimed length."""
        at = max(entry.at for entry in self.index if entry.base <= placed.base)
        while at < placed.at:
            _, length = FRAME.unpack_from(self.data, at)
            if length < 14:
                return False
            at += FRAME.size + length
        return at == placed.at

    def fetch(self, offset: int, bytes_max: int) -> FetchResponse:
        """As a broker does. Raises OffsetOutOfRange."""
        self.fetches += 1
        if not 0 <= offset <= self.end:
            raise OffsetOutOfRange(str(offset))
        if offset == self.end:
            return FetchResponse(b"", (), self.end, self.end)
        at = max((entry.at for entry in self.index if entry.base <= offset), default=0)
        while at + HEADER.size <= len(self.data):
            base, length = FRAME.unpack_from(self.data, at)
            if length < 14:
                return FetchResponse(b"", (), -1, -1, REFUSED)
            if at + FRAME.size + length > len(self.data):
                break
            (last_delta,) = struct.unpack_from(">i", self.data, at + 23)
            if base + last_delta >= offset:
                size = max(bytes_max, FRAME.size + length)
                return FetchResponse(bytes(self.data[at : at + size]), (), self.end, self.end)
            at += FRAME.size + length
        return FetchResponse(b"", (), self.end, self.end)


class ModelReader(KafkaReader):
    """The real reader on a model of a broker."""

    def __init__(self, segment: Segment, offset: int, bytes_max: int) -> None:
        super().__init__(_NoLink(), "topic", 0, offset, committed=True)  # type: ignore[arg-type]
        self._segment = segment
        self._bytes_max = bytes_max

    async def _fetch(self, offset: int, isolation: int, bytes_max: int, wait_ms: int) -> FetchResponse:
        del isolation, wait_ms
        return self._segment.fetch(offset, min(bytes_max, self._bytes_max))


class _NoLink:
    """Requests are answered at once."""

    limits = KafkaLimits()

    async def persist(self, what: str, attempt: Callable[[], Awaitable[Any]]) -> Any:
        del what
        return await attempt()


def read_all(segment: Segment, offset: int = 0, bytes_max: int = 1 << 20) -> list[Record]:
    """Everything from an offset to the end of the log."""

    async def read() -> list[Record]:
        reader = ModelReader(segment, offset, bytes_max)
        found: list[Record] = []
        for _ in range(3_000):
            before = reader.position
            records = await reader.fetch(max_records=5)
            found += records
            assert before <= reader.position <= segment.end
            if reader.position == segment.end:
                return found
        raise AssertionError(f"it does not move at {reader.position} of {segment.end}")

    loop = SimLoop(1)
    try:
        return loop.run_until_complete(read())
    finally:
        loop.close()  # no task is left in it


def in_order(records: list[Record], offset: int, end: int) -> None:
    """Ascending, within the log, none twice."""
    floor = offset
    for one in records:
        assert floor <= one.offset < one.next_offset <= end
        floor = one.next_offset
