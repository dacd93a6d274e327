# SPDX-License-Identifier: Apache-2.0
"""From the log to a city that can be decided on: newest snapshot, then events, then fixes.

The producer of the city was started before, so nobody else can add to the log any more.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from dispatcher.cut import Epoch, Skipped, digest
from taxi import codec, snapshots
from taxi.bus import Bus, BusError, Record
from taxi.city import CityState
from taxi.messages import AnyEvent, BatchClosed
from taxi.newest import NewestFixes
from taxi.topics import COMMANDS, EVENTS, LOCATIONS


class UncoveredLogError(BusError):
    """The log's beginning is gone and no snapshot covers it: nothing sensible can be decided."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Recovered:
    """Where a city stands, and what its first batch must say."""

    city: CityState
    newest: NewestFixes
    commands_offset: int
    locations_offset: int
    epoch: Epoch | None = None
    skipped: tuple[Skipped, ...] = ()


async def recover(bus: Bus, partition: int, new_id: Callable[[], str]) -> Recovered:
    """Read a city from the log. Raises UncoveredLogError, Unavailable, OffsetOutOfRange."""
    snapshot = await snapshots.newest(bus, partition)
    bounds = await bus.offsets(EVENTS, partition)
    if snapshot is not None and snapshot.events_offset > bounds.stable:
        snapshot = None  # the events are another log's: it was made anew
    if snapshot is None and bounds.start > 0:
        raise UncoveredLogError(f"{EVENTS}/{partition} starts at {bounds.start} and no snapshot covers that")
    city = snapshot.state if snapshot is not None else CityState()
    newest = snapshot.newest if snapshot is not None else NewestFixes()
    fixes_from = city.locations_offset
    await _fold_events(
        bus, partition, city, snapshot.events_offset if snapshot is not None else 0, bounds.stable
    )
    found = Recovered(
        city=city,
        newest=newest,
        commands_offset=city.commands_offset,
        locations_offset=city.locations_offset,
        epoch=None if city.epoch else Epoch(new_id(), "birth"),
    )
    found = await _place(bus, partition, found, COMMANDS, new_id)
    found = await _place(bus, partition, found, LOCATIONS, new_id)
    if found.locations_offset == city.locations_offset:
        await _fold_fixes(bus, partition, newest, fixes_from, city.locations_offset)
    return found


async def _fold_events(bus: Bus, partition: int, city: CityState, start: int, end: int) -> None:
    """Whole batches only: a run without its `BatchClosed` never happened."""
    reader = await bus.reader(EVENTS, partition, start)
    run: list[AnyEvent] = []
    try:
        while reader.position < end:  # a position, not a record: the last ones may be control records
            for record in await reader.fetch():
                event: AnyEvent = codec.decode(EVENTS, record)  # only we write there: unreadable is a bug
                if run and event.batch != run[0].batch:
                    run = []
                run.append(event)
                if isinstance(event, BatchClosed):
                    for one in run:
                        city.apply(one)
                    run = []
    finally:
        await reader.close()


async def _place(
    bus: Bus, partition: int, found: Recovered, topic: str, new_id: Callable[[], str]
) -> Recovered:
    """Where to go on reading an input: at the recorded offset, if the topic is still the same one."""
    name = "commands" if topic == COMMANDS else "locations"
    recorded: int = getattr(found.city, f"{name}_offset")
    bounds = await bus.offsets(topic, partition)
    if recorded > bounds.end or not await _same(bus, partition, found.city, topic, recorded, bounds.start):
        epoch = Epoch(new_id(), f"{name}_recreated")
        return _at(replace(found, epoch=found.epoch or epoch), name, bounds.start)
    if recorded < bounds.start:
        if found.city.batch:
            skipped = Skipped(topic, recorded, bounds.start)
            found = replace(found, skipped=(*found.skipped, skipped))
        return _at(found, name, bounds.start)
    return found


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
    reader = await bus.reader(topic, partition, recorded - 1)
    try:
        while reader.position < recorded:
            for record in await reader.fetch(max_records=1):
                return record.offset == recorded - 1 and digest(record) == expected
    finally:
        await reader.close()
    return True


async def _fold_fixes(bus: Bus, partition: int, newest: NewestFixes, start: int, end: int) -> None:
    """Fixes between the snapshot's cut and the last batch's; what retention took is superseded anyway."""
    bounds = await bus.offsets(LOCATIONS, partition)
    reader = await bus.reader(LOCATIONS, partition, max(start, bounds.start))
    try:
        while reader.position < end:
            for record in await reader.fetch(max_records=min(5000, end - reader.position)):
                if record.offset < end:
                    _fold_fix(newest, record)
    finally:
        await reader.close()


def _fold_fix(newest: NewestFixes, record: Record) -> None:
    try:
        newest.fold(codec.decode(LOCATIONS, record), record.offset, record.timestamp_ms)
    except codec.DecodeError:
        return  # went to the dead letters when it was first read
