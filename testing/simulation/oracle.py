# SPDX-License-Identifier: Apache-2.0
"""Checks all rules against the raw log after a run."""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from dispatcher.core import DecisionConfig
from taxi import topics
from taxi.bus.memory.bus import MemoryBroker
from taxi.client.rows import DriverRow, RideRow, Update
from taxi.roads.network import RoadNetwork
from taxistream.tools.audit.findings import AuditFindings
from taxistream.tools.audit.shell import audit
from taxistream.tools.documented_time import CityClock
from taxistream.tools.oracle.errors import BrokenLogError
from taxistream.tools.oracle.rides import ENDED
from taxistream.tools.oracle.runs import LogEvent
from taxistream.tools.oracle.scenarios import ScenarioFact, scenarios_after
from taxistream.tools.replay.shell import EVENTS_GAP, FIXES_GONE, INPUT_GONE, NO_SNAPSHOT, verify
from testing.simulation.client import NO_CONTEXT, Context, Window
from testing.simulation.oracle_held import Held
from testing.simulation.oracle_limits import overtaken
from testing.simulation.oracle_log import driver_rows, is_visible, not_of_the_city, read_log, ride_rows
from testing.simulation.oracle_time import LivedTimes
from testing.still_bus import StillBus, at_once

LIVE_MS = 5_000
CALM_MS = 8_000
"""For so long before the end everyone was well."""
OLD_MS = 3_540_000
"""A command that was appended so long before its batch is too old to be decided (docs/messages.md)."""
ENDS = {"TripCompleted", "RideCancelled", "RideNoShow", "RideExpired"}
NOT_YET = {"unknown_ride", "not_online", "too_early", "patience_over", "too_old"}
"""Reasons of rejections after which a repeat of the command is decided again (docs/messages.md)."""
JUNK = b"junk"
Violation = tuple[Any, ...]


@dataclass(frozen=True)
class Sight:
    """What a client held after a cut."""

    at_s: float
    client: str
    cut: Update
    drivers: dict[int, DriverRow]
    rides: dict[str, RideRow]
    window: Window
    """The part of the city that it looks at."""
    context: Context = NO_CONTEXT
    """City time and scenarios, as they were sent."""


