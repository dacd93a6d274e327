# SPDX-License-Identifier: Apache-2.0
"""Reads a bounded range of a partition, one chunk of records at a time.

This is the only loop that fetches up to an offset. Three things make such a loop easy to get wrong:

- The last offsets of a range may be control records, aborted or compacted, and no fetch returns those. So the
  loop ends by the reader's position, never by a record's offset.
- The last fetch may return records behind the range.
- A `Damaged` covers a range of offsets of its own, which may end behind the range that is read.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from taxi.bus import RECORDS_AT_ONCE, Bus, Reader, Record


class RangeReader:
    """An async iterator over the records from a reader's position up to `end`, in chunks.

    A chunk is a list of 1 to `max_records` records in offset order, so memory is bounded however long the
    range is. Transactions are not kept together. What cannot be parsed is a `Damaged`, in its place.

    Iteration may stop anywhere, also by cancellation, and the reader can go on: it is behind the last
    chunk. After the last chunk it is at `end` at least, and behind that only if nothing can be read in
    between. An `end` at or before the position is an empty range, and the broker is not asked.

    If a transaction is open before `end`, a `committed` reader waits until it has ended, so use the stable
    end of the partition (`Offsets.stable`) or wait for it first.

    Iteration raises what `Reader.fetch` raises: OffsetOutOfRange if retention has deleted the beginning of
    what is left, or the partition ends before it, and Unavailable. Nothing is skipped, and the position is
    unchanged then.
    """

    def __init__(self, reader: Reader, end: int, *, max_records: int = RECORDS_AT_ONCE) -> None:
        """The reader stays the caller's, who closes it or reads on with it."""
        self._reader = reader
        self._end = end
        self._max_records = max_records

    @property
    def position(self) -> int:
        """The next offset to read: how far this has come, also past what is not returned."""
        return self._reader.position

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Record]:
        while (left := self._end - self._reader.position) > 0:
            records = await self._reader.fetch(max_records=min(self._max_records, left))
            if records and records[-1].offset >= self._end:
                records = [record for record in records if record.offset < self._end]
                last_end = records[-1].next_offset if records else self._end  # a Damaged may end behind it
                self._reader.seek(max(self._end, last_end))
            if records:
                return records
        raise StopAsyncIteration


@asynccontextmanager
async def read_range(
    bus: Bus,
    topic: str,
    partition: int,
    start: int,
    end: int,
    *,
    committed: bool = True,
    max_records: int = RECORDS_AT_ONCE,
) -> AsyncIterator[RangeReader]:
    """Read the offsets in [start, end) with a reader of their own.

        async with read_range(bus, EVENTS, partition, bounds.start, bounds.stable) as chunks:
            async for records in chunks:
                ...

    Args:
        bus: Where the log is.
        topic: Of the range.
        partition: Of the range.
        start: The first offset. If retention has deleted it, the first chunk raises OffsetOutOfRange.
        end: One past the last offset; see `RangeReader` for an `end` behind an open transaction.
        committed: Leave out open and aborted transactions.
        max_records: Of one chunk.
    """
    reader = await bus.reader(topic, partition, start, committed=committed)
    try:
        yield RangeReader(reader, end, max_records=max_records)
    finally:
        await reader.close()


async def read_record(bus: Bus, topic: str, partition: int, offset: int) -> Record | None:
    """The record at exactly this offset, or the `Damaged` that covers it; None for a control record, say.

    Raises:
        OffsetOutOfRange: Retention deleted it, or the partition ends before it.
        Unavailable: The broker did not answer.
    """
    async with read_range(bus, topic, partition, offset, offset + 1) as chunks:
        async for records in chunks:
            return records[0]
    return None
