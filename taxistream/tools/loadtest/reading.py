# SPDX-License-Identifier: Apache-2.0
"""Reads both topics for the oracle: from far enough back, then as they grow."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from taxi.bus import RECORDS_AT_ONCE, Bus, OffsetOutOfRange, Offsets, Reader, Unavailable
from taxi.bus.ranges import RangeReader
from taxi.topics import EVENTS, LOCATIONS
from taxistream.tools.oracle.city import OracleCity
from taxistream.tools.oracle.errors import BrokenLogError
from taxistream.tools.oracle.positions import AHEAD_MS, EXPIRY_MS, OLD_MS

_BACK_MS: Final = EXPIRY_MS + OLD_MS + AHEAD_MS + 10_000
"""How far back to read positions. Earlier ones have expired and do not affect later ones."""
_PRIMED: Final = 16
"""How many offsets before the first are read for the time."""


class Reading:
    """The oracle's two readers."""

    def __init__(self, city: OracleCity, partition: int, locations: Reader, events: Reader) -> None:
        self.city = city
        self._partition = partition
        self._locations = locations
        self._events = events

    @classmethod
    async def begin(
        cls, bus: Bus, partition: int, oracle: Callable[[int], OracleCity] = OracleCity
    ) -> "Reading":
        """Open the readers.

        Args:
            bus: Where the log is.
            partition: Of the city.
            oracle: Makes the fold, from the offset of the first position.

        Raises BrokenLogError if the beginning of the events is deleted, as they can't be folded.
        """
        bounds = await bus.offsets(LOCATIONS, partition)
        first = bounds.start
        last_ms = await _last_append_ms(bus, partition, bounds)
        if last_ms:
            first = max(first, await bus.offset_at(LOCATIONS, partition, last_ms - _BACK_MS))
        if first == bounds.start > 0 and bounds.stable - first > _PRIMED:
            first += _PRIMED  # without what retention deleted, the first could have a wrong time
        if (await bus.offsets(EVENTS, partition)).start:
            message = "the beginning of the events is gone by retention: the oracle has nothing to fold from"
            raise BrokenLogError(message)
        city = oracle(first)
        locations = await bus.reader(LOCATIONS, partition, max(bounds.start, first - _PRIMED))
        async for records in RangeReader(locations, first):
            city.positions.prime(records)
        locations.seek(first)
        return cls(city, partition, locations, await bus.reader(EVENTS, partition, 0))

    async def catch_up(self, bus: Bus) -> None:
        """Read to the current last stable offsets. Raises BrokenLogError."""
        fixes = await bus.offsets(LOCATIONS, self._partition)
        events = await bus.offsets(EVENTS, self._partition)
        async for records in RangeReader(self._events, events.stable):
            self.city.feed_events(records, self._events.position)
        self.city.feed_events((), self._events.position)  # past control records at the end
        async for records in RangeReader(self._locations, fixes.stable):
            self.city.feed_positions(records, self._locations.position)
        self.city.feed_positions((), self._locations.position)

    async def follow(self, pause_s: float = 0.01) -> None:
        """Read until cancelled. Raises BrokenLogError.

        Args:
            pause_s: Between two looks. Longer ones cost less.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._for_ever(self._more_locations, pause_s))
                tasks.create_task(self._for_ever(self._more_events, pause_s))
        except* OffsetOutOfRange as group:
            raise BrokenLogError(str(group.exceptions[0])) from None
        except* BrokenLogError as group:
            raise group.exceptions[0] from None

    async def _for_ever(self, more: Callable[[], Awaitable[bool]], pause_s: float) -> None:
        while True:
            try:
                if await more():
                    continue
            except Unavailable:
                pass  # the broker does not answer; updates are checked when it does
            await asyncio.sleep(pause_s)

    async def _more_locations(self) -> bool:
        records = await self._locations.fetch()
        self.city.feed_positions(records, self._locations.position)
        return len(records) == RECORDS_AT_ONCE

    async def _more_events(self) -> bool:
        records = await self._events.fetch()
        self.city.feed_events(records, self._events.position)
        return len(records) == RECORDS_AT_ONCE

    async def close(self) -> None:
        """Close both readers."""
        await self._locations.close()
        await self._events.close()


async def _last_append_ms(bus: Bus, partition: int, bounds: Offsets) -> int:
    """The append time of the last readable position; 0 if there is none. It skips control records."""
    reader, back = await bus.reader(LOCATIONS, partition, bounds.stable), 1
    try:
        while back < 10 * (bounds.stable - bounds.start):
            reader.seek(max(bounds.start, bounds.stable - back))
            async for records in RangeReader(reader, bounds.stable, max_records=back):
                return records[-1].timestamp_ms
            back *= 10
    finally:
        await reader.close()
    return 0
