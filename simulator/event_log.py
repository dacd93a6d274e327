# SPDX-License-Identifier: Apache-2.0
"""The events of a city, a whole batch at a time."""

from typing import Final

from taxi import topics
from taxi.batches import Batch, WholeBatches
from taxi.bus import Reader
from taxi.runtime.env import Log, Metrics

_RECORDS_AT_ONCE: Final = 2000


class EventLog:
    """Reads events from a batch boundary on. What nobody can read is counted and passed over."""

    def __init__(self, reader: Reader, log: Log, metrics: Metrics) -> None:
        self._reader = reader
        self._log = log
        self._metrics = metrics
        self._batches = WholeBatches()

    @property
    def position(self) -> int:
        """The next offset to read."""
        return self._reader.position

    async def next(self, *, wait_ms: int) -> list[Batch]:
        """The batches that have closed since. Raises Unavailable, OffsetOutOfRange."""
        records = await self._reader.fetch(max_records=_RECORDS_AT_ONCE, wait_ms=wait_ms)
        closed = list(self._batches.feed(records))
        for error in self._batches.unreadable:
            self._metrics.count("simulator_undecodable_total", topic=topics.EVENTS)
            self._log.warning("an event could not be read", offset=error.record.offset, reason=error.reason)
        self._batches.unreadable.clear()
        return closed

    async def close(self) -> None:
        """Let go of the reader."""
        await self._reader.close()
