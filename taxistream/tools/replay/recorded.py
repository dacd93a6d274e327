# SPDX-License-Identifier: Apache-2.0
"""Reads recorded batches: their events and the bytes of their records."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from taxi.bus import Bus, Record
from taxi.bus.ranges import read_range
from taxi.messages import BatchClosed, EpochStarted, Event, codec
from taxi.state.batches import Batch, WholeBatches, producer_of
from taxi.topics import EVENTS

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Recorded:
    """A complete batch on the log."""

    batch: Batch
    records: tuple[Record, ...]
    gap: str | None = None
    """Why it does not continue the batch before it; None if it does."""
    closed_before: BatchClosed | None = None
    """The last `BatchClosed` before it, whether that batch is complete or not."""

    @property
    def closed(self) -> BatchClosed:
        """Its last event."""
        return self.batch.closed

    def of(self, kind: type[E]) -> list[E]:
        """Its events of one type."""
        return [at.event for at in self.batch.events if isinstance(at.event, kind)]


async def recorded_batches(
    bus: Bus, partition: int, start: int, end: int, batches: WholeBatches
) -> AsyncGenerator[Recorded, None]:
    """The city's complete batches in [start, end), in order.

    `batches` selects them and continues after gaps.
    """
    open_: dict[int, Record] = {}
    async with read_range(bus, EVENTS, partition, start, end) as chunks:
        async for records in chunks:
            for record in records:
                open_[record.offset] = record
                for batch in batches.feed([record]):
                    of_batch = tuple(open_[at.offset] for at in batch.events)
                    open_.clear()
                    gap = batches.gap
                    batches.resume()
                    yield Recorded(batch, of_batch, gap, batches.closed_before)
                batches.take_for_dead_letters()


@dataclass
class LogSurvey:
    """The facts about a log that are needed before its first batch is read."""

    producer_id: int | None = None
    """The city's producer at the beginning of the log; None if there are no batches."""
    epochs: list[EpochStarted] = field(default_factory=list)
    """The events of the city's producers."""


async def survey(bus: Bus, partition: int, start: int, end: int) -> LogSurvey:
    """Scan a log for epochs and producers, without decoding other events.

    If the beginning of the log is deleted, the city's producer is the one that closed the most batches.
    """
    seen = _Seen()
    async with read_range(bus, EVENTS, partition, start, end) as chunks:
        async for records in chunks:
            for record in records:
                seen.add(record)
    return seen.survey(at_birth=start == 0)


class _Seen:
    """Epochs and ends of batches of all producers."""

    def __init__(self) -> None:
        self._closed: Counter[int] = Counter()
        self._successions: list[tuple[int, int]] = []
        """(producer before, producer) in the order of the log."""
        self._epochs: list[tuple[int, EpochStarted]] = []

    def add(self, record: Record) -> None:
        value = record.value or b""
        if b'"BatchClosed"' in value:
            self._closed[producer_of(record)] += 1
        if b'"EpochStarted"' in value or b'"previous_producer"' in value:
            with suppress(codec.DecodeError):
                self._take(producer_of(record), codec.decode(EVENTS, record))

    def _take(self, producer: int, event: Event) -> None:
        if isinstance(event, EpochStarted):
            self._epochs.append((producer, event))
        elif isinstance(event, BatchClosed) and event.previous_producer is not None:
            self._successions.append((event.previous_producer, producer))

    def survey(self, *, at_birth: bool) -> LogSurvey:
        """Select what belongs to the city. `at_birth`: the log's beginning is there."""
        births = (producer for producer, event in self._epochs if event.batch == 1)
        first = next(births, None) if at_birth else None
        if first is None and self._closed:
            first = self._earliest(max(self._closed, key=lambda each: self._closed[each]))
        if first is None:
            return LogSurvey()
        producers, last = {first}, first
        for previous, producer in self._successions:
            if previous == last:
                producers.add(producer)
                last = producer
        return LogSurvey(first, [event for producer, event in self._epochs if producer in producers])

    def _earliest(self, producer: int) -> int:
        """Its earliest predecessor that has closed a batch in the rest of the log, or itself."""
        for previous, successor in reversed(self._successions):
            if successor == producer and previous in self._closed:
                producer = previous
        return producer
