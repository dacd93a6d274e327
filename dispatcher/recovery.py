# SPDX-License-Identifier: Apache-2.0
"""Rebuilds a city from the log, so that the next batch can be decided.

1. **Fence.** The caller has started the producer of the city (`dispatcher.takeover`), so no other dispatcher
   can add a batch from here on. Everything below relies on it.
2. **Wait** until all events can be read. What the predecessor has committed may lie behind an open
   transaction of another producer; from a prefix of the events it would decide the same batches again.
3. **Start** from the newest snapshot that belongs to this log, or from the first event.
4. **Fold** the batches behind it, up to the end. If the facts are not all there, the city begins empty, in a
   new epoch, and only batch number, log time and input offsets go on.
5. **Find the offset in each input**, commands and positions of drivers: where the last batch stopped,
   unless retention has deleted that or the topic was created again.
6. **Read the positions of drivers** that earlier batches knew, then those since, up to now.

Steps 2 to 4 make a `History`, step 5 an `InputOffset` for each input, and all together a `Recovered`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Self

from dispatcher.batch_input import LOCATIONS_RECREATED, EpochToBegin, Skipped, digest
from taxi.bus import Bus, Offsets, Record, Unavailable
from taxi.bus.ranges import read_range, read_record
from taxi.messages import BatchClosed, EpochStarted
from taxi.messages.codec import DecodeError
from taxi.positions.columns import read_fixes
from taxi.positions.newest import NewestFixes
from taxi.state import EVENTS_LOST, CityState, IllegalTransitionError, snapshots
from taxi.state.batches import Batch, WholeBatches, closing_events
from taxi.state.snapshots import Snapshot
from taxi.topics import COMMANDS, EVENTS, LOCATIONS, SNAPSHOTS


@dataclass
class UnbatchedPositions:
    """Positions of drivers since the last batch. They are folded already: there may be an hour of them."""

    last: Record | None = None
    unreadable: list[DecodeError] = field(default_factory=list)


@dataclass(frozen=True, eq=False, kw_only=True)
class Recovered:
    """The state of a city at the end of its log, and what its first batch must say."""

    city: CityState
    newest: NewestFixes
    commands_offset: int
    """The next command to read."""
    locations_offset: int
    """The next position to read: all before it are in `newest`."""
    unbatched: UnbatchedPositions = field(default_factory=UnbatchedPositions)
    epoch_to_begin: EpochToBegin | None = None
    """The epoch that the first batch begins; None if the last one goes on."""
    skipped: tuple[Skipped, ...] = ()
    """Input that no batch will read, because retention deleted it."""
    unreadable: tuple[DecodeError, ...] = ()
    """What cannot be read or does not count among the events, and among the snapshots that were looked at."""
    events_offset: int = 0
    """The next event to read."""
    replaced_producer_id: int | None = None
    """The producer id of the city so far, if this dispatcher has another one: its first batch must say so."""
    begins_log: bool = False
    """No batch on the log counts for who reads it from its start: the first one of this dispatcher does,
    unless another producer's comes before it (`check_beginning`)."""


UntilStable = Callable[[str], Awaitable[Offsets]]
"""Waits until everything that is in a topic now can be read, and returns its bounds then."""


async def recover(
    bus: Bus,
    partition: int,
    new_id: Callable[[], str],
    until_stable: UntilStable,
    producer_id: int | None = None,
) -> Recovered:
    """Rebuild a city from the log: steps 2 to 6 of the module's text.

    Args:
        bus: Where the log is.
        partition: Of the city.
        new_id: Makes the name of an epoch.
        until_stable: Waits until all that is in a topic can be read (`UntilStable`).
        producer_id: Of the producer that will write the next batch, which has fenced its predecessor (step
            1); None if nothing will be written.

    Raises:
        Unavailable: The broker did not answer.
        OffsetOutOfRange: Retention deleted what was about to be read: try again.
    """
    events = await until_stable(EVENTS)
    unreadable: list[DecodeError] = []
    snapshot = await _newest_snapshot(bus, partition, events, until_stable, unreadable)
    history = await _read_history(bus, partition, events, snapshot, unreadable, producer_id)
    commands = await _input_offset(bus, partition, COMMANDS, history.city)
    locations = await _input_offset(bus, partition, LOCATIONS, history.city)
    locations, unbatched = await _read_positions(bus, partition, history, locations)
    return Recovered(
        city=history.city,
        newest=history.newest,
        commands_offset=commands.offset,
        locations_offset=locations.offset,
        unbatched=unbatched,
        epoch_to_begin=_epoch_to_begin(history, commands, locations, new_id),
        skipped=tuple(each.skipped for each in (commands, locations) if each.skipped is not None),
        unreadable=tuple(history.unreadable),
        events_offset=history.events_offset,
        replaced_producer_id=_replaced_producer_id(history, producer_id),
        begins_log=history.first_reader_follows is None,
    )


