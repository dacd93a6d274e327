# SPDX-License-Identifier: Apache-2.0
"""Checks that every command is answered exactly once, accepted or rejected, in the batch that read it.

A repetition within an hour of log time has the same id and gets no answer. After a rejection that decides
nothing (`NOT_YET`), however, a repetition is answered again.
"""

from collections import Counter
from collections.abc import Collection
from itertools import takewhile
from typing import Any, Final, NamedTuple

from taxistream.tools.audit.findings import AuditFindings

HOUR_MS: Final = 3_600_000

ACCEPTED_BY: Final = {
    "RequestRide": {"RideRequested"},
    "CancelRide": {"RideCancelled"},
    "GoOnline": {"DriverCameOnline"},
    "GoOffline": {"DriverWentOffline"},
    "AnswerOffer": {"RideAssigned", "OfferDeclined", "RideReleased"},
    "ReportProgress": {"DriverArrived", "TripStarted", "TripCompleted", "RideNoShow"},
    "StartScenario": {"ScenarioStarted"},
    "StopScenario": {"ScenarioEnded"},
}
"""Command → events that accept it. `CommandRejected` rejects any."""


NOT_YET: Final = {"unknown_ride", "not_online", "too_early", "patience_over", "too_old"}
"""Reasons of rejections after which the same command may still be accepted."""


class Asked(NamedTuple):
    """A record of the topic of commands."""

    offset: int
    append_ms: int
    kind: str
    command_id: str | None
    """None if it can't be read."""
    has_letter: bool
    """There is a dead letter for it."""


class Answers:
    """The commands that were answered in the last hour."""

    def __init__(self, findings: AuditFindings) -> None:
        self._findings = findings
        self._answered: dict[str, int] = {}
        """Command id → log time, oldest first."""
        self.knows_since_ms = 0
        """When the log begins that was read; answers of the hour before are not known."""

    def forget_all(self) -> None:
        """Forget all ids, because the events were lost."""
        self._answered.clear()

    def close(self, events: list[dict[str, Any]], asked: Collection[Asked] | None) -> None:
        """Check a batch. `asked`: the commands that it read, or None if some of them no longer exist."""
        given: dict[str, list[str]] = {}
        put_off: Counter[str] = Counter()
        for event in events:
            if event.get("command_id") is not None:
                kinds = given.setdefault(event["command_id"], [])
                if event["type"] == "CommandRejected" and event["reason"] in NOT_YET:
                    put_off[event["command_id"]] += 1
                else:
                    kinds.append(event["type"])
        at_ms = events[-1]["at_ms"]
        for command_id in given:
            if command_id in self._answered:
                self._findings.blame("command_answered_twice", command_id, f"in batch {events[-1]['batch']}")
        if asked is not None:
            self._compare(asked, given, put_off, events[-1]["batch"])
        for command_id, kinds in given.items():
            if kinds:
                self._answered.pop(command_id, None)
                self._answered[command_id] = at_ms
        self._prune(at_ms)

    def _compare(
        self, asked: Collection[Asked], given: dict[str, list[str]], put_off: Counter[str], batch: int
    ) -> None:
        known = {one.command_id: one.kind for one in asked}
        times = Counter(one.command_id for one in asked)
        for one in asked:
            self._findings.commands += 1
            answered = one.command_id in given or one.command_id in self._answered
            before_our_time = one.append_ms < self.knows_since_ms + HOUR_MS and one.command_id is not None
            if not (answered or one.has_letter or before_our_time):
                self._findings.blame("command_unanswered", one, f"in batch {batch}")
        for command_id, kinds in given.items():
            if command_id not in known:
                self._findings.blame("answer_without_command", command_id, *kinds, f"in batch {batch}")
                continue
            wrong = set(kinds) - ACCEPTED_BY.get(known[command_id], set()) - {"CommandRejected"}
            if wrong:
                self._findings.blame("answer_of_another_kind", known[command_id], command_id, *kinds)
            too_often = put_off[command_id] + bool(kinds) > times[command_id]
            if too_often or ("CommandRejected" in kinds and len(kinds) > 1):
                self._findings.blame("command_answered_twice", command_id, *kinds, f"in batch {batch}")

    def _prune(self, now_ms: int) -> None:
        gone = list(takewhile(lambda item: item[1] <= now_ms - HOUR_MS, self._answered.items()))
        for command_id, _ in gone:
            del self._answered[command_id]
