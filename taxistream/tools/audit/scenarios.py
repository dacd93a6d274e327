# SPDX-License-Identifier: Apache-2.0
"""Checks that each scenario begins and ends once, and ends in time."""

from collections.abc import Mapping
from typing import Any, Final

from taxistream.tools.audit.findings import AuditFindings
from taxistream.tools.documented_time import CityClock

KINDS: Final = frozenset({"ScenarioStarted", "ScenarioEnded"})


class Scenarios:
    """The scenarios under way."""

    def __init__(self, findings: AuditFindings) -> None:
        self._findings = findings
        self._under_way: dict[str, tuple[int, int] | None] = {}
        """Name → (when it began in log time, how long it lasts in city time, ms). None: it began when it was
        not known how fast people lived, because the log's beginning is deleted."""

    def forget_all(self) -> None:
        """Forget all of them, because the events were lost."""
        self._under_way.clear()

    def take(self, event: Mapping[str, Any], time: CityClock, *, knows_all: bool, knows_speed: bool) -> None:
        """Check and apply an event. If the log's beginning is deleted, an unknown scenario may end."""
        name = event["scenario"]
        if event["type"] == "ScenarioStarted":
            if name in self._under_way:
                self._findings.blame("illegal_transition", event, "while it is under way")
            lasts = event["at_ms"], event["lasts_s"] * 1000
            self._under_way[name] = lasts if knows_speed else None
            return
        if name not in self._under_way and knows_all:
            self._findings.blame("illegal_transition", event, "while it is not under way")
        known = self._under_way.pop(name, None)
        if known is None:
            return
        if event.get("reason", "over") == "over" and time.end_ms(*known) > event["at_ms"]:
            self._findings.blame("scenario_lasts", event, "although it began at", known[0])

    def close(self, closed: Mapping[str, Any], time: CityClock) -> None:
        """Check what is still under way after a batch in which the dispatcher checked time limits."""
        for name, known in self._under_way.items():
            if known is not None and time.end_ms(*known) <= closed["at_ms"]:
                self._findings.blame("scenario_lasts", name, "is under way in batch", closed["batch"])
