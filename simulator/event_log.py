# SPDX-License-Identifier: Apache-2.0
"""The events of a city, a whole batch at a time."""

from typing import Any

from taxi import topics
from taxi.bus import Reader, Record
from taxi.bus.ranges import RangeReader
from taxi.runtime.env import Env
from taxi.runtime.foreign_events import ForeignEvents
from taxi.state import CityState, IllegalTransitionError
from taxi.state.batches import ANOTHER_PRODUCER, Batch, LogGapError, WholeBatches
from taxi.state.snapshots import Snapshot


class EventLog:
    """Reads the batches that count, from the start of the log or a snapshot on. The rest is counted."""

    def __init__(self, reader: Reader, env: Env[Any], snapshot: Snapshot | None) -> None:
        """The position of `reader` is after the batch that `snapshot` was taken after."""
        self.reader = reader
        self._log = env.log
        self._metrics = env.metrics
        self._foreign = ForeignEvents(env)
        if snapshot is None:
            self._batches = WholeBatches()
        else:
            self._batches = WholeBatches(snapshot.state.batch, snapshot.producer_id)
        self._starts_at = reader.position

    @property
    def gap(self) -> str | None:
        """Why what was read is no city: the events do not continue, or their beginning is gone."""
        if self._batches.producer_id is None and (self._starts_at or self._batches.is_damaged):
            return "no snapshot covers the log's beginning, and no epoch has started since that begins empty"
        return self._batches.gap

    async def fold_to(self, state: CityState, end: int) -> None:
        """Read to `end`, and apply what counts; `gap` says whether `state` means anything after that."""
        async for records in RangeReader(self.reader, end):
            self._fold(state, records)

    async def fold_more(self, state: CityState, *, wait_ms: int) -> None:
        """Read once, and apply what counts, as `fold_to` does."""
        self._fold(state, await self.reader.fetch(wait_ms=wait_ms))

    def _fold(self, state: CityState, records: list[Record]) -> None:
        for batch in self._batches.feed(records):
            try:
                for at in batch.events:
                    state.apply(at.event)
            except (IllegalTransitionError, KeyError) as error:
                self._batches.break_off(f"batch {batch.closed.batch} is not legal: {error}")
        self._tell()

    async def next(self, *, wait_ms: int) -> list[Batch]:
        """The batches that have closed since.

        Raises:
            Unavailable: The broker did not answer.
            OffsetOutOfRange: Retention was quicker.
            LogGapError: What comes next does not continue what was read. Recover.
        """
        closed = list(self._batches.feed(await self.reader.fetch(wait_ms=wait_ms)))
        self._tell()
        if not closed and self._batches.gap is not None:
            raise LogGapError(self._batches.gap)
        return closed

    def _tell(self) -> None:
        batches = self._batches
        if batches.unreadable:
            first, count = batches.unreadable[0], len(batches.unreadable)
            self._metrics.count("simulator_undecodable_total", count, topic=topics.EVENTS)
            self._log.warning(
                "events could not be read", count=count, first=first.record.offset, reason=first.reason
            )
        foreign = sum(error.reason == ANOTHER_PRODUCER for error in batches.passed_over)
        if foreign:
            self._metrics.count("simulator_passed_over_total", foreign)
            self._foreign.note(foreign)
        self._foreign.check()
        batches.take_for_dead_letters()

    async def close(self) -> None:
        """Let go of the reader."""
        self._foreign.clear()
        await self.reader.close()
