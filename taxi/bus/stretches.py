# SPDX-License-Identifier: Apache-2.0
"""Reads an input topic in the ranges of offsets that the batches have read."""

from typing import NamedTuple

from taxi.bus import Bus, Damaged, OffsetOutOfRange, Offsets, Reader, Record
from taxi.bus.ranges import RangeReader


class Taken(NamedTuple):
    """The records of a range, as far as they still exist."""

    records: list[Record]
    is_whole: bool
    """Retention deleted nothing of it."""
    is_there: bool = True
    """The topic does not end before it."""

    @property
    def is_damaged(self) -> bool:
        """Whether a part of it is damaged on disk, so that an earlier reader may have read more."""
        return any(isinstance(record, Damaged) and record.is_on_disk for record in self.records)


class Stretches:
    """Reads one partition of a topic in ascending ranges, each record at most once."""

    def __init__(self, bus: Bus, topic: str, partition: int) -> None:
        self.topic = topic
        self._bus = bus
        self._partition = partition
        self._reader: Reader | None = None
        self._bounds: Offsets | None = None

    async def take(self, first: int, after: int) -> Taken:
        """Read the offsets in [first, after). Call it with ascending ranges. Raises BusError."""
        if after <= first:
            return Taken([], is_whole=True)
        bounds = await self._bounds_with(after)
        if after > bounds.end:
            return Taken([], is_whole=False, is_there=False)
        try:
            records = await self._read(max(first, bounds.start), after)
        except OffsetOutOfRange:  # retention deleted it meanwhile
            await self.close()
            return Taken([], is_whole=False)
        return Taken(records, is_whole=bounds.start <= first)

    async def close(self) -> None:
        """Close the reader. The next range may begin anywhere."""
        self._bounds = None
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await reader.close()

    async def _bounds_with(self, after: int) -> Offsets:
        """The bounds of the partition; read again only if `after` is beyond the known end."""
        if self._bounds is None or after > self._bounds.end:
            self._bounds = await self._bus.offsets(self.topic, self._partition)
        return self._bounds

    async def _read(self, first: int, after: int) -> list[Record]:
        if self._reader is None:
            self._reader = await self._bus.reader(self.topic, self._partition, first)
        elif self._reader.position < first:
            self._reader.seek(first)
        return [record async for records in RangeReader(self._reader, after) for record in records]
