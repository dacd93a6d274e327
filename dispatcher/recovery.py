# SPDX-License-Identifier: Apache-2.0
"""From the log to a city that can be decided on: newest snapshot, then events, then fixes.

The producer of the city was started before, so nobody else can add to the log any more.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from dispatcher.cut import LOCATIONS_RECREATED, Epoch, Skipped, digest
from taxi import codec, snapshots
from taxi.batches import WholeBatches
from taxi.bus import Bus, Offsets, Record
from taxi.city import EVENTS_LOST, CityState
from taxi.codec import DecodeError
from taxi.fix_columns import read_fixes
from taxi.messages import BatchClosed, EpochStarted, SnapshotPart
from taxi.newest import NewestFixes
from taxi.snapshots import Snapshot
from taxi.topics import COMMANDS, EVENTS, LOCATIONS

_FIXES_AT_ONCE = 10_000


@dataclass
class Backlog:
    """Fixes that came since the last batch. They are folded already: there may be an hour of them."""

    last: Record | None = None
    heard_ms: int = 0
    """The greatest append time."""
    unreadable: list[DecodeError] = field(default_factory=list)


@dataclass(frozen=True, eq=False, kw_only=True)
class Recovered:
    """Where a city stands, and what its first batch must say."""

    city: CityState
    newest: NewestFixes
    commands_offset: int
    locations_offset: int
    """The end of `locations`, that is: all fixes before it are in `newest`."""
    locations: Backlog = field(default_factory=Backlog)
    epoch: Epoch | None = None
    skipped: tuple[Skipped, ...] = ()
    unreadable: tuple[DecodeError, ...] = ()
    """Records among the events that are none."""


async def recover(bus: Bus, partition: int, new_id: Callable[[], str]) -> Recovered:
    """Read a city from the log. Raises Unavailable, OffsetOutOfRange (retention is at work: try again)."""
    bounds = await bus.offsets(EVENTS, partition)
    snapshot = await _newest_that_stands(bus, partition, bounds)
    city = snapshot.state if snapshot is not None else CityState()
    newest = snapshot.newest if snapshot is not None else NewestFixes()
    start = snapshot.events_offset if snapshot is not None else 0
    if start < bounds.start:
        return await _begin_again(bus, partition, bounds, new_id)
    fixes_from = city.locations_offset
    folded = await _fold_events(bus, partition, city, start, bounds.stable)
    if folded.locations_recreated:
        newest.forget_all()
        fixes_from = 0
    found = Recovered(
        city=city,
        newest=newest,
        commands_offset=city.commands_offset,
        locations_offset=city.locations_offset,
        epoch=None if city.epoch else Epoch(new_id(), "birth"),
        unreadable=tuple(folded.unreadable),
    )
    found = await _place(bus, partition, found, COMMANDS, new_id)
    found = await _place(bus, partition, found, LOCATIONS, new_id)
    if found.locations_offset < city.locations_offset:
        return found  # the topic was made anew: the first batch forgets what was known
    found = await _know_the_fixes(bus, partition, found, fixes_from)
    return await _catch_up(bus, partition, found)


# --- events ----------------------------------------------------------------------------------------


async def _newest_that_stands(bus: Bus, partition: int, bounds: Offsets) -> Snapshot | None:
    """The newest snapshot of this very log: topics can be made anew while old snapshots stay."""
    passed_over: list[tuple[int, int]] = []

    def wanted(part: SnapshotPart) -> bool:
        return part.events_offset <= bounds.stable and (part.batch, part.events_offset) not in passed_over

    while True:
        snapshot = await snapshots.newest(bus, partition, wanted)
        if snapshot is None or await _stands(bus, partition, bounds, snapshot):
            return snapshot
        passed_over.append((snapshot.state.batch, snapshot.events_offset))


async def _stands(bus: Bus, partition: int, bounds: Offsets, snapshot: Snapshot) -> bool:
    """Whether its batch ends where it says. Where retention took that record, nobody knows better."""
    if snapshot.events_offset <= bounds.start:
        return True
    record = await _record_at(bus, EVENTS, partition, snapshot.events_offset - 1)
    try:
        event = codec.decode(EVENTS, record) if record is not None else None
    except DecodeError:
        return False
    return isinstance(event, BatchClosed) and event.batch == snapshot.state.batch


@dataclass
class Folded:
    """What the events told beside the city."""

    unreadable: list[DecodeError] = field(default_factory=list)
    locations_recreated: bool = False
    """The fixes that a snapshot before them knows are another topic's."""


async def _fold_events(bus: Bus, partition: int, city: CityState, start: int, end: int) -> Folded:
    """Whole batches only: a run without its `BatchClosed` never happened."""
    folded = Folded()
    reader = await bus.reader(EVENTS, partition, start)
    batches = WholeBatches()
    try:
        while reader.position < end:  # a position, not a record: the last ones may be control records
            for batch in batches.feed(await reader.fetch()):
                for at in batch.events:
                    city.apply(at.event)
                    if isinstance(at.event, EpochStarted) and at.event.reason in LOCATIONS_RECREATED:
                        folded.locations_recreated = True
    finally:
        await reader.close()
    folded.unreadable += batches.unreadable
    return folded


