# SPDX-License-Identifier: Apache-2.0
"""Decides batches again from recorded input: the same state and input must give the same bytes."""

from collections.abc import Sequence
from typing import NamedTuple

from dispatcher.batch_input import LOCATIONS_RECREATED, BatchInput, EpochToBegin, ReadCommand, Skipped, digest
from dispatcher.core import decide
from dispatcher.decision_config import decision_config_on_log
from dispatcher.partition_worker import record_of
from taxi import messages as m
from taxi.bus import Outgoing, Record
from taxi.messages import codec
from taxi.positions.columns import FixColumns, read_fixes
from taxi.positions.dropped import UNREADABLE
from taxi.positions.newest import NewestFixes
from taxi.roads.network import RoadNetwork
from taxi.runtime import tracing
from taxi.state import EVENTS_LOST, CityState
from taxi.topics import COMMANDS, LOCATIONS
from taxistream.tools.replay.recorded import Recorded

COMMANDS_RECREATED = frozenset({"commands_recreated", "inputs_recreated"})


class BatchDifference(NamedTuple):
    """The first difference between a recorded and a replayed batch."""

    batch: int
    place: int
    """The index of the event in the batch, from 0."""
    offset: int | None
    """Its offset; None if nothing is recorded at this place."""
    recorded: Outgoing | None
    """None if the recorded batch has fewer events."""
    decided: Outgoing | None
    """None if the replayed batch has fewer events."""


class OffsetRange(NamedTuple):
    """The range of an input that a batch read: offsets in [first, after)."""

    first: int
    after: int
    is_new: bool
    """The topic was created again since the batch before."""


class ReplayedCity:
    """The state of a city after some batch; decides or follows the next ones."""

    def __init__(self, city: CityState, newest: NewestFixes, roads: RoadNetwork) -> None:
        self.city = city
        self._newest = newest
        self._roads = roads

    def take_dropped(self) -> dict[str, int]:
        """Reason → how many positions were dropped since the last call."""
        return self._newest.dropped.take().counts

    def policy(self, recorded: Recorded) -> m.PolicyActivated | None:
        """The policy that decided a batch; None if the log has none."""
        activated = recorded.of(m.PolicyActivated)
        return activated[-1] if activated else self.city.policy

    def refolds(self, recorded: Recorded) -> bool:
        """Whether its dispatcher lacked positions of earlier batches, because retention had deleted them."""
        return not self.fixes_of(recorded).is_new and any(
            skipped.topic == LOCATIONS and skipped.first < self.city.locations_offset
            for skipped in recorded.of(m.InputSkipped)
        )

    def commands_of(self, recorded: Recorded) -> OffsetRange:
        """The range of commands that a batch read."""
        after = recorded.closed.commands_offset
        return self._stretch(recorded, COMMANDS, self.city.commands_offset, after, COMMANDS_RECREATED)

    def fixes_of(self, recorded: Recorded) -> OffsetRange:
        """The range of positions that a batch read."""
        after = recorded.closed.locations_offset
        return self._stretch(recorded, LOCATIONS, self.city.locations_offset, after, LOCATIONS_RECREATED)

    def decide(
        self, recorded: Recorded, commands: Sequence[Record], fixes: Sequence[Record]
    ) -> BatchDifference | None:
        """Decide the batch and return the first difference from the recorded one, or None.

        Args:
            recorded: The batch.
            commands: The records of `commands_of`, in offset order.
            positions: The records of `fixes_of`, in offset order.
        """
        policy = self.policy(recorded)
        assert policy is not None  # every log begins with one
        self._begin_empty(recorded)
        read = self._read(fixes)
        batch_input = _batch_input(recorded, commands, fixes, read)
        decided = decide(self.city, self._newest, batch_input, self._roads, decision_config_on_log(policy))
        again = [record_of(one, self.city.city) for one in decided]
        return _compare(recorded, again)

    def follow(self, recorded: Recorded, fixes: Sequence[Record]) -> None:
        """Fold the recorded events and positions without deciding.

        Raises IllegalTransitionError, KeyError.
        """
        self._begin_empty(recorded)
        batch_input = _batch_input(recorded, (), fixes, self._read(fixes))
        if (
            batch_input.epoch_to_begin is not None
            and batch_input.epoch_to_begin.reason in LOCATIONS_RECREATED
        ):
            self._newest.forget_all()
        self._newest.fold(batch_input.fixes)
        self._newest.take_set_backs()
        for at in recorded.batch.events:
            self.city.apply(at.event)

    def _read(self, fixes: Sequence[Record]) -> FixColumns:
        read = read_fixes(fixes)
        if read.unreadable:
            self._newest.dropped.arrived += len(read.unreadable)
            self._newest.dropped.add(UNREADABLE, len(read.unreadable))
        return read.fixes

    def _begin_empty(self, recorded: Recorded) -> None:
        """If the batch began with an empty state (`events_lost`), do the same: keep numbers and offsets."""
        if all(event.reason != EVENTS_LOST for event in recorded.of(m.EpochStarted)):
            return
        before, self.city, self._newest = self.city, CityState(), NewestFixes()
        for name in ("batch", "now_ms", "commands_offset", "locations_offset"):
            setattr(self.city, name, getattr(before, name))
        self.city.shifts = before.shifts[-1:]
        self._newest.clock.shift_ms = before.shift_ms
        self.city.commands_digest, self.city.locations_digest = (
            before.commands_digest,
            before.locations_digest,
        )

    def _stretch(
        self, recorded: Recorded, topic: str, before: int, after: int, recreated: frozenset[str]
    ) -> OffsetRange:
        is_new = any(event.reason in recreated for event in recorded.of(m.EpochStarted))
        skipped = [event.next for event in recorded.of(m.InputSkipped) if event.topic == topic]
        return OffsetRange(max([0 if is_new else before, *skipped]), after, is_new)


