# SPDX-License-Identifier: Apache-2.0
"""From the log alone to a view: the newest snapshot that is old enough, then everything after it.

In two stages. First a view that knows every row but reaches back a few seconds only: whoever was on the
gateway that went before it can go on. Meanwhile another one is read from as far back as is promised; when it
has caught up it takes the first one's place. Both stand at the same cuts with the same rows.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from gateway.city.drivers import SKEW_MS
from gateway.city.grid import Grid
from gateway.city.view import LogBroken, Span, View
from gateway.stream.session import Ends
from taxi import codec, snapshots
from taxi.bus import Bus, Offsets, Reader, Record
from taxi.city import CityState
from taxi.messages import BatchClosed, SnapshotPart
from taxi.snapshots import Snapshot
from taxi.topics import EVENTS, LOCATIONS

RECORDS_AT_ONCE: Final = 10_000
_BESIDE_AT_ONCE: Final = 1_000
"""While cuts go out, so that none is late."""
YOUNG_MS: Final = 5_000
"""How far back the first view serves: longer than a gateway needs to come back."""


@dataclass
class Booted:
    """A view at the end of the log, and the readers that go on from there."""

    view: View
    locations: Reader
    events: Reader
    ends: Ends
    stands: Ends = field(init=False)
    """Where the readers stood then."""

    def __post_init__(self) -> None:
        self.stands = Ends(self.locations.position, self.events.position)


class Beginning:
    """Where to begin to read a city's log, so as to know what is wanted."""

    def __init__(self, bus: Bus, partition: int, span: Span, grid: Grid) -> None:
        self._bus = bus
        self._partition = partition
        self._span = span
        self._grid = grid
        self._now_ms = 0

    @contextlib.asynccontextmanager
    async def young(self) -> AsyncIterator[Booted]:
        """Read up to the ends that the logs had at the beginning of this, from just far enough back.

        Raises Unavailable, OffsetOutOfRange (retention was quicker), LogBroken.
        """
        ends = await ask_ends(self._bus, self._partition)
        newest = await snapshots.newest(self._bus, self._partition)
        last_ms = await _last_append_ms(self._bus, self._partition)
        self._now_ms = max(last_ms, newest.state.now_ms if newest else 0)
        reach_ms = min(YOUNG_MS, self._span.resume_ms)
        state_ms, back_ms = self._now_ms - reach_ms, self._now_ms - self._span.expiry_ms - SKEW_MS - reach_ms
        old = newest if newest and newest.state.now_ms <= state_ms else await self._snapshot(state_ms)
        async with contextlib.AsyncExitStack() as stack:
            # A young snapshot only narrows the window, but a log that is all there widens it.
            start = (await self._bus.offsets(EVENTS, self._partition)).start
            begun = await self._begin(back_ms, start, [old] if start == 0 else [old, newest], stack)
            yield await begun.read(ends)

    async def deep(self, booted: Booted) -> View | None:
        """A view of all that is promised, up to where `booted` stood; None if there is no more to know.

        Raises as `young` does.
        """
        back_ms = self._now_ms - self._span.boot_ms
        old = await self._snapshot(back_ms)
        start = (await self._bus.offsets(EVENTS, self._partition)).start
        if old is None and start:
            return None
        async with contextlib.AsyncExitStack() as stack:
            begun = await self._begin(back_ms, start, [old], stack)
            if not begun.view.reaches_beyond(booted.view):
                return None
            return (await begun.read(booted.stands, at_once=_BESIDE_AT_ONCE)).view

    async def _snapshot(self, state_ms: int) -> Snapshot | None:
        """The newest that is at least so old."""

        def old_enough(part: SnapshotPart) -> bool:
            return part.at_ms <= state_ms

        return await snapshots.newest(self._bus, self._partition, old_enough)

    async def _begin(
        self, back_ms: int, start: int, states: list[Snapshot | None], stack: contextlib.AsyncExitStack
    ) -> "_Begun":
        """Fixes from `back_ms` on, and events after the first of `states` that will do, else from `start`."""
        bounds = await self._bus.offsets(LOCATIONS, self._partition)
        first = max(bounds.start, await self._bus.offset_at(LOCATIONS, self._partition, max(back_ms, 0)))
        city, events = await self._state(start, states, stack)
        locations = await self._bus.reader(LOCATIONS, self._partition, first)
        stack.push_async_callback(locations.close)
        view = View(city, loc=first, ev=events.position, span=self._span, grid=self._grid)
        return _Begun(view, locations, events, back_ms, is_from_time=first > bounds.start)

    async def _state(
        self, start: int, states: list[Snapshot | None], stack: contextlib.AsyncExitStack
    ) -> tuple[CityState, Reader]:
        """The state to begin with, and a reader of the events after it."""
        for snapshot in states:
            if snapshot is not None and snapshot.events_offset > start:
                at = snapshot.events_offset - 1
                reader = await self._bus.reader(EVENTS, self._partition, at)
                stack.push_async_callback(reader.close)
                if await _is_of_this_log(reader, snapshot):
                    return snapshot.state, reader
        # Where the log begins in the middle, the view waits for an epoch that starts from nothing.
        reader = await self._bus.reader(EVENTS, self._partition, start)
        stack.push_async_callback(reader.close)
        return CityState(), reader


