# SPDX-License-Identifier: Apache-2.0
"""From the log alone to a view: the newest snapshot that is old enough, then everything after it."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True)
class Booted:
    """A view at the end of the log, and the readers that go on from there."""

    view: View
    locations: Reader
    events: Reader
    ends: Ends


@contextlib.asynccontextmanager
async def booted(bus: Bus, partition: int, span: Span, grid: Grid) -> AsyncIterator[Booted]:
    """Read up to the ends that the logs had at the beginning of this.

    Raises Unavailable, OffsetOutOfRange (retention was quicker), LogBroken.
    """
    ends = await ask_ends(bus, partition)
    bounds = await bus.offsets(LOCATIONS, partition)
    newest = await snapshots.newest(bus, partition)
    back_ms = (
        max(await _last_append_ms(bus, partition, bounds), newest.state.now_ms if newest else 0)
        - span.boot_ms
    )
    first = max(bounds.start, await bus.offset_at(LOCATIONS, partition, max(back_ms, 0)))
    async with contextlib.AsyncExitStack() as stack:
        city, events = await _begin(bus, partition, back_ms, newest, stack)
        view = View(city, loc=first, ev=events.position, span=span, grid=grid)
        while events.position < ends.ev:
            view.fold_events(await events.fetch(max_records=RECORDS_AT_ONCE))
        if view.ev and not city.epoch:
            message = "no snapshot covers the log's beginning, and no epoch started since from nothing"
            raise LogBroken(message)
        locations = await bus.reader(LOCATIONS, partition, first)
        stack.push_async_callback(locations.close)
        first_ms = None
        while locations.position < ends.loc:
            records = await locations.fetch(max_records=RECORDS_AT_ONCE)
            first_ms = first_ms or (records[0].timestamp_ms if records else None)
            view.fold_locations(records)
        if first > bounds.start or first_ms is None:
            view.went_live(back_ms)  # an offset found by time says when the one before was appended
        else:
            view.went_live(first_ms if view.covered_ms is None else min(first_ms, view.covered_ms))
        view.close()
        yield Booted(view, locations, events, ends)


async def ask_ends(bus: Bus, partition: int) -> Ends:
    """How far both logs go now."""
    locations = await bus.offsets(LOCATIONS, partition)
    return Ends(locations.end, (await bus.offsets(EVENTS, partition)).stable)


async def _last_append_ms(bus: Bus, partition: int, bounds: Offsets) -> int:
    """When the last fix was appended; 0 where there is none."""
    if bounds.start == bounds.end:
        return 0
    reader = await bus.reader(LOCATIONS, partition, bounds.end - 1)
    try:
        records = await reader.fetch(max_records=1)
    finally:
        await reader.close()
    return records[0].timestamp_ms if records else 0


async def _begin(
    bus: Bus, partition: int, back_ms: int, newest: Snapshot | None, stack: contextlib.AsyncExitStack
) -> tuple[CityState, Reader]:
    """The state to begin with, and a reader of the events after it."""

    def old_enough(part: SnapshotPart) -> bool:
        return part.at_ms <= back_ms

    old = None if newest is None else await snapshots.newest(bus, partition, old_enough)
    start = (await bus.offsets(EVENTS, partition)).start
    # A young snapshot only narrows the window, but a log that is all there widens it.
    for snapshot in (old,) if start == 0 else (old, newest):
        if snapshot is not None and snapshot.events_offset > start:
            reader = await bus.reader(EVENTS, partition, snapshot.events_offset - 1)
            stack.push_async_callback(reader.close)
            if await _is_of_this_log(reader, snapshot):
                return snapshot.state, reader
    # Where the log begins in the middle, the view waits for an epoch that starts from nothing.
    reader = await bus.reader(EVENTS, partition, start)
    stack.push_async_callback(reader.close)
    return CityState(), reader


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