@dataclass
class Oracle:
    """The log, and what was seen of it."""

    broker: MemoryBroker
    partition: int
    observations: list[Sight]
    clients: list[str]
    now_ms: int
    expiry_ms: int
    roads: RoadNetwork
    decision_config: DecisionConfig
    why_not: Counter[str] = field(default_factory=Counter)
    """Batches that the replay could not verify."""
    replayed: tuple[int | None, dict[str, int]] = (None, {})
    """The last batch that the replay verified, and which positions it found not to count."""
    holds: Counter[str] = field(default_factory=Counter)
    """How often somebody waited beside idle drivers, and how often somebody was late."""
    put_off_first: int = 0
    """Commands that were put off, and answered for good when they were repeated."""

    def violations(self) -> Iterator[Violation]:
        """All broken rules, most telling first; at most one of each kind."""
        try:
            self.city = read_log(self.broker, self.partition, self.expiry_ms)
        except BrokenLogError as error:
            yield error.args
            return
        self.events, self.positions = self.city.events, self.city.positions
        rules: list[Callable[[], Iterator[Violation]]] = [
            self.no_dispatcher_of_another_city_decides,
            self.no_events_are_given_up_without_need,
            self.every_cut_is_the_fold_of_the_log,
            self.every_feed_event_once_in_order,
            self.everyone_knows_the_city_time,
            self.everyone_knows_the_scenarios,
            self.every_batch_is_decided_alike_again,
            self.dropped_positions_are_counted,
            self.what_a_simulator_sends_counts,
            self.a_clock_set_back_is_announced,
            self.no_ride_is_held_beside_idle_drivers,
            self.no_driver_far_away_is_offered_a_ride,
            self.one_outcome_for_each_command,
            self.a_repeat_after_its_ride_counts,
            self.no_limit_overtakes_a_command,
            self.people_live_at_the_speed_on_the_log,
            self.one_letter_for_each_unreadable_message,
            self.inputs_never_go_back,
            self.every_ride_ends,
            self.everyone_is_live_at_the_end,
            self.the_audit_finds_nothing,
        ]
        for rule in rules:
            yield from list(rule())[:1]

    def no_dispatcher_of_another_city_decides(self) -> Iterator[Violation]:
        """A dispatcher that is configured for another city than the one on the log writes nothing."""
        for event in self.events.events:
            city, digest = event.body.get("city"), event.body.get("data_digest")
            if event.kind == "EpochStarted" and city != self.roads.city.name:
                yield "an epoch of another city", event.body
            elif event.kind == "PolicyActivated" and digest != self.decision_config.data_digest:
                yield "decided by the streets of another city", event.body

    def no_events_are_given_up_without_need(self) -> Iterator[Violation]:
        """A city begins empty only if the disk has damaged events behind its newest snapshot."""
        place = self.broker.partition(topics.EVENTS, self.partition)
        snapshots = self.broker.partition(topics.SNAPSHOTS, self.partition).entries
        covered = [
            json.loads(value)["events_offset"]
            for entry in snapshots
            if is_visible(entry) and (value := entry.record.value or b"").startswith(b"{")
        ]
        for event in self._losses():
            writer = place.originals.get(event.offset, place.entries[event.offset]).transaction
            if writer is None or "taxi.dispatcher" not in writer.transactional_id:
                continue  # another producer began the log
            newest = max((offset for offset in covered if offset <= event.offset), default=0)
            if not any(newest <= damaged < event.offset for damaged in place.originals):
                yield "events given up without need", event.body, newest

    def _losses(self) -> list[LogEvent]:
        """The epochs before which events were lost."""
        return [
            e
            for e in self.events.events
            if e.kind == "EpochStarted" and e.body.get("reason") == "events_lost"
        ]

    # --- what clients saw ---------------------------------------------------------------------------

    def every_cut_is_the_fold_of_the_log(self) -> Iterator[Violation]:
        wanted: dict[tuple[int, int], tuple[int, dict[int, DriverRow], dict[str, RideRow]]] = {}
        for sight in self.observations:
            cut, who = sight.cut, (sight.client, round(sight.at_s, 3))
            key = cut.loc, cut.ev
            if self.events.at(cut.ev) is None:
                yield "a cursor inside a batch", *who, key
                continue
            if not self.city.knows(key):
                yield "a cursor beyond the log", *who, key
                continue
            if key not in wanted:
                rows = self.city.rows(key)
                wanted[key] = rows.at_ms, driver_rows(self.city, rows), ride_rows(rows)
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
        for sight in self.observations:
            cut = sight.cut
            shown = [list(entry) for entry in cut.feed]
            wanted = [] if cut.is_image else self.events.feed_between(cut.ev_before, cut.ev)
            if shown != wanted:
                yield "feed", sight.client, round(sight.at_s, 3), (cut.ev_before, cut.ev), shown, wanted

    def everyone_knows_the_city_time(self) -> Iterator[Violation]:
        """As it is at the cut, not before and not after."""
        clocks, clock = {0: CityClock()}, CityClock()
        for batch in self.events.batches:
            for event in batch:
                clock.take(event.kind, event.body)
            clocks[batch[-1].offset + 1] = replace(clock)
        for sight in self.observations:
            known, clock = sight.context.city_time, clocks[sight.cut.ev]
            times = [sight.cut.at_ms, *(from_ms for from_ms, *_ in (*clock.changes, *known.periods))]
            if any(known.at(at_ms) != clock.at(at_ms) for at_ms in times) or known.speed != clock.speed:
                yield "another city time", sight.client, round(sight.at_s, 3), known, clock

    def everyone_knows_the_scenarios(self) -> Iterator[Violation]:
        """Those under way at the cut, not before and not after."""
        facts: Mapping[str, ScenarioFact] = {}
        known = {0: facts}
        for batch in self.events.batches:
            for event in batch:
                facts = scenarios_after(facts, event.kind, event.body)
            known[batch[-1].offset + 1] = facts
        for sight in self.observations:
            wanted = tuple((fact.name, fact.since_ms) for fact in known[sight.cut.ev].values())
            if sight.context.scenarios != wanted:
                yield "other scenarios", sight.client, round(sight.at_s, 3), sight.context.scenarios, wanted

    # --- what the dispatcher decided ----------------------------------------------------------------

    def every_batch_is_decided_alike_again(self) -> Iterator[Violation]:
        """`taxi replay --verify`, which uses the dispatcher's own decisions and fold on purpose.

        It checks that decisions are a pure function of the log, whichever process made them and after any
        fault.
        """
        verdict = at_once(
            verify(
                StillBus(self.broker),
                self.partition,
                self.roads,
                code_digest=lambda _: self.decision_config.code_digest,
                data_digest=self.decision_config.data_digest,
            )
        )
        self.why_not = verdict.not_verifiable
        self.replayed = verdict.last, verdict.positions_dropped
        if verdict.difference is not None:
            yield "a batch is decided otherwise", *verdict.difference
        elif verdict.verified + verdict.not_verifiable.total() != self._visible_batches():
            yield "a batch was passed over by the replay", verdict.verified, verdict.not_verifiable
        elif set(verdict.not_verifiable) - self._why_not_verifiable():
            yield "a batch can't be verified", verdict.not_verifiable

    def dropped_positions_are_counted(self) -> Iterator[Violation]:
        """The replay reads them through the dispatcher's own fold; the audit by itself."""
        is_gap = any(topic == topics.LOCATIONS for topic, _, _ in self._skipped()) or self._losses()
        if self.why_not or is_gap:
            return  # it has not read all
        last, counted = self.replayed
        read = next((b[-1].body for b in self.events.batches if b[-1].body["batch"] == last), {})
        end = read.get("locations_offset", 0)
        wanted = Counter(why for offset, why in self.positions.dropped() if offset < end)
        if any(counted.get(why, 0) != wanted[why] for why in ("late", "ahead", "unbelieved")):
            yield "dropped positions are not counted", wanted, counted
        findings = self._audit.positions_dropped
        if any(findings[why] < wanted[why] for why in ("late", "ahead", "unbelieved")):
            yield "the audit does not count dropped positions", wanted, findings

    def a_clock_set_back_is_announced(self) -> Iterator[Violation]:
        """Where it shows in the positions, and by how much: log time goes on where it stood."""
        if self._is_of_two_topics("locations") or any(t == topics.LOCATIONS for t, _, _ in self._skipped()):
            return
        if self._losses():
            return  # who begins to read at an epoch that begins empty must know, so it is written again
        end = self.last_closed().get("locations_offset", 0)
        wanted = [(first, shift_ms) for first, shift_ms in self.positions.set_backs if first < end]
        if self.events.set_backs != wanted:
            yield "a clock that was set back is announced otherwise", self.events.set_backs, wanted

    def what_a_simulator_sends_counts(self) -> Iterator[Violation]:
        """However wrong its clock is: when all is well, its positions are timely."""
        since_ms = self.now_ms - CALM_MS
        entries = self.broker.partition(topics.LOCATIONS, self.partition).entries
        since = self.positions.set_backs[-1][0] if self.positions.set_backs else 0
        offsets = {
            offset
            for offset, entry in enumerate(entries)
            if offset >= since
            and is_visible(entry)
            and entry.record.timestamp_ms >= since_ms
            and entry.record.key
        }
        dropped = sum(offset in offsets for offset, _ in self.positions.dropped())
        if not offsets or dropped > len(offsets) / 10:
            yield "a simulator's positions do not count", len(offsets), dropped

    def _visible_batches(self) -> int:
        """The last commit may not be marked yet, and what the disk has damaged is not whole."""
        place = self.broker.partition(topics.EVENTS, self.partition)
        return sum(
            batch[-1].offset < place.stable and not any(event.offset in place.originals for event in batch)
            for batch in self.events.batches
        )

    def _why_not_verifiable(self) -> set[str]:
        """What may keep a batch from being decided again, in a world where nothing else is ever lost."""
        reasons = {
            event.body.get("reason", "") for event in self.events.events if event.kind == "EpochStarted"
        }
        recreated = {INPUT_GONE} if any(reason.endswith("recreated") for reason in reasons) else set()
        damaged = {EVENTS_GAP} if self.broker.partition(topics.EVENTS, self.partition).originals else set()
        return recreated | damaged | {FIXES_GONE, NO_SNAPSHOT}

    def no_ride_is_held_beside_idle_drivers(self) -> Iterator[Violation]:
        """But for drivers who are about to be free."""
        yield from self._held.violations()
        self.holds = self._held.tally

    def no_driver_far_away_is_offered_a_ride(self) -> Iterator[Violation]:
        """Uses the same positions as the rule of held rides."""
        yield from self._held.far_away()

    def one_letter_for_each_unreadable_message(self) -> Iterator[Violation]:
        """At least one: a crash may repeat it."""
        letters = {
            (letter["topic"], offset)
            for entry in self.broker.partition(topics.DEAD_LETTERS, self.partition).entries
            if (letter := json.loads(entry.record.value or b"{}"))
            for offset in range(letter["offset"], letter.get("next") or letter["offset"] + 1)
        }
        skipped = self._skipped()
        for topic, name in ((topics.COMMANDS, "commands_offset"), (topics.LOCATIONS, "locations_offset")):
            entries = self.broker.partition(topic, self.partition).entries[: self.last_closed().get(name, 0)]
            for offset, entry in enumerate(entries):
                if not is_visible(entry):
                    continue
                passed = any(t == topic and first <= offset < after for t, first, after in skipped)
                if not _is_message(entry.record.value) and not passed and (topic, offset) not in letters:
                    yield "an unreadable message without a dead letter", topic, offset, entry.record.value
        for offset in not_of_the_city(self.city):
            if (topics.EVENTS, offset) not in letters:
                entry = self.broker.partition(topics.EVENTS, self.partition).entries[offset]
                yield "a foreign event without a dead letter", offset, entry.record.value

    def one_outcome_for_each_command(self) -> Iterator[Violation]:
        outcomes: dict[str, set[int]] = {}
        put_off: dict[str, set[int]] = {}
        """By rejections that decide nothing: these count if there is no other outcome."""
        for event in self.events.events:
            command_id = event.body.get("command_id")
            if command_id is not None:
                is_final = event.kind != "CommandRejected" or event.body["reason"] not in NOT_YET
                (outcomes if is_final else put_off).setdefault(command_id, set()).add(event.body["batch"])
        self.put_off_first = len(outcomes.keys() & put_off.keys())
        read = self.last_closed().get("commands_offset", 0)
        lost_at = [event.body["batch"] for event in self._losses()]
        for command_id in self._commands_before(read):
            batches = outcomes.get(command_id, set())
            # An answer that was lost does not count: a repetition is decided again.
            counts = Counter(bisect_right(lost_at, batch) for batch in batches)
            if max(counts.values(), default=0) > 1 or not (batches or command_id in put_off):
                yield "a command must have one outcome", command_id, sorted(batches)

    def a_repeat_after_its_ride_counts(self) -> Iterator[Violation]:
        """A cancellation of a ride that has not ended gets a final answer, whatever the answers before.

        Unless the clock was set back before it and no position shows that yet: then it looks an hour old.
        """
        if self._commands_are_of_two_topics():
            return
        ends = [batch[-1].body["commands_offset"] for batch in self.events.batches]
        closes = [batch[-1].body for batch in self.events.batches]
        asked, ended, final = self._lives()
        entries = self.broker.partition(topics.COMMANDS, self.partition).entries
        for offset, entry in enumerate(entries[: ends[-1] if ends else 0]):
            if not (is_visible(entry) and _is_message(entry.record.value)) or self._is_skipped(offset):
                continue
            body = json.loads(entry.record.value or b"")
            closed = closes[bisect_right(ends, offset)]
            read_in = closed["batch"]
            if entry.record.timestamp_ms + closed.get("shift_ms", 0) <= closed["at_ms"] - OLD_MS:
                continue
            if body["type"] == "CancelRide" and asked.get(body["ride"], read_in) < read_in:
                is_over = ended.get(body["ride"], read_in) < read_in
                if not is_over and final.get(body["command_id"], read_in + 1) > read_in:
                    yield "a cancellation that is ignored", offset, body, read_in

    def no_limit_overtakes_a_command(self) -> Iterator[Violation]:
        """What was said in time counts, however late it is read."""
        if not self._commands_are_of_two_topics():
            entries = self.broker.partition(topics.COMMANDS, self.partition).entries
            yield from overtaken(self.events.batches, entries, JUNK)

    def people_live_at_the_speed_on_the_log(self) -> Iterator[Violation]:
        """Limits and trips are measured in city time, which goes on where it was if the speed changes."""
        yield from LivedTimes().violations(self.events.batches)

    def _commands_are_of_two_topics(self) -> bool:
        return self._is_of_two_topics("commands")

    def _is_of_two_topics(self, name: str) -> bool:
        reasons = {event.body.get("reason") for event in self.events.events if event.kind == "EpochStarted"}
        return bool(reasons & {f"{name}_recreated", "inputs_recreated"})

    def _lives(self) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """In which batch each ride began, and ended; and each command was answered for good."""
        asked: dict[str, int] = {}
        ended: dict[str, int] = {}
        final: dict[str, int] = {}
        for event in self.events.events:
            body = event.body
            if body.get("reason") == "events_lost":
                ended.update((ride, body["batch"] - 1) for ride in asked if ride not in ended)
            elif event.kind == "RideRequested":
                asked[body["ride"]] = body["batch"]
            elif event.kind in ENDS:
                ended[body["ride"]] = body["batch"]
            command_id, reason = body.get("command_id"), body.get("reason")
            if command_id is not None and (event.kind != "CommandRejected" or reason not in NOT_YET):
                final[command_id] = body["batch"]
        return asked, ended, final

    def _is_skipped(self, offset: int) -> bool:
        return any(t == topics.COMMANDS and first <= offset < after for t, first, after in self._skipped())

    def _commands_before(self, read: int) -> list[str]:
        gone = [(first, after) for topic, first, after in self._skipped() if topic == topics.COMMANDS]
        ids: dict[str, bool] = {}
        for offset, entry in enumerate(self.broker.partition(topics.COMMANDS, self.partition).entries[:read]):
            command = _command(entry.record.value) if is_visible(entry) else None
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
            recreated = {
                event.body.get("reason", "").split("_")[0] for event in batch if event.kind == "EpochStarted"
            }
            for name, offset in before.items():
                if recreated & {name.split("_")[0], "inputs"}:
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
        log_now_ms = self.now_ms + (self.events.set_backs[-1][1] if self.events.set_backs else 0)
        if abs(log_now_ms - self.events.last.now_ms) > LIVE_MS:
            yield "the dispatcher is not live", log_now_ms - self.events.last.now_ms
        place = self.broker.partition(topics.COMMANDS, self.partition)
        entries = place.entries[self.last_closed().get("commands_offset", 0) : place.stable]
        unread = [e for e in entries if is_visible(e) and _is_message(e.record.value)]
        since_ms = min((entry.record.timestamp_ms for entry in unread), default=self.now_ms)
        if self.now_ms - since_ms > LIVE_MS:
            yield "commands are left unread", len(unread), self.now_ms - since_ms
        newest = {sight.client: sight.cut.at_ms for sight in self.observations}
        for client in self.clients:
            if log_now_ms - newest.get(client, 0) > LIVE_MS:
                yield "a client is not live", client, log_now_ms - newest.get(client, 0)

    def the_audit_finds_nothing(self) -> Iterator[Violation]:
        """`taxi audit` has rules of its own, and must agree with this oracle."""
        findings = self._audit
        for rule, texts in findings.examples.items():
            if rule != "append_time_went_back" or not self._append_times_go_back():
                yield f"audit: {rule}", *texts

    def _append_times_go_back(self) -> bool:
        """Whether somebody wrote a false time or set the clocks: then the audit is right to say so."""
        for topic in (topics.COMMANDS, topics.LOCATIONS):
            entries = self.broker.partition(topic, self.partition).entries
            times_ms = [e.record.timestamp_ms for e in entries if e.record.timestamp_ms > 0]
            if times_ms != sorted(times_ms):
                return True
        return False

    @cached_property
    def _held(self) -> Held:
        return Held(self.events.batches, self.events.boundaries, self.positions, self.roads)

    @cached_property
    def _audit(self) -> AuditFindings:
        return at_once(audit(StillBus(self.broker), [self.partition]))

    def last_closed(self) -> dict[str, Any]:
        return self.events.batches[-1][-1].body if self.events.batches else {}

    def tally(self) -> Counter[str]:
        """What events there were, for which reasons, and what came of re-matching."""
        tally = Counter(event.kind for event in self.events.events)
        tally.update(self.holds)
        tally.update({f"not verifiable: {why}": count for why, count in self.why_not.items()})
        tally["a command put off and accepted later"] = self.put_off_first
        speeds = [
            event.body.get("speed", 1) for event in self.events.events if event.kind == "PolicyActivated"
        ]
        tally["a city that lives faster"] += any(speed > 1 for speed in speeds)
        tally["a change of speed"] += sum(before != after for before, after in pairwise(speeds))
        for event in self.events.events:
            body = event.body
            tally["a batch left commands unread"] += bool(body.get("behind"))
            tally["a producer id that changed"] += "previous_producer" in body
            if body.get("reason"):
                tally[f"{event.kind}: {body['reason']}"] += 1
            tally["a scenario over by itself"] += event.kind == "ScenarioEnded" and "reason" not in body
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


__all__ = ["LogEvent", "Oracle", "Sight", "Violation"]