@dataclass
class _Begun:
    """A view that has read nothing yet."""

    view: View
    locations: Reader
    events: Reader
    back_ms: int
    is_from_time: bool
    """An offset found by time says when the one before was appended. Else the log begins there."""

    async def read(self, ends: Ends, *, at_once: int = RECORDS_AT_ONCE) -> Booted:
        """Everything up to the ends, or a little further; `at_once` records between two breaths."""
        view, locations, events = self.view, self.locations, self.events
        while events.position < ends.ev:
            view.fold_events(await self._next(events, ends.ev, at_once))
        if view.ev and not view.city.epoch:
            message = "no snapshot covers the log's beginning, and no epoch started since from nothing"
            raise LogBroken(message)
        first_ms = None
        while locations.position < ends.loc:
            records = await self._next(locations, ends.loc, at_once)
            first_ms = first_ms or (records[0].timestamp_ms if records else None)
            view.fold_locations(records)
        if self.is_from_time or first_ms is None:
            view.went_live(self.back_ms)
        else:
            view.went_live(first_ms if view.covered_ms is None else min(first_ms, view.covered_ms))
        view.close()
        return Booted(view, locations, events, ends)

    async def _next(self, reader: Reader, end: int, at_once: int) -> list[Record]:
        records = await reader.fetch(max_records=at_once)
        if at_once == RECORDS_AT_ONCE:
            return records
        await asyncio.sleep(0)
        return [record for record in records if record.offset < end]


async def ask_ends(bus: Bus, partition: int) -> Ends:
    """How far both logs go now."""
    locations = await bus.offsets(LOCATIONS, partition)
    return Ends(locations.end, (await bus.offsets(EVENTS, partition)).stable)


async def _last_append_ms(bus: Bus, partition: int) -> int:
    """When the last fix was appended; 0 where there is none."""
    bounds: Offsets = await bus.offsets(LOCATIONS, partition)
    if bounds.start == bounds.end:
        return 0
    reader = await bus.reader(LOCATIONS, partition, bounds.end - 1)
    try:
        records = await reader.fetch(max_records=1)
    finally:
        await reader.close()
    return records[0].timestamp_ms if records else 0


async def _is_of_this_log(reader: Reader, snapshot: Snapshot) -> bool:
    """Whether the batch that the snapshot stands at ends where it says: topics can be re-created."""
    records: list[Record] = []
    while not records and reader.position < snapshot.events_offset:
        records = await reader.fetch(max_records=1)
    if not records or records[0].offset != snapshot.events_offset - 1:
        return False
    try:
        event = codec.decode(EVENTS, records[0])
    except codec.DecodeError:
        return False
    return isinstance(event, BatchClosed) and event.batch == snapshot.state.batch
