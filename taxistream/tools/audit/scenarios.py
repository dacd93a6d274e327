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
        self._under_way: dict[str, tuple[int, int]] = {}
        """Name → (when it began in log time, how long it lasts in city time, ms)."""

    def forget_all(self) -> None:
        """Forget all of them, because the events were lost."""
        self._under_way.clear()

    def take(self, event: Mapping[str, Any], time: CityClock, *, knows_all: bool) -> None:
        """Check and apply an event. If the log's beginning is deleted, an unknown scenario may end."""
        name = event["scenario"]
        if event["type"] == "ScenarioStarted":
            if name in self._under_way:
                self._findings.blame("illegal_transition", event, "while it is under way")
            self._under_way[name] = event["at_ms"], event["lasts_s"] * 1000
            return
        known = self._under_way.pop(name, None)
        if known is None:
            if knows_all:
                self._findings.blame("illegal_transition", event, "while it is not under way")
        elif event.get("reason", "over") == "over" and time.end_ms(*known) > event["at_ms"]:
            self._findings.blame("scenario_lasts", event, "although it began at", known[0])

    def close(self, closed: Mapping[str, Any], time: CityClock) -> None:
        """Check what is still under way after a batch in which the dispatcher checked time limits."""
        for name, known in self._under_way.items():
            if time.end_ms(*known) <= closed["at_ms"]:
                self._findings.blame("scenario_lasts", name, "is under way in batch", closed["batch"])