def _batch_input(
    recorded: Recorded, commands: Sequence[Record], fixes: Sequence[Record], read: FixColumns
) -> BatchInput:
    begun = recorded.of(m.EpochStarted)
    return BatchInput(
        commands=tuple(_read_command(record) for record in commands if _decodes(record)),
        fixes=read,
        commands_offset=recorded.closed.commands_offset,
        locations_offset=recorded.closed.locations_offset,
        commands_digest=digest(commands[-1]) if commands else "",
        locations_digest=digest(fixes[-1]) if fixes else "",
        behind=recorded.closed.behind,
        heard_ms=max((record.timestamp_ms for record in commands), default=0),
        commands_alone=recorded.closed.commands_alone,
        epoch_to_begin=EpochToBegin(begun[0].epoch, begun[0].reason) if begun else None,
        skipped=tuple(Skipped(e.topic, e.first, e.next) for e in recorded.of(m.InputSkipped)),
        replaced_producer_id=recorded.closed.previous_producer,
    )


def _decodes(record: Record) -> bool:
    try:
        codec.decode(COMMANDS, record)
    except codec.DecodeError:
        return False
    return True


def _read_command(record: Record) -> ReadCommand:
    command = codec.decode(COMMANDS, record)
    trace = tracing.parse(record.headers) or tracing.root(command.command_id)
    return ReadCommand(command, record.timestamp_ms, trace)


def _compare(recorded: Recorded, again: list[Outgoing]) -> BatchDifference | None:
    there = [Outgoing(record.key, record.value, record.headers) for record in recorded.records]
    for index in range(max(len(there), len(again))):
        one = there[index] if index < len(there) else None
        two = again[index] if index < len(again) else None
        if one != two:
            offset = recorded.records[index].offset if one is not None else None
            return BatchDifference(recorded.closed.batch, index, offset, one, two)
    return None