async def _begin_again(bus: Bus, partition: int, bounds: Offsets, new_id: Callable[[], str]) -> Recovered:
    """The log's beginning is gone and nothing covers it: a new epoch, whose city begins empty.

    Numbers, log time and input offsets go on where the last `BatchClosed` left them.
    """
    city = CityState()
    reader = await bus.reader(EVENTS, partition, bounds.start)
    try:
        while reader.position < bounds.stable:
            for record in await reader.fetch():
                with suppress(DecodeError):  # nothing is folded here: what can't be read is not missed
                    event = codec.decode(EVENTS, record)
                    if isinstance(event, BatchClosed):
                        city.stand_at(event)
    finally:
        await reader.close()
    epoch = Epoch(new_id(), EVENTS_LOST)
    found = Recovered(city=city, newest=NewestFixes(), commands_offset=0, locations_offset=0, epoch=epoch)
    found = _at(_at(found, "commands", city.commands_offset), "locations", city.locations_offset)
    found = await _place(bus, partition, found, COMMANDS, new_id)
    found = await _place(bus, partition, found, LOCATIONS, new_id)
    return await _catch_up(bus, partition, found)


# --- inputs ----------------------------------------------------------------------------------------


async def _place(
    bus: Bus, partition: int, found: Recovered, topic: str, new_id: Callable[[], str]
) -> Recovered:
    """Where to go on reading an input: at the recorded offset, if the topic is still the same one."""
    name = "commands" if topic == COMMANDS else "locations"
    recorded: int = getattr(found.city, f"{name}_offset")
    bounds = await bus.offsets(topic, partition)
    if recorded > bounds.end or not await _same(bus, partition, found.city, topic, recorded, bounds.start):
        found = replace(found, epoch=_another(found.epoch, name, new_id))
        return _at(_skipping(found, topic, 0, bounds.start), name, bounds.start)
    if recorded < bounds.start:
        return _at(_skipping(found, topic, recorded, bounds.start), name, bounds.start)
    return found


def _skipping(found: Recovered, topic: str, first: int, after: int) -> Recovered:
    """What retention took unread is said."""
    if after <= first:
        return found
    return replace(found, skipped=(*found.skipped, Skipped(topic, first, after)))


def _another(begun: Epoch | None, name: str, new_id: Callable[[], str]) -> Epoch:
    """The epoch that begins since an input was made anew; one epoch tells of both."""
    if begun is None:
        return Epoch(new_id(), f"{name}_recreated")
    return replace(begun, reason="inputs_recreated") if begun.reason == "commands_recreated" else begun


def _at(found: Recovered, name: str, offset: int) -> Recovered:
    """The same, reading that input from `offset`."""
    if name == "commands":
        return replace(found, commands_offset=offset)
    return replace(found, locations_offset=offset)


async def _same(bus: Bus, partition: int, city: CityState, topic: str, recorded: int, start: int) -> bool:
    """Whether the record before the recorded offset is the one that was read then."""
    expected = city.commands_digest if topic == COMMANDS else city.locations_digest
    if not expected or recorded <= start:
        return True
    record = await _record_at(bus, topic, partition, recorded - 1)
    return record is None or digest(record) == expected


async def _record_at(bus: Bus, topic: str, partition: int, offset: int) -> Record | None:
    """The record at exactly this offset; None if there is none (a control record, say)."""
    reader = await bus.reader(topic, partition, offset)
    try:
        while reader.position <= offset:
            for record in await reader.fetch(max_records=1):
                return record if record.offset == offset else None
    finally:
        await reader.close()
    return None


async def _know_the_fixes(bus: Bus, partition: int, found: Recovered, start: int) -> Recovered:
    """Fold the fixes that earlier batches read since the snapshot.

    Where retention took some of them, this dispatcher knows fewer than those before it did, and says so:
    its decisions can't be repeated from the log until the next snapshot. Drivers heard of in the gap are
    not lost for it: the count begins anew, as after a silence.
    """
    end = found.city.locations_offset
    there = (await bus.offsets(LOCATIONS, partition)).start
    if start < min(there, end):
        found.newest.heard_ms = 0
        others = tuple(skipped for skipped in found.skipped if skipped.topic != LOCATIONS)
        found = replace(found, skipped=(*others, Skipped(LOCATIONS, start, there)))
        start = there
    await _fold_fixes(bus, partition, found.newest, start, end)
    return found


async def _fold_fixes(bus: Bus, partition: int, newest: NewestFixes, start: int, end: int) -> Backlog:
    """Fold fixes in, start … end − 1."""
    reader = await bus.reader(LOCATIONS, partition, start)
    backlog = Backlog()
    try:
        while reader.position < end:
            at_most = min(_FIXES_AT_ONCE, end - reader.position)
            records = await reader.fetch(max_records=at_most)
            _fold_into(newest, [record for record in records if record.offset < end], backlog)
    finally:
        await reader.close()
    return backlog


def _fold_into(newest: NewestFixes, records: list[Record], backlog: Backlog) -> None:
    read = read_fixes(records)
    if records:
        backlog.last = records[-1]
    backlog.heard_ms = max(backlog.heard_ms, read.heard_ms)
    newest.fold(read.fixes)
    backlog.unreadable += read.unreadable


async def _catch_up(bus: Bus, partition: int, found: Recovered) -> Recovered:
    """Read the fixes up to now, so that the first batch is decided from the present."""
    end = (await bus.offsets(LOCATIONS, partition)).end
    if end <= found.locations_offset:
        return found
    locations = await _fold_fixes(bus, partition, found.newest, found.locations_offset, end)
    return replace(found, locations_offset=end, locations=locations)
