# SPDX-License-Identifier: Apache-2.0
"""A dispatcher that never fails, fed from the log: the same cut and state must give the same bytes."""

from collections.abc import Sequence
from typing import NamedTuple

from dispatcher.core import decide
from dispatcher.cut import LOCATIONS_RECREATED, Cut, Epoch, ReadCommand, Skipped, digest
from dispatcher.desk import record_of
from dispatcher.mandate import mandate_on_log
from replay.recorded import Recorded
from taxi import codec
from taxi import messages as m
from taxi.bus import Outgoing, Record
from taxi.city import EVENTS_LOST, CityState
from taxi.fix_columns import read_fixes
from taxi.newest import NewestFixes
from taxi.roads import RoadNetwork
from taxi.runtime import tracing
from taxi.topics import COMMANDS, LOCATIONS

COMMANDS_RECREATED = frozenset({"commands_recreated", "inputs_recreated"})


class Difference(NamedTuple):
    """Where two dispatchers part. None: one of them has no further event."""

    batch: int
    place: int
    """Among its events, from 0."""
    offset: int | None
    recorded: Outgoing | None
    decided: Outgoing | None


class Stretch(NamedTuple):
    """What a batch read of an input: offsets first … after − 1."""

    first: int
    after: int
    is_new: bool
    """The topic was made anew since the batch before."""


class Again:
    """A city as of some batch, about to decide the next."""

    def __init__(self, city: CityState, newest: NewestFixes, roads: RoadNetwork) -> None:
        self.city = city
        self._newest = newest
        self._roads = roads

    def policy(self, recorded: Recorded) -> m.PolicyActivated | None:
        """By what a batch was decided."""
        told = recorded.of(m.PolicyActivated)
        return told[-1] if told else self.city.policy

    def refolds(self, recorded: Recorded) -> bool:
        """Whether its dispatcher knew fewer fixes than the log ever held: retention took them meanwhile."""
        return not self.fixes_of(recorded).is_new and any(
            skipped.topic == LOCATIONS and skipped.first < self.city.locations_offset
            for skipped in recorded.of(m.InputSkipped)
        )

    def commands_of(self, recorded: Recorded) -> Stretch:
        """Which commands a batch read."""
        after = recorded.closed.commands_offset
        return self._stretch(recorded, COMMANDS, self.city.commands_offset, after, COMMANDS_RECREATED)

    def fixes_of(self, recorded: Recorded) -> Stretch:
        """Which fixes a batch read."""
        after = recorded.closed.locations_offset
        return self._stretch(recorded, LOCATIONS, self.city.locations_offset, after, LOCATIONS_RECREATED)

    def decide(
        self, recorded: Recorded, commands: Sequence[Record], fixes: Sequence[Record]
    ) -> Difference | None:
        """Decide the batch; the first difference from what was recorded, if there is one."""
        policy = self.policy(recorded)
        assert policy is not None  # every log begins with one
        self._begin_empty(recorded)
        cut = _cut(recorded, commands, fixes)
        decided = decide(self.city, self._newest, cut, self._roads, mandate_on_log(policy))
        again = [record_of(one, self.city.city) for one in decided]
        return _compare(recorded, again)

    def follow(self, recorded: Recorded, fixes: Sequence[Record]) -> None:
        """Fold what was recorded without deciding it."""
        self._begin_empty(recorded)
        cut = _cut(recorded, (), fixes)
        if cut.epoch is not None and cut.epoch.reason in LOCATIONS_RECREATED:
            self._newest.forget_all()
        self._newest.fold(cut.fixes)
        for at in recorded.batch.events:
            self.city.apply(at.event)

    def _begin_empty(self, recorded: Recorded) -> None:
        """A dispatcher that found nothing to begin from knew only where the log stood."""
        if all(event.reason != EVENTS_LOST for event in recorded.of(m.EpochStarted)):
            return
        before, self.city, self._newest = self.city, CityState(), NewestFixes()
        for name in ("batch", "now_ms", "commands_offset", "locations_offset"):
            setattr(self.city, name, getattr(before, name))
        self.city.commands_digest, self.city.locations_digest = (
            before.commands_digest,
            before.locations_digest,
        )

    def _stretch(
        self, recorded: Recorded, topic: str, before: int, after: int, anew: frozenset[str]
    ) -> Stretch:
        is_new = any(event.reason in anew for event in recorded.of(m.EpochStarted))
        skipped = [event.next for event in recorded.of(m.InputSkipped) if event.topic == topic]
        return Stretch(max([0 if is_new else before, *skipped]), after, is_new)


def _cut(recorded: Recorded, commands: Sequence[Record], fixes: Sequence[Record]) -> Cut:
    begun = recorded.of(m.EpochStarted)
    return Cut(
        commands=tuple(_read_command(record) for record in commands if _decodes(record)),
        fixes=read_fixes(fixes).fixes,
        commands_offset=recorded.closed.commands_offset,
        locations_offset=recorded.closed.locations_offset,
        commands_digest=digest(commands[-1]) if commands else "",
        locations_digest=digest(fixes[-1]) if fixes else "",
        heard_ms=max((record.timestamp_ms for record in [*commands, *fixes]), default=0),
        epoch=Epoch(begun[0].epoch, begun[0].reason) if begun else None,
        skipped=tuple(Skipped(e.topic, e.first, e.next) for e in recorded.of(m.InputSkipped)),
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


def _compare(recorded: Recorded, again: list[Outgoing]) -> Difference | None:
    there = [Outgoing(record.key, record.value, record.headers) for record in recorded.records]
    for index in range(max(len(there), len(again))):
        one = there[index] if index < len(there) else None
        two = again[index] if index < len(again) else None
        if one != two:
            offset = recorded.records[index].offset if one is not None else None
            return Difference(recorded.closed.batch, index, offset, one, two)
    return None
