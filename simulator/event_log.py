# SPDX-License-Identifier: Apache-2.0
"""The events of a city, a whole batch at a time."""

from typing import Final, NamedTuple

from taxi import topics
from taxi.bus import Reader
from taxi.codec import DecodeError, decode
from taxi.messages import AnyEvent, BatchClosed
from taxi.runtime import tracing
from taxi.runtime.env import Log, Metrics

_RECORDS_AT_ONCE: Final = 2000


class Heard(NamedTuple):
    """An event and the trace it belongs to."""

    event: AnyEvent
    trace: tracing.Trace | None


class EventLog:
    """Reads events from a batch boundary on. Events without their own `BatchClosed` are dropped."""

    def __init__(self, reader: Reader, log: Log, metrics: Metrics) -> None:
        self._reader = reader
        self._log = log
        self._metrics = metrics
        self._open: list[Heard] = []

    @property
    def position(self) -> int:
        """The next offset to read."""
        return self._reader.position

    async def next(self, *, wait_ms: int) -> list[list[Heard]]:
        """The batches that have closed since. Raises Unavailable, OffsetOutOfRange."""
        closed: list[list[Heard]] = []
        for record in await self._reader.fetch(max_records=_RECORDS_AT_ONCE, wait_ms=wait_ms):
            try:
                event = decode(topics.EVENTS, record)
            except DecodeError as error:
                self._metrics.count("simulator_undecodable_total", topic=topics.EVENTS)
                self._log.warning("an event could not be read", offset=record.offset, reason=error.reason)
                continue
            self._open.append(Heard(event, tracing.parse(record.headers)))
            if isinstance(event, BatchClosed):
                closed.append([heard for heard in self._open if heard.event.batch == event.batch])
                self._open = []
        return closed

    async def close(self) -> None:
        """Let go of the reader."""
        await self._reader.close()
