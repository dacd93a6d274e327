# SPDX-License-Identifier: Apache-2.0
"""From the log alone to a view: the newest snapshot that is old enough, then everything after it.

In two stages. First a view that knows every row but reaches back a few seconds only: whoever was on the
gateway that went before it can go on. Meanwhile another one is read from as far back as is promised; when it
has caught up it takes the first one's place. Both stand at the same cuts with the same rows.

Whoever waits for a gateway waits for the first: what it asks of the broker it asks at the same time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

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

A = TypeVar("A")
B = TypeVar("B")

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
        bus, partition = self._bus, self._partition
        fixes, events = await self._bounds()
        newest, last_ms = await _both(
            snapshots.newest(bus, partition), _last_append_ms(bus, partition, fixes)
        )
        self._now_ms = max(last_ms, newest.state.now_ms if newest else 0)
        reach_ms = min(YOUNG_MS, self._span.resume_ms)
        state_ms, back_ms = self._now_ms - reach_ms, self._now_ms - self._span.expiry_ms - SKEW_MS - reach_ms
        old = newest if newest and newest.state.now_ms <= state_ms else await self._snapshot(state_ms)
        async with contextlib.AsyncExitStack() as stack:
            # A young snapshot only narrows the window, but a log that is all there widens it.
            states = [old] if events.start == 0 else [old, newest]
            begun = await self._begin(back_ms, fixes, events.start, states, stack)
            yield await begun.read(Ends(fixes.end, events.stable))

    async def deep(self, booted: Booted) -> View | None:
        """A view of all that is promised, up to where `booted` stood; None if there is no more to know.

        Raises as `young` does.
        """
        back_ms = self._now_ms - self._span.boot_ms
        old = await self._snapshot(back_ms)
        fixes, events = await self._bounds()
        if old is None and events.start:
            return None
        async with contextlib.AsyncExitStack() as stack:
            begun = await self._begin(back_ms, fixes, events.start, [old], stack)
            if not begun.view.reaches_beyond(booted.view):
                return None
            return (await begun.read(booted.stands, at_once=_BESIDE_AT_ONCE)).view

    async def _bounds(self) -> tuple[Offsets, Offsets]:
        """Of the fixes, and of the events."""
        return await _both(
            self._bus.offsets(LOCATIONS, self._partition), self._bus.offsets(EVENTS, self._partition)
        )

    async def _snapshot(self, state_ms: int) -> Snapshot | None:
        """The newest that is at least so old."""

        def old_enough(part: SnapshotPart) -> bool:
            return part.at_ms <= state_ms

        return await snapshots.newest(self._bus, self._partition, old_enough)

    async def _begin(
        self,
        back_ms: int,
        fixes: Offsets,
        start: int,
        states: list[Snapshot | None],
        stack: contextlib.AsyncExitStack,
    ) -> "_Begun":
        """Fixes from `back_ms` on, and events after the first of `states` that will do, else from `start`."""
        locations, (city, events) = await _both(
            self._fixes_from(back_ms, fixes, stack), self._state(start, states, stack)
        )
        first = locations.position
        view = View(city, loc=first, ev=events.position, span=self._span, grid=self._grid)
        return _Begun(view, locations, events, back_ms, is_from_time=first > fixes.start)

    async def _fixes_from(self, back_ms: int, fixes: Offsets, stack: contextlib.AsyncExitStack) -> Reader:
        found = await self._bus.offset_at(LOCATIONS, self._partition, max(back_ms, 0))
        reader = await self._bus.reader(LOCATIONS, self._partition, max(fixes.start, found))
        stack.push_async_callback(reader.close)
        return reader

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
        view = self.view
        _, first_ms = await _both(self._read_events(ends.ev, at_once), self._read_fixes(ends.loc, at_once))
        if self.is_from_time or first_ms is None:
            view.went_live(self.back_ms)
        else:
            view.went_live(first_ms if view.covered_ms is None else min(first_ms, view.covered_ms))
        view.close()
        return Booted(view, self.locations, self.events, ends)

    async def _read_events(self, end: int, at_once: int) -> None:
        view = self.view
        while self.events.position < end:
            view.fold_events(await self._next(self.events, end, at_once))
        if view.ev and not view.city.epoch:
            message = "no snapshot covers the log's beginning, and no epoch started since from nothing"
            raise LogBroken(message)

    async def _read_fixes(self, end: int, at_once: int) -> int | None:
        """When the first one was appended."""
        first_ms = None
        while self.locations.position < end:
            records = await self._next(self.locations, end, at_once)
            first_ms = first_ms or (records[0].timestamp_ms if records else None)
            self.view.fold_locations(records)
        return first_ms

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


async def _both(one: Coroutine[Any, Any, A], other: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """At the same time. The first failure ends the other, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            first, second = tasks.create_task(one), tasks.create_task(other)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return first.result(), second.result()


async def _last_append_ms(bus: Bus, partition: int, bounds: Offsets) -> int:
    """When the last fix within these bounds was appended; 0 where there is none."""
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
