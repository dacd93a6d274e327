# SPDX-License-Identifier: Apache-2.0
"""Verifies a city's log from the oldest snapshot whose input still exists to the end.

Batches whose input no longer exists are counted as not verifiable.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from dispatcher.batch_input import LOCATIONS_RECREATED
from taxi.bus import Bus
from taxi.bus.open_transactions import what_is_held_back
from taxi.bus.stretches import Stretches, Taken
from taxi.messages import EpochStarted, PolicyActivated
from taxi.positions.newest import NewestFixes
from taxi.roads.network import RoadNetwork
from taxi.state import CityState, IllegalTransitionError, snapshots
from taxi.state.batches import WholeBatches
from taxi.state.snapshots import Stored
from taxi.topics import COMMANDS, EVENTS, LOCATIONS
from taxistream.tools.replay.recorded import LogSurvey, Recorded, recorded_batches, survey
from taxistream.tools.replay.replayed_city import (
    COMMANDS_RECREATED,
    BatchDifference,
    OffsetRange,
    ReplayedCity,
)

INPUT_GONE: Final = "the log holds its input no longer"
INPUT_DAMAGED: Final = "its input has been damaged in the log since"
EVENTS_GAP: Final = "the log lacks events before it"
NOT_LEGAL: Final = "its events are not legal after those before it"
NO_SNAPSHOT: Final = "no snapshot before it whose input is there"
FIXES_GONE: Final = "it was decided after retention took fixes that no snapshot covered"
OTHER_CODE: Final = "another version of the code decided it"
RECREATED: Final = {COMMANDS: COMMANDS_RECREATED, LOCATIONS: LOCATIONS_RECREATED}
OTHER_DATA: Final = "it was decided on another street network"


@dataclass
class ReplayOutcome:
    """The result of a verification."""

    verified: int = 0
    """How many batches were decided again with equal bytes."""
    not_verifiable: Counter[str] = field(default_factory=Counter)
    """Reason → how many batches."""
    first: int | None = None
    """The number of the first verified batch; below, that of the last one and their log times."""
    last: int | None = None
    first_ms: int | None = None
    last_ms: int | None = None
    difference: BatchDifference | None = None
    positions_dropped: dict[str, int] = field(default_factory=dict)
    """Reason → how many positions were dropped, of those that the checked batches had read."""
    held_back: str | None = None
    """A text about an open transaction that holds back events, if there is one."""
    _sum: Any = field(default_factory=lambda: blake2b(digest_size=16))

    @property
    def digest(self) -> str:
        """A digest of the bytes of all verified events; empty if there are none."""
        return str(self._sum.hexdigest()) if self.verified else ""

    @property
    def exit_code(self) -> int:
        """1 for a difference; 2 if no batch was verified or other code decided some batches; otherwise 0."""
        if self.difference is not None:
            return 1
        return 2 if not self.verified or self.not_verifiable[OTHER_CODE] else 0

    def passed(self, recorded: Recorded) -> None:
        """Count a batch as verified."""
        self.verified += 1
        closed = recorded.closed
        self.last, self.last_ms = closed.batch, closed.at_ms
        if self.first is None:
            self.first, self.first_ms = closed.batch, closed.at_ms
        for record in recorded.records:
            self._sum.update(record.value or b"")


async def verify(
    bus: Bus, partition: int, roads: RoadNetwork, *, code_digest: Callable[[str], str], data_digest: str
) -> ReplayOutcome:
    """Decide every verifiable batch again, up to the first difference.

    Args:
        bus: The log.
        partition: The city's partition.
        roads: Its streets.
        code_digest: Name of a policy → the digest of this code with it; batches of other code are followed,
            but not verified.
        data_digest: The digest of this data; likewise.

    Raises:
        BusError: Raised by the bus.
    """
    bounds = await bus.offsets(EVENTS, partition)
    held_back = await what_is_held_back(bus, EVENTS, partition, bounds)
    replay = _Replay(bus, partition, roads, code_digest, data_digest, bounds.start == 0)
    surveyed = await survey(bus, partition, bounds.start, bounds.stable)
    await replay.prepare(surveyed)
    if surveyed.producer_id is None:
        whole = WholeBatches(passes_gaps=True)
    else:
        whole = WholeBatches.joining(surveyed.producer_id, passes_gaps=True)
    whole.successor_ids = replay.producers
    try:
        recording = recorded_batches(bus, partition, bounds.start, bounds.stable, whole)
        async with aclosing(recording) as batches:
            async for recorded in batches:
                if recorded.batch.next_offset <= bounds.stable:
                    await replay.take(recorded)
                if replay.verdict.difference is not None:
                    break
    finally:
        await replay.close()
    replay.verdict.held_back = held_back
    replay.note_dropped()
    return replay.verdict


class _Replay:
    """The state of a verification."""

    def __init__(
        self,
        bus: Bus,
        partition: int,
        roads: RoadNetwork,
        code_digest: Callable[[str], str],
        data_digest: str,
        at_birth: bool,
    ) -> None:
        self.verdict = ReplayOutcome()
        self._bus = bus
        self._partition = partition
        self._roads = roads
        self._code_digest = code_digest
        self._data_digest = data_digest
        self._anchors: dict[tuple[int, int], Stored] = {}
        """(batch, offset after it) → the snapshot of the state after it."""
        self._again = ReplayedCity(CityState(), NewestFixes(), roads) if at_birth else None
        self._why = NO_SNAPSHOT
        self._dropped: Counter[str] = Counter()
        self._before = (0, 0)
        self._inputs = {topic: Stretches(bus, topic, partition) for topic in (COMMANDS, LOCATIONS)}
        self._recreations = dict.fromkeys(RECREATED, 0)
        """Input → how often it is still going to be created again. Until that is 0, it can't be read."""

    async def prepare(self, surveyed: LogSurvey) -> None:
        """Find the snapshots, and which inputs belong to an earlier topic of the same name."""
        for stored in await snapshots.every(self._bus, self._partition):
            self._anchors[stored.batch, stored.events_offset] = stored
        for epoch in surveyed.epochs:
            for topic, reasons in RECREATED.items():
                self._recreations[topic] += epoch.reason in reasons

    @property
    def producers(self) -> frozenset[int]:
        """Those that wrote snapshots."""
        written = (stored.producer_id for stored in self._anchors.values())
        return frozenset(producer for producer in written if producer is not None)

    async def close(self) -> None:
        """Close the readers."""
        for stretches in self._inputs.values():
            await stretches.close()

    async def take(self, recorded: Recorded) -> None:
        """Verify one batch, or count why it is not verifiable."""
        self._note_new_topics(recorded)
        is_first = not self._before[0] and self._again is not None
        if recorded.gap is not None or (is_first and recorded.closed.batch != 1):
            self._lose(EVENTS_GAP)
            self._before = (0, 0)  # there is no snapshot directly before it
        if self._again is None:
            self._begin_at_a_snapshot()
        if recorded.batch.begins_empty:
            self._begin_empty(recorded)
        why = await self._judge(self._again, recorded) if self._again is not None else self._why
        if why is not None:
            self.verdict.not_verifiable[why] += 1
        self._before = recorded.closed.batch, recorded.batch.next_offset

    def note_dropped(self) -> None:
        """Put the dropped positions into the verdict."""
        if self._again is not None:
            self._dropped.update(self._again.take_dropped())
        self.verdict.positions_dropped = {why: n for why, n in sorted(self._dropped.items()) if n}

    def _begin_at_a_snapshot(self) -> None:
        stored = self._anchors.get(self._before)
        snapshot = stored.load() if stored is not None else None
        if snapshot is not None:
            self._again = ReplayedCity(snapshot.state, snapshot.newest, self._roads)

    def _begin_empty(self, recorded: Recorded) -> None:
        """Begin with an empty state, as the batch's dispatcher did. It knew only the last `BatchClosed`.

        That may be one whose batch is damaged, so a state that was followed up to there may end before it. If
        it is of a producer that is not known as the city's, because the batch that names the id before it is
        damaged, nothing here says where the dispatcher began.
        """
        city = CityState()
        if recorded.closed_before is not None and recorded.closed_before.batch + 1 != recorded.closed.batch:
            self._lose(EVENTS_GAP)
        elif recorded.closed_before is not None:
            if self._again is not None:
                self._dropped.update(self._again.take_dropped())
            city.stand_at(recorded.closed_before)
            self._again = ReplayedCity(city, NewestFixes(), self._roads)

    async def _judge(self, again: ReplayedCity, recorded: Recorded) -> str | None:
        if again.refolds(recorded):
            return self._lose(FIXES_GONE)
        fixes = await self._take(LOCATIONS, again.fixes_of(recorded))
        if fixes is None:
            return self._lose(INPUT_GONE)
        other = self._decided_otherwise(again.policy(recorded))
        if other is not None:
            try:
                again.follow(recorded, fixes.records)
            except (IllegalTransitionError, KeyError):
                return self._lose(NOT_LEGAL)
            return other
        commands = await self._take(COMMANDS, again.commands_of(recorded))
        if commands is None:
            return self._lose(INPUT_GONE)
        difference = again.decide(recorded, commands.records, fixes.records)
        if difference is None:
            self.verdict.passed(recorded)
        elif commands.is_damaged or fixes.is_damaged:
            return self._lose(INPUT_DAMAGED)
        self.verdict.difference = difference
        return None

    def _lose(self, why: str) -> str:
        """Forget the state, which is not known from here to the next snapshot. Returns `why`."""
        if self._again is not None:
            self._dropped.update(self._again.take_dropped())
        self._again, self._why = None, why
        return why

    def _decided_otherwise(self, policy: PolicyActivated | None) -> str | None:
        if policy is None or policy.code_digest != self._code_digest(policy.policy):
            return OTHER_CODE
        return OTHER_DATA if policy.data_digest != self._data_digest else None

    def _note_new_topics(self, recorded: Recorded) -> None:
        reasons = {event.reason for event in recorded.of(EpochStarted)}
        for topic, recreated in RECREATED.items():
            self._recreations[topic] -= bool(reasons & recreated)

    async def _take(self, topic: str, stretch: OffsetRange) -> Taken | None:
        """The records of a range; None if some no longer exist."""
        if self._recreations[topic] > 0:
            return None
        if stretch.is_new:
            await self._inputs[topic].close()
        taken = await self._inputs[topic].take(stretch.first, stretch.after)
        return taken if taken.is_whole else None


def report(verdict: ReplayOutcome, partition: int) -> Mapping[str, Any]:
    """The verdict as `taxi replay --json` prints it."""
    return {
        "partition": partition,
        "verified": verdict.verified,
        "first": {"batch": verdict.first, "at_ms": verdict.first_ms},
        "last": {"batch": verdict.last, "at_ms": verdict.last_ms},
        "not_verifiable": verdict.not_verifiable.total(),
        "why": dict(sorted(verdict.not_verifiable.items())),
        "positions_dropped": verdict.positions_dropped,
        "held_back": verdict.held_back,
        "digest": verdict.digest,
        "difference": _as_json(verdict.difference),
    }


def _as_json(difference: BatchDifference | None) -> dict[str, Any] | None:
    if difference is None:
        return None

    def text(raw: bytes | None) -> str:
        return (raw or b"").decode("utf-8", "replace")

    sides = {"recorded": difference.recorded, "decided": difference.decided}
    return {
        "batch": difference.batch,
        "place": difference.place,
        "offset": difference.offset,
        **{
            name: None
            if side is None
            else {
                "key": text(side.key),
                "value": text(side.value),
                "headers": {key: text(value) for key, value in side.headers},
            }
            for name, side in sides.items()
        },
    }
