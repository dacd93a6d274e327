# SPDX-License-Identifier: Apache-2.0
"""Feeds the oracle from Kafka: both topics, from far enough back, and on as they grow."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from loadtest.oracle.city import City
from loadtest.oracle.events import LogBroken
from loadtest.oracle.locations import AHEAD_MS, EXPIRY_MS, OLD_MS
from taxi.bus import Bus, OffsetOutOfRange, Reader, Unavailable
from taxi.topics import EVENTS, LOCATIONS

_BACK_MS: Final = EXPIRY_MS + OLD_MS + AHEAD_MS + 10_000
"""Fixes appended earlier have expired, and supersede nothing that has not."""
_AT_ONCE: Final = 5_000
_WAIT_MS: Final = 100


class Reading:
    """The oracle's two readers."""

    def __init__(self, city: City, partition: int, locations: Reader, events: Reader) -> None:
        self.city = city
        self._partition = partition
        self._locations = locations
        self._events = events

    @classmethod
    async def begin(cls, bus: Bus, partition: int) -> "Reading":
        """Raises LogBroken where the events' beginning is gone: nobody could fold what follows."""
        bounds = await bus.offsets(LOCATIONS, partition)
        first = bounds.start
        if bounds.end > bounds.start:
            last_ms = await _append_ms(bus, partition, bounds.end - 1)
            first = max(first, await bus.offset_at(LOCATIONS, partition, last_ms - _BACK_MS))
        if (await bus.offsets(EVENTS, partition)).start:
            message = "the beginning of the events is gone by retention: the oracle has nothing to fold from"
            raise LogBroken(message)
        return cls(
            City(first),
            partition,
            await bus.reader(LOCATIONS, partition, first),
            await bus.reader(EVENTS, partition, 0),
        )

    async def catch_up(self, bus: Bus) -> None:
        """Read to the ends as they are now. Raises LogBroken."""
        fixes = await bus.offsets(LOCATIONS, self._partition)
        events = await bus.offsets(EVENTS, self._partition)
        while self._events.position < events.stable:
            await self._more_events()
        while self._locations.position < fixes.end:
            await self._more_locations()

    async def follow(self) -> None:
        """Read for ever. Raises LogBroken."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._for_ever(self._more_locations))
                tasks.create_task(self._for_ever(self._more_events))
        except* OffsetOutOfRange as group:
            raise LogBroken(str(group.exceptions[0])) from None
        except* LogBroken as group:
            raise group.exceptions[0] from None

    async def _for_ever(self, more: Callable[[], Awaitable[bool]]) -> None:
        while True:
            try:
                if await more():
                    continue
            except Unavailable:
                pass  # the broker is away; a cut that could not be read meanwhile waits for its judgement
            await asyncio.sleep(0.01)

    async def _more_locations(self) -> bool:
        records = await self._locations.fetch(max_records=_AT_ONCE, wait_ms=_WAIT_MS)
        self.city.feed_locations(records)
        return len(records) == _AT_ONCE

    async def _more_events(self) -> bool:
        records = await self._events.fetch(max_records=_AT_ONCE, wait_ms=_WAIT_MS)
        self.city.feed_events(records, self._events.position)
        return len(records) == _AT_ONCE

    async def close(self) -> None:
        """Give both up."""
        await self._locations.close()
        await self._events.close()


async def _append_ms(bus: Bus, partition: int, offset: int) -> int:
    reader = await bus.reader(LOCATIONS, partition, offset)
    try:
        while not (records := await reader.fetch(max_records=1)):
            pass
        return records[0].timestamp_ms
    finally:
        await reader.close()
