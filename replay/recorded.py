# SPDX-License-Identifier: Apache-2.0
"""Batches as they were recorded: the events, and their bytes."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TypeVar

from taxi import codec
from taxi.batches import Batch, WholeBatches
from taxi.bus import Bus, Record
from taxi.messages import BatchClosed, EpochStarted, Event
from taxi.topics import EVENTS

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Recorded:
    """A whole batch."""

    batch: Batch
    records: tuple[Record, ...]

    @property
    def closed(self) -> BatchClosed:
        """Its last event."""
        return self.batch.closed

    def of(self, kind: type[E]) -> list[E]:
        """Its events of one kind."""
        return [at.event for at in self.batch.events if isinstance(at.event, kind)]


async def recorded_batches(bus: Bus, partition: int, start: int, end: int) -> AsyncGenerator[Recorded, None]:
    """Whole batches between two offsets, in order."""
    reader = await bus.reader(EVENTS, partition, start)
    whole = WholeBatches()
    open_: dict[int, Record] = {}
    try:
        while reader.position < end:
            for record in await reader.fetch():
                open_[record.offset] = record
                for batch in whole.feed([record]):
                    yield Recorded(batch, tuple(open_[at.offset] for at in batch.events))
                    open_.clear()
    finally:
        await reader.close()


async def epochs(bus: Bus, partition: int, start: int, end: int) -> list[EpochStarted]:
    """Every beginning of an epoch, found without decoding the rest."""
    reader = await bus.reader(EVENTS, partition, start)
    found: list[EpochStarted] = []
    try:
        while reader.position < end:
            told = [
                r for r in await reader.fetch() if b'"EpochStarted"' in (r.value or b"") and r.offset < end
            ]
            events = [codec.decode(EVENTS, record) for record in told]
            found += [event for event in events if isinstance(event, EpochStarted)]
    finally:
        await reader.close()
    return found
