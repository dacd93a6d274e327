# SPDX-License-Identifier: Apache-2.0
"""An input topic read forward, stretch by stretch, as the batches say that they read it."""

from collections import deque
from typing import Final, NamedTuple

from taxi.bus import Bus, OffsetOutOfRange, Offsets, Reader, Record

_AT_ONCE: Final = 20_000


class Taken(NamedTuple):
    """What is left of a stretch."""

    records: list[Record]
    is_whole: bool
    """Retention took nothing of it."""
    is_there: bool = True
    """The topic reaches so far."""


class Stretches:
    """One partition of one topic, each record at most once."""

    def __init__(self, bus: Bus, topic: str, partition: int) -> None:
        self.topic = topic
        self._bus = bus
        self._partition = partition
        self._reader: Reader | None = None
        self._in_hand: deque[Record] = deque()
        self._bounds: Offsets | None = None

    async def take(self, first: int, after: int) -> Taken:
        """Offsets first … after − 1; to be asked in ascending order."""
        if after <= first:
            return Taken([], is_whole=True)
        bounds = await self._bounds_with(after)
        if after > bounds.end:
            return Taken([], is_whole=False, is_there=False)
        try:
            records = await self._read(max(first, bounds.start), after)
        except OffsetOutOfRange:  # retention is faster than we are
            await self.close()
            return Taken([], is_whole=False)
        return Taken(records, is_whole=bounds.start <= first)

    async def close(self) -> None:
        """Let go of the reader; what comes next may begin anywhere."""
        self._in_hand.clear()
        self._bounds = None
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await reader.close()

    async def _bounds_with(self, after: int) -> Offsets:
        """Where the topic begins and ends; asked again only where it has grown."""
        if self._bounds is None or after > self._bounds.end:
            self._bounds = await self._bus.offsets(self.topic, self._partition)
        return self._bounds

    async def _read(self, first: int, after: int) -> list[Record]:
        if self._reader is None:
            self._reader = await self._bus.reader(self.topic, self._partition, first)
        elif not self._in_hand and self._reader.position < first:
            self._reader.seek(first)
        while self._reader.position < after:
            self._in_hand += await self._reader.fetch(max_records=_AT_ONCE)
        taken = []
        while self._in_hand and self._in_hand[0].offset < after:
            record = self._in_hand.popleft()
            if record.offset >= first:
                taken.append(record)
        return taken