class BegunByAnotherError(Unavailable):
    """Another producer's batch came before the first one of this city: readers follow that producer."""


async def check_beginning(bus: Bus, partition: int, until_stable: UntilStable, producer_id: int) -> None:
    """Check that who reads the log from its start follows this producer, whose first batch is committed.

    Raises:
        BegunByAnotherError: They follow another. A new recovery continues that one's batch, and its first
            batch takes the city over.
        Unavailable: The broker did not answer.
    """
    followed = await _followed_from_start(bus, partition, await until_stable(EVENTS))
    if followed != producer_id:
        raise BegunByAnotherError(
            f"producer {followed} wrote a batch before the first one of producer {producer_id}"
        )


# --- step 3: the snapshot to start from -------------------------------------------------------------


async def _newest_snapshot(
    bus: Bus,
    partition: int,
    events: Offsets,
    until_stable: UntilStable,
    unreadable: list[DecodeError],
) -> Snapshot | None:
    """The newest snapshot that belongs to this log; None if there is none.

    Invariant: all events from its `events_offset` on are there. If it returns None although the log's
    beginning is deleted, no snapshot exists, also none behind an open transaction.
    """
    snapshot = await snapshots.newest_of_log(bus, partition, events, unreadable=unreadable)
    if snapshot is None and events.start > 0:
        await until_stable(SNAPSHOTS)
        unreadable.clear()
        snapshot = await snapshots.newest_of_log(bus, partition, events, unreadable=unreadable)
    return snapshot


# --- step 4: the facts ------------------------------------------------------------------------------


@dataclass(kw_only=True)
class History:
    """What snapshot and events say."""

    city: CityState
    newest: NewestFixes
    batches: WholeBatches
    """What selects the batches that count, after all of them up to `events_offset`."""
    events_offset: int
    """The next event to read."""
    unreadable: list[DecodeError]
    positions_from: int = 0
    """The first position that batches may have read and that is not in `newest`."""
    is_lost: bool = False
    """Events are missing, and no snapshot covers them: the city begins empty, in a new epoch."""
    first_reader_follows: int | None = None
    """The producer id that is the city's for who reads the log from its start, or from the snapshot."""

    @classmethod
    def starting(cls, events: Offsets, snapshot: Snapshot | None, unreadable: list[DecodeError]) -> Self:
        """Before the first event is folded."""
        if snapshot is None:
            return cls(
                city=CityState(),
                newest=NewestFixes(),
                batches=WholeBatches(),
                events_offset=events.start,
                unreadable=unreadable,
            )
        return cls(
            city=snapshot.state,
            newest=snapshot.newest,
            batches=WholeBatches(snapshot.state.batch, snapshot.producer_id),
            events_offset=snapshot.events_offset,
            unreadable=unreadable,
            positions_from=snapshot.state.locations_offset,
        )

    @classmethod
    def lost(
        cls,
        batches: WholeBatches,
        events_offset: int,
        unreadable: list[DecodeError],
        first_reader_follows: int | None,
        name: str = "",
    ) -> Self:
        """The city begins empty. `name`: the city's on the log, if any event that can be read says it.

        Invariant: batch number, log time and input offsets go on where the last `BatchClosed` of the city's
        producer left them, so no number is used twice and no command is decided twice.
        """
        city, newest = CityState(), NewestFixes()
        city.city = name
        if batches.last_closed is not None:
            city.stand_at(batches.last_closed)
        newest.clock.shift_ms = city.shift_ms
        return cls(
            city=city,
            newest=newest,
            batches=batches,
            events_offset=events_offset,
            unreadable=unreadable,
            is_lost=True,
            first_reader_follows=first_reader_follows,
        )


