# SPDX-License-Identifier: Apache-2.0
"""Verifies a city's log: begins at the oldest snapshot whose input is still there, and goes to the end.

What the log no longer holds is counted, never passed over as if it had been verified.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from dispatcher.cut import LOCATIONS_RECREATED
from replay.again import COMMANDS_RECREATED, Again, Difference, Stretch
from replay.recorded import Recorded, epochs, recorded_batches
from taxi import snapshots
from taxi.bus import Bus, Record
from taxi.city import CityState
from taxi.messages import EpochStarted, PolicyActivated
from taxi.newest import NewestFixes
from taxi.roads import RoadNetwork
from taxi.snapshots import Stored
from taxi.stretches import Stretches
from taxi.topics import COMMANDS, EVENTS, LOCATIONS

INPUT_GONE: Final = "the log holds its input no longer"
NO_SNAPSHOT: Final = "no snapshot before it whose input is there"
FIXES_GONE: Final = "it was decided after retention took fixes that no snapshot covered"
OTHER_CODE: Final = "another version of the code decided it"
ANEW: Final = {COMMANDS: COMMANDS_RECREATED, LOCATIONS: LOCATIONS_RECREATED}
OTHER_DATA: Final = "it was decided on another street network"


@dataclass
class Verdict:
    """What was verified, and what could not be."""

    verified: int = 0
    not_verifiable: Counter[str] = field(default_factory=Counter)
    """Why → how many batches."""
    first: int | None = None
    """Numbers of the first and the last batch verified, and their log times."""
    last: int | None = None
    first_ms: int | None = None
    last_ms: int | None = None
    difference: Difference | None = None
    _sum: Any = field(default_factory=lambda: blake2b(digest_size=16))

    @property
    def digest(self) -> str:
        """Over the bytes of every event verified."""
        return str(self._sum.hexdigest()) if self.verified else ""

    @property
    def exit_code(self) -> int:
        """0 all well; 1 there is a difference; 2 nothing to say, or only of another version of the code."""
        if self.difference is not None:
            return 1
        return 2 if not self.verified or self.not_verifiable[OTHER_CODE] else 0

    def passed(self, recorded: Recorded) -> None:
        """One batch more, decided alike."""
        self.verified += 1
        closed = recorded.closed
        self.last, self.last_ms = closed.batch, closed.at_ms
        if self.first is None:
            self.first, self.first_ms = closed.batch, closed.at_ms
        for record in recorded.records:
            self._sum.update(record.value or b"")


async def verify(
    bus: Bus, partition: int, roads: RoadNetwork, *, code_digest: str, data_digest: str
) -> Verdict:
    """Decide every batch again that can be. Stops at the first difference. Raises what a bus raises."""
    bounds = await bus.offsets(EVENTS, partition)
    replay = _Replay(bus, partition, roads, code_digest, data_digest, bounds.start == 0)
    await replay.prepare(bounds.start, bounds.stable)
    try:
        async with aclosing(recorded_batches(bus, partition, bounds.start, bounds.stable)) as batches:
            async for recorded in batches:
                if recorded.batch.next_offset <= bounds.stable:
                    await replay.take(recorded)
                if replay.verdict.difference is not None:
                    break
    finally:
        await replay.close()
    return replay.verdict


class _Replay:
    """Where the verification stands."""

    def __init__(
        self,
        bus: Bus,
        partition: int,
        roads: RoadNetwork,
        code_digest: str,
        data_digest: str,
        at_birth: bool,
    ) -> None:
        self.verdict = Verdict()
        self._bus = bus
        self._partition = partition
        self._roads = roads
        self._code_digest = code_digest
        self._data_digest = data_digest
        self._anchors: dict[tuple[int, int], Stored] = {}
        """(batch, offset after it) → the state then."""
        self._again = Again(CityState(), NewestFixes(), roads) if at_birth else None
        self._why = NO_SNAPSHOT
        self._before = (0, 0)
        self._inputs = {topic: Stretches(bus, topic, partition) for topic in (COMMANDS, LOCATIONS)}
        self._anew = dict.fromkeys(ANEW, 0)
        """How many times an input will yet be found made anew: until then it can't be read."""

    async def prepare(self, start: int, end: int) -> None:
        """Find what can be begun from, and which inputs are of another topic."""
        for stored in await snapshots.every(self._bus, self._partition):
            self._anchors[stored.batch, stored.events_offset] = stored
        for epoch in await epochs(self._bus, self._partition, start, end):
            for topic, reasons in ANEW.items():
                self._anew[topic] += epoch.reason in reasons

    async def close(self) -> None:
        """Let go of the readers."""
        for stretches in self._inputs.values():
            await stretches.close()

    async def take(self, recorded: Recorded) -> None:
        """Verify one batch, or say why not."""
        self._note_new_topics(recorded)
        if self._again is None:
            self._begin_at_a_snapshot()
        why = await self._judge(self._again, recorded) if self._again is not None else self._why
        if why is not None:
            self.verdict.not_verifiable[why] += 1
        self._before = recorded.closed.batch, recorded.batch.next_offset

    def _begin_at_a_snapshot(self) -> None:
        stored = self._anchors.get(self._before)
        snapshot = stored.load() if stored is not None else None
        if snapshot is not None:
            self._again = Again(snapshot.state, snapshot.newest, self._roads)

    async def _judge(self, again: Again, recorded: Recorded) -> str | None:
        if again.refolds(recorded):
            return self._lose(FIXES_GONE)
        fixes = await self._records(LOCATIONS, again.fixes_of(recorded))
        if fixes is None:
            return self._lose(INPUT_GONE)
        other = self._decided_otherwise(again.policy(recorded))
        if other is not None:
            again.follow(recorded, fixes)
            return other
        commands = await self._records(COMMANDS, again.commands_of(recorded))
        if commands is None:
            return self._lose(INPUT_GONE)
        self.verdict.difference = again.decide(recorded, commands, fixes)
        if self.verdict.difference is None:
            self.verdict.passed(recorded)
        return None

    def _lose(self, why: str) -> str:
        """The state is not known from here to the next snapshot."""
        self._again, self._why = None, why
        return why

    def _decided_otherwise(self, policy: PolicyActivated | None) -> str | None:
        if policy is None or policy.code_digest != self._code_digest:
            return OTHER_CODE
        return OTHER_DATA if policy.data_digest != self._data_digest else None

    def _note_new_topics(self, recorded: Recorded) -> None:
        reasons = {event.reason for event in recorded.of(EpochStarted)}
        for topic, anew in ANEW.items():
            self._anew[topic] -= bool(reasons & anew)

    async def _records(self, topic: str, stretch: Stretch) -> list[Record] | None:
        """What was read; None where it is not all there."""
        if self._anew[topic] > 0:
            return None
        if stretch.is_new:
            await self._inputs[topic].close()
        taken = await self._inputs[topic].take(stretch.first, stretch.after)
        return taken.records if taken.is_whole else None


def report(verdict: Verdict, partition: int) -> Mapping[str, Any]:
    """As `taxi replay --json` prints it."""
    return {
        "partition": partition,
        "verified": verdict.verified,
        "first": {"batch": verdict.first, "at_ms": verdict.first_ms},
        "last": {"batch": verdict.last, "at_ms": verdict.last_ms},
        "not_verifiable": verdict.not_verifiable.total(),
        "why": dict(sorted(verdict.not_verifiable.items())),
        "digest": verdict.digest,
        "difference": _told(verdict.difference),
    }


def _told(difference: Difference | None) -> dict[str, Any] | None:
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
