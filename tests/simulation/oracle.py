# SPDX-License-Identifier: Apache-2.0
"""Everything that must hold, checked against the raw log when the run is over."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from audit.shell import audit
from dispatcher.core import Mandate
from replay.shell import FIXES_GONE, INPUT_GONE, NO_SNAPSHOT, verify
from taxi import topics
from taxi.bus.memory import MemoryBroker
from taxi.client.rows import Cut, DriverRow, RideRow
from taxi.roads import RoadNetwork
from tests.simulation.client import Window
from tests.simulation.oracle_fold import (
    ENDED,
    Broken,
    Event,
    EventFold,
    LocationFold,
    ride_rows,
)
from tests.simulation.oracle_held import Held
from tests.simulation.still_bus import StillBus, at_once

LIVE_MS = 5_000
JUNK = b"junk"
Violation = tuple[Any, ...]


@dataclass(frozen=True)
class Sight:
    """What a client held after a cut."""

    at_s: float
    client: str
    cut: Cut
    drivers: dict[int, DriverRow]
    rides: dict[str, RideRow]
    window: Window
    """The part of the city that it looks at."""


@dataclass
class Oracle:
    """The log, and what was seen of it."""

    broker: MemoryBroker
    partition: int
    sights: list[Sight]
    clients: list[str]
    now_ms: int
    expiry_ms: int
    roads: RoadNetwork
    mandate: Mandate
    why_not: Counter[str] = field(default_factory=Counter)
    """Batches that the replay could not verify."""
    holds: Counter[str] = field(default_factory=Counter)
    """How often somebody waited beside idle drivers, and how often somebody was late."""

    def violations(self) -> Iterator[Violation]:
        """All broken rules, most telling first; at most one of each kind."""
        try:
            self.events = EventFold.of(self.broker.partition(topics.EVENTS, self.partition))
        except Broken as broken:
            yield broken.args
            return
        self.locations = LocationFold.of(self.broker.partition(topics.LOCATIONS, self.partition))
        rules: list[Callable[[], Iterator[Violation]]] = [
            self.every_cut_is_the_fold_of_the_log,
            self.every_feed_event_once_in_order,
            self.every_batch_is_decided_alike_again,
            self.nobody_is_held_beside_idle_drivers,
            self.one_outcome_for_each_command,
            self.one_letter_for_each_unreadable_message,
            self.inputs_never_go_back,
            self.every_ride_ends,
            self.everyone_is_live_at_the_end,
            self.the_audit_finds_nothing,
        ]
        for rule in rules:
            yield from list(rule())[:1]

    # --- what clients saw ---------------------------------------------------------------------------

    def every_cut_is_the_fold_of_the_log(self) -> Iterator[Violation]:
        wanted: dict[tuple[int, int], tuple[int, dict[int, DriverRow], dict[str, RideRow]]] = {}
        for sight in self.sights:
            cut, who = sight.cut, (sight.client, round(sight.at_s, 3))
            key = cut.loc, cut.ev
            boundary = self.events.boundaries.get(cut.ev)
            if boundary is None:
                yield "a cursor inside a batch", *who, key
                continue
            if cut.loc >= len(self.locations.append_ms):
                yield "a cursor beyond the log", *who, key
                continue
            if key not in wanted:
                cut_ms = max(self.locations.append_ms[cut.loc], boundary.now_ms)
                drivers = self.locations.rows(cut.loc, cut_ms, boundary, self.expiry_ms)
                wanted[key] = cut_ms, drivers, ride_rows(boundary, cut_ms, self.expiry_ms)
            cut_ms, drivers, rides = wanted[key]
            if cut.at_ms != cut_ms:
                yield "cut time", *who, key, cut.at_ms, cut_ms
                continue
            drivers = {driver: row for driver, row in drivers.items() if sight.window.shows(row)}
            if sight.drivers != drivers:
                yield "a wrong picture of drivers", *who, key, *_difference(sight.drivers, drivers)
            elif sight.rides != rides:
                yield "a wrong picture of rides", *who, key, *_difference(sight.rides, rides)

    def every_feed_event_once_in_order(self) -> Iterator[Violation]:
        for sight in self.sights:
            cut = sight.cut
            shown = [(offset, at_ms, kind) for offset, at_ms, kind, _ in cut.feed]
            if cut.is_image:
                wanted: list[tuple[int, int, str]] = []
            else:
                events = self.events.between(cut.ev_before, cut.ev)
                wanted = [(e.offset, e.body["at_ms"], e.kind) for e in events]
            if shown != wanted:
                yield "feed", sight.client, round(sight.at_s, 3), (cut.ev_before, cut.ev), shown, wanted

    # --- what the dispatcher decided ----------------------------------------------------------------

    def every_batch_is_decided_alike_again(self) -> Iterator[Violation]:
        """`taxi replay --verify`, which uses the dispatcher's own decisions and fold on purpose.

        It asks whether they are a pure function of the log, whoever took them and whatever it went through.
        """
        verdict = at_once(
            verify(
                StillBus(self.broker),
                self.partition,
                self.roads,
                code_digest=self.mandate.code_digest,
                data_digest=self.mandate.data_digest,
            )
        )
        self.why_not = verdict.not_verifiable
        if verdict.difference is not None:
            yield "a batch is decided otherwise", *verdict.difference
        elif verdict.verified + verdict.not_verifiable.total() != self._visible_batches():
            yield "a batch was passed over by the replay", verdict.verified, verdict.not_verifiable
        elif set(verdict.not_verifiable) - self._why_not_verifiable():
            yield "a batch can't be verified", verdict.not_verifiable

    def _visible_batches(self) -> int:
        """The last commit may not be marked yet."""
        stable = self.broker.partition(topics.EVENTS, self.partition).stable
        return sum(batch[-1].offset < stable for batch in self.events.batches)

    def _why_not_verifiable(self) -> set[str]:
        """What may keep a batch from being decided again, in a world where nothing else is ever lost."""
        reasons = {
            event.body.get("reason", "") for event in self.events.events if event.kind == "EpochStarted"
        }
        anew = {INPUT_GONE} if any(reason.endswith("recreated") for reason in reasons) else set()
        return anew | {FIXES_GONE, NO_SNAPSHOT}

    def nobody_is_held_beside_idle_drivers(self) -> Iterator[Violation]:
        """But for drivers who are about to be free."""
        held = Held(self.events, self.locations, self.roads)
        yield from held.violations()
        self.holds = held.tally

    def one_letter_for_each_unreadable_message(self) -> Iterator[Violation]:
        """At least one: a crash may repeat it."""
        letters = {
            (letter["topic"], letter["offset"])
            for entry in self.broker.partition(topics.DEAD_LETTERS, self.partition).entries
            if (letter := json.loads(entry.record.value or b"{}"))
        }
        skipped = self._skipped()
        for topic, name in ((topics.COMMANDS, "commands_offset"), (topics.LOCATIONS, "locations_offset")):
            entries = self.broker.partition(topic, self.partition).entries[: self.last_closed().get(name, 0)]
            for offset, entry in enumerate(entries):
                passed = any(t == topic and first <= offset < after for t, first, after in skipped)
                if not _is_message(entry.record.value) and not passed and (topic, offset) not in letters:
                    yield "an unreadable message without a dead letter", topic, offset, entry.record.value

    def one_outcome_for_each_command(self) -> Iterator[Violation]:
        outcomes: dict[str, set[int]] = {}
        for event in self.events.events:
            command_id = event.body.get("command_id")
            if command_id is not None:
                outcomes.setdefault(command_id, set()).add(event.body["batch"])
        read = self.last_closed().get("commands_offset", 0)
        for command_id in self._commands_before(read):
            batches = outcomes.get(command_id, set())
            if len(batches) != 1:
                yield "a command must have one outcome", command_id, sorted(batches)

    def _commands_before(self, read: int) -> list[str]:
        gone = [(first, after) for topic, first, after in self._skipped() if topic == topics.COMMANDS]
        ids: dict[str, bool] = {}
        for offset, entry in enumerate(self.broker.partition(topics.COMMANDS, self.partition).entries[:read]):
            command = _command(entry.record.value)
            if command is not None:
                lost = any(first <= offset < after for first, after in gone)
                ids[command] = ids.get(command, False) or not lost
        return [command for command, was_read in ids.items() if was_read]

    def _skipped(self) -> list[tuple[str, int, int]]:
        """(topic, first, next) of what retention took before it was read."""
        bodies = [event.body for event in self.events.events if event.kind == "InputSkipped"]
        return [(body["topic"], body["first"], body["next"]) for body in bodies]

    def inputs_never_go_back(self) -> Iterator[Violation]:
        before = {"commands_offset": 0, "locations_offset": 0}
        for batch in self.events.batches:
            closed = batch[-1].body
            anew = {
                event.body.get("reason", "").split("_")[0] for event in batch if event.kind == "EpochStarted"
            }
            for name, offset in before.items():
                if anew & {name.split("_")[0], "inputs"}:
                    offset = 0
                if closed[name] < offset:
                    yield "input went back", name, closed["batch"], offset, closed[name]
                before[name] = closed[name]

    def every_ride_ends(self) -> Iterator[Violation]:
        open_ones = [ride for ride in self.events.last.rides.values() if ride.state not in ENDED]
        if open_ones:
            yield "rides open at the end", len(open_ones), *open_ones[:3]

    # --- liveness -----------------------------------------------------------------------------------

    def everyone_is_live_at_the_end(self) -> Iterator[Violation]:
        if self.now_ms - self.events.last.now_ms > LIVE_MS:
            yield "the dispatcher is not live", self.now_ms - self.events.last.now_ms
        newest = {sight.client: sight.cut.at_ms for sight in self.sights}
        for client in self.clients:
            if self.now_ms - newest.get(client, 0) > LIVE_MS:
                yield "a client is not live", client, self.now_ms - newest.get(client, 0)

    def the_audit_finds_nothing(self) -> Iterator[Violation]:
        """`taxi audit` has rules of its own, and must agree with this oracle."""
        findings = at_once(audit(StillBus(self.broker), [self.partition]))
        for rule, texts in findings.examples.items():
            yield f"audit: {rule}", *texts

    def last_closed(self) -> dict[str, Any]:
        return self.events.batches[-1][-1].body if self.events.batches else {}

    def tally(self) -> Counter[str]:
        """What events there were, for which reasons, and what came of re-matching."""
        tally = Counter(event.kind for event in self.events.events)
        tally.update(self.holds)
        tally.update({f"not verifiable: {why}": count for why, count in self.why_not.items()})
        for event in self.events.events:
            body = event.body
            if body.get("reason"):
                tally[f"{event.kind}: {body['reason']}"] += 1
            if event.kind == "RideReassigned":
                tally["a chain of several"] += body.get("moves", 1) > 1
                tally["a waiting ride given by order"] += "from_driver" not in body
                tally["a ride swapped again"] += body["attempt"] > 2
        return tally


def of_the_group(counts: Counter[str], moves_when_calm: int | None) -> Iterator[Violation]:
    """What dispatchers owe each other. Liveness alone would miss duels and cities that never settle."""
    # Who rebuilds a producer without a fresh assignment fences the rightful owner, for ever.
    if counts["producers asked for"] > counts["assigned"]:
        yield "producers without assignments", counts["producers asked for"], counts["assigned"]
    # Who wakes from a long sleep must ask before it takes its city from the one who has it now.
    if counts["producers asked for by one who was succeeded"]:
        yield "a zombie fenced its successor", counts["producers asked for by one who was succeeded"]
    # Where nothing goes wrong any more, no city moves.
    if moves_when_calm is not None and counts["assigned"] != moves_when_calm:
        yield "cities move without a cause", counts["assigned"] - moves_when_calm


def _is_message(value: bytes | None) -> bool:
    """Junk is what the nemesis writes: it says so."""
    return value is not None and not value.startswith(JUNK)


def _command(value: bytes | None) -> str | None:
    return json.loads(value or b"")["command_id"] if _is_message(value) else None


def _difference(have: dict[Any, Any], want: dict[Any, Any]) -> tuple[Any, ...]:
    extra = [row for key, row in have.items() if want.get(key) != row]
    missing = [row for key, row in want.items() if have.get(key) != row]
    return "have", extra[:3], "want", missing[:3]


__all__ = ["Event", "Oracle", "Sight", "Violation"]
