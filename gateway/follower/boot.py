# SPDX-License-Identifier: Apache-2.0
"""Builds a city view from the log alone: the newest snapshot that is old enough, and everything after it.

In two stages. The shallow city view knows every row but reaches back a few seconds only, which is enough for
clients whose gateway has just died. Then a deeper city view is read from as far back as the resume window
promises; when it has caught up, it takes the place of the shallow one (`Follower`). Both have the same rows
at the same cuts.

Clients wait for the shallow city view, so requests to the broker for it are sent at the same time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from gateway.stream.session import LogOffsets
from gateway.updates.city_view import CityView, CityViewBrokenError, Span
from gateway.updates.drivers import SKEW_MS
from gateway.updates.grid import TileGrid
from taxi.bus import RECORDS_AT_ONCE, Bus, Offsets, Reader, Record
from taxi.bus.ranges import RangeReader
from taxi.messages import SnapshotPart
from taxi.positions.clock import APART_MS_MAX, WINDOW
from taxi.state import CityState, snapshots
from taxi.state.snapshots import Snapshot
from taxi.topics import EVENTS, LOCATIONS, SNAPSHOTS

A = TypeVar("A")
B = TypeVar("B")

_PRIMED: Final = 16
"""How many offsets before the first are read for the time; some may be no positions."""
_BESIDE_AT_ONCE: Final = 1_000
"""The records of a chunk while cuts go out: fewer than RECORDS_AT_ONCE, so that no cut is late."""
_POLL_MS: Final = 500
"""How often a gateway that waits behind a gap asks for new snapshots."""
SHALLOW_MS: Final = 5_000
"""How far back the shallow city view resumes: longer than a gateway needs to come back."""


@dataclass
class Booted:
    """A city view at the end of the log, and the readers that go on from there."""

    city_view: CityView
    locations: Reader
    events: Reader
    ends: LogOffsets
    read_to: LogOffsets = field(init=False)
    """The positions of the readers at that time."""

    def __post_init__(self) -> None:
        self.read_to = LogOffsets(self.locations.position, self.events.position)


class Boot:
    """One attempt to build the two city views of a city's log."""

    def __init__(
        self,
        bus: Bus,
        partition: int,
        span: Span,
        grid: TileGrid,
        on_gap: Callable[[str | None], None] = lambda _: None,
        *,
        in_order: bool = False,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            bus: Where the log is.
            partition: Of the city.
            span: How far back is promised.
            grid: Of the city.
            on_gap: Called with the reason while this waits behind a gap, and with None afterwards.
            in_order: Whether to read all events before the positions, not beside them.
        """
        self._on_gap = on_gap
        self._bus = bus
        self._in_order = in_order
        self._partition = partition
        self._span = span
        self._grid = grid
        self._now_ms = 0
        self._shifts: list[tuple[int, int]] = []
        """As the newest snapshot knows them."""

    @contextlib.asynccontextmanager
    async def read_shallow(self) -> AsyncIterator[Booted]:
        """Read up to the ends that the logs had when this was called, from just far enough back.

        If the events have a gap that no snapshot covers, this waits until a snapshot is written or an epoch
        begins empty, because nothing else can close it.

        Raises:
            Unavailable: The broker did not answer.
            OffsetOutOfRange: Retention has deleted what was to be read.
            CityViewBrokenError: A snapshot was written meanwhile that may close the gap.
        """
        bus, partition = self._bus, self._partition
        snapshots_end = (await bus.offsets(SNAPSHOTS, partition)).end
        fixes, events = await self._bounds()
        newest, last_ms = await _both(self._snapshot(events), _last_append_ms(bus, partition, fixes))
        self._shifts = newest.state.shifts if newest else []
        shift_ms = self._shifts[-1][1] if self._shifts else 0
        self._now_ms = max(last_ms + shift_ms, newest.state.now_ms if newest else 0)
        reach_ms = min(SHALLOW_MS, self._span.resume_ms)
        state_ms, back_ms = self._now_ms - reach_ms, self._now_ms - self._span.expiry_ms - SKEW_MS - reach_ms
        old = newest if newest and newest.state.now_ms <= state_ms else await self._snapshot(events, state_ms)
        async with contextlib.AsyncExitStack() as stack:
            # A recent snapshot only narrows the window, but a log that is all there widens it.
            states = [old] if events.start == 0 else [old, newest]
            ends = LogOffsets(fixes.stable, events.stable)
            reading = await self._begin(back_ms, fixes, events.start, states, stack)
            await reading.read(ends)
            if reading.gap is not None and newest is not None:
                reading = await self._begin(back_ms, fixes, events.start, [newest], stack)
                await reading.read(ends)
            if reading.gap is not None:
                await self._wait_behind_the_gap(reading, snapshots_end)
                # What came while this waited is read in one go, like what was there at first.
                await reading.read(await ask_ends(bus, partition))
            yield reading.go_live()

    async def read_deep(self, booted: Booted) -> CityView | None:
        """The deeper city view, up to where the readers of `booted` were; None if nothing is further back.

        Raises the same as `read_shallow`.
        """
        back_ms = self._now_ms - self._span.boot_ms
        fixes, events = await self._bounds()
        old = await self._snapshot(events, back_ms)
        if old is None and events.start:
            return None
        async with contextlib.AsyncExitStack() as stack:
            reading = await self._begin(back_ms, fixes, events.start, [old], stack)
            if not reading.city_view.reaches_beyond(booted.city_view):
                return None
            await reading.read(booted.read_to, max_records=_BESIDE_AT_ONCE)
            return None if reading.gap is not None else reading.go_live().city_view

    async def _wait_behind_the_gap(self, reading: "_Reading", snapshots_end: int) -> None:
        """Read events until an epoch begins empty.

        Raises CityViewBrokenError if a snapshot was written meanwhile.
        """
        try:
            while (gap := reading.gap) is not None:
                self._on_gap(gap)
                if (await self._bus.offsets(SNAPSHOTS, self._partition)).end != snapshots_end:
                    message = f"{gap}; a snapshot was written since"
                    raise CityViewBrokenError(message)
                reading.city_view.fold_events(await reading.events.fetch(wait_ms=_POLL_MS))
        finally:
            self._on_gap(None)

    async def _bounds(self) -> tuple[Offsets, Offsets]:
        """Of the positions, and of the events."""
        return await _both(
            self._bus.offsets(LOCATIONS, self._partition), self._bus.offsets(EVENTS, self._partition)
        )

    async def _snapshot(self, events: Offsets, state_ms: int | None = None) -> Snapshot | None:
        """The newest of this log, and at least so old."""

        def old_enough(part: SnapshotPart) -> bool:
            return state_ms is None or part.at_ms <= state_ms

        return await snapshots.newest_of_log(self._bus, self._partition, events, old_enough)

    async def _begin(
        self,
        back_ms: int,
        fixes: Offsets,
        start: int,
        states: list[Snapshot | None],
        stack: contextlib.AsyncExitStack,
    ) -> "_Reading":
        """Positions from `back_ms` on; events after the first of `states` that will do, else from `start`."""
        locations, (city, producer_id, events) = await _both(
            self._fixes_from(back_ms, fixes, stack), self._state(start, states, stack)
        )
        is_from_time = locations.position > fixes.start
        first = self._skip_the_first(locations, fixes)
        city_view = CityView(
            city,
            loc=first,
            ev=events.position,
            span=self._span,
            grid=self._grid,
            producer_id=producer_id,
        )
        await self._prime(city_view, fixes, locations)
        return _Reading(
            city_view, locations, events, back_ms, is_from_time=is_from_time, in_order=self._in_order
        )

    def _skip_the_first(self, locations: Reader, fixes: Offsets) -> int:
        """Where retention has deleted the beginning, the first positions that are left only tell the time.

        Without those before them their own append times would be the clock, and one can be wrong.
        """
        begins_here = locations.position == fixes.start > 0
        if begins_here and fixes.stable - fixes.start > _PRIMED:
            locations.seek(fixes.start + _PRIMED)
        return locations.position

    async def _fixes_from(self, back_ms: int, fixes: Offsets, stack: contextlib.AsyncExitStack) -> Reader:
        found = await first_since(self._bus, self._partition, fixes, self._shifts, back_ms)
        reader = await self._bus.reader(LOCATIONS, self._partition, max(fixes.start, found))
        stack.push_async_callback(reader.close)
        return reader

    async def _prime(self, city_view: CityView, fixes: Offsets, locations: Reader) -> None:
        """Let the city view know what time it was just before the first fix."""
        first = locations.position
        locations.seek(max(fixes.start, first - _PRIMED))
        async for records in RangeReader(locations, first):
            city_view.prime(records)
        locations.seek(first)

    async def _state(
        self, start: int, states: list[Snapshot | None], stack: contextlib.AsyncExitStack
    ) -> tuple[CityState, int | None, Reader]:
        """The state to begin with, the producer id of its snapshot, and a reader of the events after it."""
        for snapshot in states:
            if snapshot is not None:
                reader = await self._bus.reader(EVENTS, self._partition, snapshot.events_offset)
                stack.push_async_callback(reader.close)
                return snapshot.state, snapshot.producer_id, reader
        # Where the log begins in the middle, the city view waits for an epoch that starts from nothing.
        reader = await self._bus.reader(EVENTS, self._partition, start)
        stack.push_async_callback(reader.close)
        return CityState(), None, reader


@dataclass
class _Reading:
    """A city view that has read nothing yet."""

    city_view: CityView
    locations: Reader
    events: Reader
    back_ms: int
    is_from_time: bool
    """An offset found by time says when the one before was appended. Else the log begins there."""
    in_order: bool
    _first_ms: int | None = None
    """When the first position was appended."""
    _ends: LogOffsets = field(default_factory=lambda: LogOffsets(0, 0))

    @property
    def gap(self) -> str | None:
        """Why what was read is no city: the events do not continue, or their beginning is gone."""
        city_view = self.city_view
        if (
            city_view.batches.gap is None
            and not city_view.city.epoch
            and (city_view.begins.ev or city_view.batches.is_damaged)
        ):
            return "no snapshot covers the log's beginning, and no epoch has started since that begins empty"
        return city_view.batches.gap

    async def read(self, ends: LogOffsets, *, max_records: int = RECORDS_AT_ONCE) -> None:
        """Everything up to the ends. Other tasks run after each `max_records` records."""
        self._ends = ends
        if self.in_order:
            await self._read_events(ends.ev, max_records)
            first_ms = await self._read_fixes(ends.loc, max_records)
        else:
            _, first_ms = await _both(
                self._read_events(ends.ev, max_records), self._read_fixes(ends.loc, max_records)
            )
        self._first_ms = self._first_ms or first_ms

    def go_live(self) -> Booted:
        """Close the first cut. From here on a gap breaks the city view."""
        city_view, first_ms = self.city_view, self._first_ms
        if self.is_from_time or first_ms is None:
            city_view.went_live(self.back_ms)
        else:
            city_view.went_live(
                first_ms if city_view.covered_ms is None else min(first_ms, city_view.covered_ms)
            )
        city_view.close()
        return Booted(city_view, self.locations, self.events, self._ends)

    async def _read_events(self, end: int, max_records: int) -> None:
        async for records in RangeReader(self.events, end, max_records=max_records):
            self.city_view.fold_events(records)
            await asyncio.sleep(0)

    async def _read_fixes(self, end: int, max_records: int) -> int | None:
        """When the first one was appended."""
        first_ms = None
        async for records in RangeReader(self.locations, end, max_records=max_records):
            if first_ms is None:
                first_ms = records[0].timestamp_ms + self.city_view.city.shift_at(records[0].offset)
            self.city_view.fold_positions(records)
            await asyncio.sleep(0)
        return first_ms


async def ask_ends(bus: Bus, partition: int) -> LogOffsets:
    """How far both logs go now."""
    locations = await bus.offsets(LOCATIONS, partition)
    return LogOffsets(locations.stable, (await bus.offsets(EVENTS, partition)).stable)


async def _both(one: Coroutine[Any, Any, A], other: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """At the same time. The first failure ends the other, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            first, second = tasks.create_task(one), tasks.create_task(other)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return first.result(), second.result()


async def _last_append_ms(bus: Bus, partition: int, bounds: Offsets) -> int:
    """When the last positions that can be read were appended, by the broker's clock; 0 where there is none.

    The last offsets may be control records of other producers' transactions: then it reads further back.
    """
    reader = await bus.reader(LOCATIONS, partition, bounds.stable)
    back, times_ms = WINDOW, list[int]()
    try:
        while len(times_ms) < WINDOW and back < 10 * (bounds.stable - bounds.start + WINDOW):
            reader.seek(max(bounds.start, bounds.stable - back))
            times_ms.clear()
            async for records in RangeReader(reader, bounds.stable):
                times_ms += [record.timestamp_ms for record in records]
            back *= 10
    finally:
        await reader.close()
    last_ms = sorted(times_ms[-WINDOW:])
    return last_ms[len(last_ms) // 2] if last_ms else 0


async def first_since(
    bus: Bus, partition: int, bounds: Offsets, shifts: Sequence[tuple[int, int]], back_ms: int
) -> int:
    """An offset before which every position was appended earlier than `back_ms` (log time).

    The broker's own index of times leads astray if a single record has a wrong time, or if the clock was
    set back: then it is searched here. A position may lie APART_MS_MAX ahead of those around it and still
    count, so the search ends by as much earlier.
    """
    clock = _Times(bus, partition, bounds)
    around_ms = back_ms - APART_MS_MAX
    try:
        for number in range(len(shifts) - 1, -1, -1):
            first, shift_ms = shifts[number]
            if bounds.start <= first < bounds.stable and await clock.at(first) + shift_ms < around_ms:
                end = shifts[number + 1][0] if number + 1 < len(shifts) else bounds.stable
                return await clock.search(first, end, around_ms - shift_ms)
        shift_ms = shifts[0][1] if shifts and shifts[0][0] <= bounds.start else 0
        found = await bus.offset_at(LOCATIONS, partition, max(back_ms - shift_ms, 0))
        found = max(found, bounds.start)
        if not shifts and found < bounds.stable and await clock.at(found) < back_ms:
            return await clock.search(found, bounds.stable, around_ms)  # it is a single record's time
        return min([found, *(first for first, _ in shifts if first > bounds.start)])
    finally:
        await clock.close()


class _Times:
    """When positions were appended, by the broker's clock."""

    def __init__(self, bus: Bus, partition: int, bounds: Offsets) -> None:
        self._bus, self._partition, self._bounds = bus, partition, bounds
        self._reader: Reader | None = None

    async def at(self, offset: int) -> int:
        """The median of the next few from `offset` on."""
        if self._reader is None:
            self._reader = await self._bus.reader(LOCATIONS, self._partition, offset)
        self._reader.seek(offset)
        found: list[Record] = []
        async for records in RangeReader(self._reader, self._bounds.stable, max_records=WINDOW):
            found += records
            if len(found) >= WINDOW:
                break
        times_ms = sorted(record.timestamp_ms for record in found[:WINDOW])
        return times_ms[len(times_ms) // 2] if times_ms else 0

    async def search(self, low: int, high: int, at_ms: int) -> int:
        """The last offset in low … high − 1 that is known to be earlier, some positions aside."""
        while high - low > WINDOW:
            middle = (low + high) // 2
            if await self.at(middle) < at_ms:
                low = middle
            else:
                high = middle
        return low

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()