async def _read_history(
    bus: Bus,
    partition: int,
    events: Offsets,
    snapshot: Snapshot | None,
    unreadable: list[DecodeError],
    producer_id: int | None,
) -> History:
    """Fold the events behind the snapshot, to the end.

    Invariant: the state is that after the last batch of the city's producer, with no batch left out; or
    `is_lost` says that it is empty.
    """
    if snapshot is None and events.start > 0:
        # All batches may still be there: retention deletes what others wrote before the city's first batch.
        followed = await _followed_from_start(bus, partition, events)
        last = await _survey_closed(bus, partition, events, producer_id)
        if followed is None or followed != last.batches.producer_id:
            return History.lost(last.batches, last.events_offset, [], followed)
    history = History.starting(events, snapshot, unreadable)
    n_before = len(unreadable)
    await _fold_batches(bus, partition, history, events.stable)
    history.first_reader_follows = followed = history.batches.producer_id
    of_events = history.unreadable[n_before:]
    if followed is None:  # no batch counts: is that because none exists?
        last = await _survey_closed(bus, partition, events, producer_id)
        if last.is_own or (last.batches.last_closed is not None and history.batches.is_damaged):
            return History.lost(last.batches, last.events_offset, of_events, None)
    elif followed != producer_id and history.batches.is_damaged:
        # Did the batch with which this dispatcher's producer took the city over get damaged?
        last = await _survey_closed(bus, partition, events, producer_id)
        if last.is_own and last.batches.number > history.batches.number:
            return History.lost(last.batches, last.events_offset, of_events, followed, history.city.city)
    if history.batches.gap is not None:
        return History.lost(history.batches, history.events_offset, of_events, followed, history.city.city)
    return history


async def _fold_batches(bus: Bus, partition: int, history: History, end: int) -> None:
    """Fold every batch that counts, up to `end`.

    If `history.batches.gap` is set afterwards, batches are missing or not legal, and the state is void.
    """
    batches = history.batches
    async with read_range(bus, EVENTS, partition, history.events_offset, end) as chunks:
        async for records in chunks:
            for batch in batches.feed(records):
                _fold_batch(history, batch)
            history.unreadable += batches.take_for_dead_letters()
        history.events_offset = chunks.position
    batches.pass_over_open_runs()
    history.unreadable += batches.take_for_dead_letters()


def _fold_batch(history: History, batch: Batch) -> None:
    """Apply the events of a batch, and keep track of which positions it makes void.

    Invariant: `positions_from` never points into an earlier topic of positions, or before an epoch that began
    empty.
    """
    city, batches = history.city, history.batches
    if batch.begins_empty:
        _forget_positions(history, (batches.closed_before or city).locations_offset)
    try:
        for at in batch.events:
            city.apply(at.event)
            if isinstance(at.event, EpochStarted) and at.event.reason in LOCATIONS_RECREATED:
                _forget_positions(history, 0)
    except (IllegalTransitionError, KeyError) as error:
        batches.break_off(f"batch {batch.closed.batch} is not legal: {error}")


def _forget_positions(history: History, positions_from: int) -> None:
    history.newest.forget_all()
    history.positions_from = positions_from


async def _followed_from_start(bus: Bus, partition: int, events: Offsets) -> int | None:
    """The producer id that is the city's for who reads all events; None if no batch counts."""
    batches = WholeBatches()
    async with read_range(bus, EVENTS, partition, events.start, events.stable) as chunks:
        async for records in chunks:
            for _ in batches.feed(records):
                pass
            batches.take_for_dead_letters()
    return batches.producer_id


@dataclass(kw_only=True)
class ClosedSurvey:
    """The last batch on the log of the producer that is most likely the city's."""

    batches: WholeBatches
    """Continues behind it: `last_closed` is its end."""
    events_offset: int
    is_own: bool = False
    """This dispatcher's own producer id wrote it."""


async def _survey_closed(bus: Bus, partition: int, events: Offsets, producer_id: int | None) -> ClosedSurvey:
    """Find the last batch if nothing says whose batches count.

    It is that of the dispatcher's own producer id, if there is any; else of the producer with most batches.
    """
    closed: dict[int, list[BatchClosed]] = {}
    async with read_range(bus, EVENTS, partition, events.start, events.stable) as chunks:
        async for records in chunks:
            for writer, event in closing_events(records):
                closed.setdefault(writer, []).append(event)
        events_offset = chunks.position
    if not closed:
        return ClosedSurvey(batches=WholeBatches(), events_offset=events_offset)
    main = producer_id if producer_id in closed else max(closed, key=lambda each: len(closed[each]))
    batches = WholeBatches(closed[main][-1].batch, main)
    batches.last_closed = closed[main][-1]
    return ClosedSurvey(batches=batches, events_offset=events_offset, is_own=main == producer_id)


# --- step 5: the offset in each input ---------------------------------------------------------------


@dataclass(frozen=True)
class InputOffset:
    """Where to go on reading one input."""

    offset: int
    """The next record to read."""
    skipped: Skipped | None = None
    """What retention deleted before any batch read it."""
    is_recreated: bool = False
    """The topic is not the one that the last batch read: it was deleted and created again."""


