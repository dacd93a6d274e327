# SPDX-License-Identifier: Apache-2.0
"""Decides every recorded batch again from its recorded cut: the same events, byte for byte.

This rule alone uses the dispatcher's own decisions and fold, on purpose: it asks whether they are a pure
function of the log, whichever dispatcher took them and whatever it went through.
"""

from dispatcher.core import Mandate, decide
from dispatcher.cut import Cut, Epoch, ReadCommand, ReadFix, Skipped, digest
from taxi import codec
from taxi.bus import Record
from taxi.bus.memory_log import Partition
from taxi.city import CityState
from taxi.newest import NewestFixes
from taxi.roads import RoadNetwork
from taxi.runtime import tracing
from taxi.topics import COMMANDS, LOCATIONS
from tests.simulation.oracle_fold import Event


class Replay:
    """A dispatcher that never fails, fed from the log."""

    def __init__(
        self,
        events: Partition,
        commands: Partition,
        locations: Partition,
        roads: RoadNetwork,
        mandate: Mandate,
    ) -> None:
        self._events = events
        self._commands = commands
        self._locations = locations
        self._roads = roads
        self._mandate = mandate
        self._city = CityState()
        self._newest = NewestFixes()

    def difference(self, batch: list[Event]) -> tuple[bytes, bytes] | None:
        """The first (recorded, decided) pair that differs, or None. To be asked batch after batch."""
        recorded = [self._events.entries[event.offset].record.value or b"" for event in batch]
        decided = decide(self._city, self._newest, self._cut(batch), self._roads, self._mandate)
        again = [codec.encode(one.event) for one in decided]
        length = max(len(recorded), len(again))
        for index in range(length):
            pair = (*recorded[index : index + 1], b"nothing")[0], (*again[index : index + 1], b"nothing")[0]
            if pair[0] != pair[1]:
                return pair
        return None

    def _cut(self, batch: list[Event]) -> Cut:
        closed = batch[-1].body
        skipped = tuple(
            Skipped(event.body["topic"], event.body["first"], event.body["next"])
            for event in batch
            if event.kind == "InputSkipped"
        )
        begun = [event.body for event in batch if event.kind == "EpochStarted"]
        after = {skip.topic: skip.next for skip in skipped}
        start = max(self._city.commands_offset, after.get(COMMANDS, 0))
        commands = _records(self._commands, start, closed["commands_offset"])
        start = max(self._city.locations_offset, after.get(LOCATIONS, 0))
        fixes = _records(self._locations, start, closed["locations_offset"])
        return Cut(
            commands=tuple(_read_command(record) for record in commands if _decodes(COMMANDS, record)),
            fixes=tuple(
                ReadFix(codec.decode(LOCATIONS, record), record.offset, record.timestamp_ms)
                for record in fixes
                if _decodes(LOCATIONS, record)
            ),
            commands_offset=closed["commands_offset"],
            locations_offset=closed["locations_offset"],
            commands_digest=digest(commands[-1]) if commands else "",
            locations_digest=digest(fixes[-1]) if fixes else "",
            heard_ms=max((record.timestamp_ms for record in [*commands, *fixes]), default=0),
            epoch=Epoch(begun[0]["epoch"], begun[0].get("reason", "birth")) if begun else None,
            skipped=skipped,
        )


def _records(partition: Partition, start: int, end: int) -> list[Record]:
    return [entry.record for entry in partition.entries[start:end]]


def _decodes(topic: str, record: Record) -> bool:
    try:
        codec.decode(topic, record)
    except codec.DecodeError:
        return False
    return True


def _read_command(record: Record) -> ReadCommand:
    command = codec.decode(COMMANDS, record)
    trace = tracing.parse(record.headers) or tracing.root(command.command_id)
    return ReadCommand(command, record.timestamp_ms, trace)
