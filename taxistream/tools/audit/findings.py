# SPDX-License-Identifier: Apache-2.0
"""The result of an audit: for each broken rule a count, and the first violations as text."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from taxistream.tools.violations import Violations

RULES: Final = {
    "driver_on_two_rides": "a driver has one ride at a time",
    "ride_with_two_drivers": "a ride has one driver at a time",
    "chain_not_whole": "rides that change drivers together do so in one batch, or none does",
    "lost_driver_fetches": "a driver without a signal gives a ride back that is not picked up yet",
    "lost_driver_drives": "a trip whose driver stays without a signal is ended within its time limit",
    "refused_driver_again": "a driver who let a ride go is never given it again",
    "ride_never_ends": "every accepted request ends, each stage within its time limit",
    "illegal_transition": "every move of a ride, driver or scenario is one that its state allows",
    "scenario_lasts": "a scenario ends by itself when its time has passed, and not before",
    "event_twice": "no event is on the log twice",
    "batch_number": "batch numbers grow by one, without a hole",
    "batch_not_whole": "a batch ends in its BatchClosed, which counts all of its events",
    "input_went_back": "a batch's input begins where the one before ended",
    "input_beyond_end": "a batch is decided from input that was there",
    "command_unanswered": "every command that was read is accepted or rejected, or is a dead letter",
    "command_answered_twice": "a command is answered once; a repeat within the hour is not answered at all",
    "answer_without_command": "an answer follows its command, in the batch that read it",
    "answer_of_another_kind": "a command is accepted by an event of its kind",
    "log_time": "log time is that of the input read (docs/decisions/log-time.md), and never goes back",
    "append_time_went_back": "the broker's append times never go back a little",
    "clock_set_back": "a clock that was set back is announced on the log, where and by how much",
    "unreadable_event": "every record among the events is one",
}
"""Rule → what it requires."""


@dataclass
class AuditFindings(Violations):
    """The violations in the logs of one or more cities, and counts of what was checked."""

    RULES = RULES

    events: int = 0
    batches: int = 0
    rides: int = 0
    completed: int = 0
    commands: int = 0
    fixes: int = 0
    open_rides: int = 0
    positions_dropped: Counter[str] = field(default_factory=Counter)
    """Reason → how many positions must be dropped."""
    unknown_events: int = 0
    """Events of types that this version does not know."""
    foreign_events: int = 0
    """Records on `taxi.events` of another producer than the city's. They break no rule."""
    damaged_events: int = 0
    """Records on `taxi.events` that are damaged on disk. Rules that need them are not checked."""
    held_back: list[str] = field(default_factory=list)
    """Texts about open transactions that hold back events."""

    def report(self) -> dict[str, Any]:
        """The findings as `taxi audit --json` prints them."""
        return {
            "events": self.events,
            "batches": self.batches,
            "rides": self.rides,
            "completed": self.completed,
            "open_rides": self.open_rides,
            "commands": self.commands,
            "fixes": self.fixes,
            "positions_dropped": dict(sorted(self.positions_dropped.items())),
            "unknown_events": self.unknown_events,
            "foreign_events": self.foreign_events,
            "damaged_events": self.damaged_events,
            "held_back": list(self.held_back),
            **self.violations_report(),
        }