async def _input_offset(bus: Bus, partition: int, topic: str, city: CityState) -> InputOffset:
    """Where to go on reading an input.

    Invariant: no record of the topic is read twice, and each that will never be read is in `skipped`.
    """
    if topic == COMMANDS:
        read_to, last_digest = city.commands_offset, city.commands_digest
    else:
        read_to, last_digest = city.locations_offset, city.locations_digest
    bounds = await bus.offsets(topic, partition)
    if read_to > bounds.end or not await is_same_topic(bus, partition, topic, bounds, read_to, last_digest):
        skipped = Skipped(topic, 0, bounds.start) if bounds.start > 0 else None
        return InputOffset(bounds.start, skipped, is_recreated=True)
    if read_to < bounds.start:
        return InputOffset(bounds.start, Skipped(topic, read_to, bounds.start))
    return InputOffset(read_to)


async def is_same_topic(
    bus: Bus, partition: int, topic: str, bounds: Offsets, read_to: int, last_digest: str
) -> bool:
    """Whether the record before `read_to` is the one that the last batch read. True if nothing can tell."""
    if not last_digest or read_to <= bounds.start:
        return True
    record = await read_record(bus, topic, partition, read_to - 1)
    found = digest(record) if record is not None else ""
    return not found or found == last_digest


def _epoch_to_begin(
    history: History, commands: InputOffset, locations: InputOffset, new_id: Callable[[], str]
) -> EpochToBegin | None:
    """The epoch that the first batch begins; None if the last one goes on. One epoch tells of everything."""
    if history.is_lost:
        return EpochToBegin(new_id(), EVENTS_LOST)
    if not history.city.epoch:
        return EpochToBegin(new_id(), "birth")
    if commands.is_recreated and locations.is_recreated:
        return EpochToBegin(new_id(), "inputs_recreated")
    if commands.is_recreated:
        return EpochToBegin(new_id(), "commands_recreated")
    if locations.is_recreated:
        return EpochToBegin(new_id(), "locations_recreated")
    return None


def _replaced_producer_id(history: History, producer_id: int | None) -> int | None:
    """The producer id that a successor with this id must name. None: it is the same, or there is none."""
    known, followed = history.batches.producer_id, history.first_reader_follows
    if producer_id is None or known != producer_id:
        return None if producer_id is None else known
    return None if followed == producer_id else followed


# --- step 6: the positions of drivers ---------------------------------------------------------------


async def _read_positions(
    bus: Bus, partition: int, history: History, locations: InputOffset
) -> tuple[InputOffset, UnbatchedPositions]:
    """Fold all positions up to now, so that the first batch is not behind.

    What an open transaction holds back comes later, as new positions do.

    Returns:
        Where to go on reading positions, and what the first batch must know of those before that.
    """
    if not history.is_lost:
        if locations.is_recreated:  # the first batch forgets all positions
            return locations, UnbatchedPositions()
        locations = await restore_positions(bus, partition, history, locations)
    end = (await bus.offsets(LOCATIONS, partition)).stable
    if end <= locations.offset:
        return locations, UnbatchedPositions()
    unbatched = await _fold_positions(bus, partition, history.newest, locations.offset, end)
    return replace(locations, offset=end), unbatched


async def restore_positions(
    bus: Bus, partition: int, history: History, locations: InputOffset
) -> InputOffset:
    """Fold the positions that earlier batches read since the snapshot.

    Invariant: `newest` is what it was when the last batch was decided; or `skipped` of the returned offset
    says that some are missing. Then the decisions of this dispatcher can't be repeated from the log until the
    next snapshot, and no driver counts as lost because of it: the time without news begins again, as after a
    silence.
    """
    newest, start, end = history.newest, history.positions_from, history.city.locations_offset
    first = (await bus.offsets(LOCATIONS, partition)).start
    if start < min(first, end):
        newest.heard_ms = 0
        locations = replace(locations, skipped=Skipped(LOCATIONS, start, first))
        start = first
    await _fold_positions(bus, partition, newest, start, end)
    newest.clock.shift_ms = history.city.shift_ms  # as it was decided, also from positions that are deleted
    return locations


async def _fold_positions(
    bus: Bus, partition: int, newest: NewestFixes, start: int, end: int
) -> UnbatchedPositions:
    unbatched = UnbatchedPositions()
    async with read_range(bus, LOCATIONS, partition, start, end) as chunks:
        async for records in chunks:
            read = read_fixes(records)
            newest.fold(read.fixes)
            unbatched.last = records[-1]
            unbatched.unreadable += read.unreadable
    return unbatched
