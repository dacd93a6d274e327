# SPDX-License-Identifier: Apache-2.0
"""What people wait for lasts its time in city time, whatever the speed. Written from docs/messages.md."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from taxistream.tools.documented_time import CityClock
from taxistream.tools.oracle.runs import LogEvent

_BEGINS: Final = {"RideRequested": "requested", "DriverArrived": "arrived", "TripStarted": "started"}
"""Event → what begins with it."""
_ENDS: Final = {"RideExpired": ("requested", "patience_ms"), "RideNoShow": ("arrived", "no_show_ms")}
"""Event that a time limit causes, if no command does → since when it counts, and the limit."""


@dataclass
class LivedTimes:
    """Offers expire, riders give up and trips last in city time, also across a change of speed.

    That a limit passed and nothing happened is found by the audit.
    """

    time: CityClock = field(default_factory=CityClock)
    _limits: dict[str, Any] = field(default_factory=dict)
    _since_ms: dict[tuple[str, str], int] = field(default_factory=dict)

    def violations(self, batches: list[list[LogEvent]]) -> Iterator[tuple[Any, ...]]:
        """Check all batches of a log."""
        for batch in batches:
            for event in batch:
                self.time.take(event.kind, event.body)
                wrong = self._wrong(event.kind, event.body)
                if wrong is not None:
                    yield (*wrong, event.body, self.time.changes)

    def _wrong(self, kind: str, body: dict[str, Any]) -> tuple[Any, ...] | None:
        ride, at_ms = body.get("ride", ""), body["at_ms"]
        if kind == "PolicyActivated":
            self._limits = body["parameters"]
        elif kind in _BEGINS:
            self._since_ms[_BEGINS[kind], ride] = at_ms
        elif kind == "RideOffered" and not self._lasts_its_time(at_ms, body["expires_ms"]):
            return ("an offer that does not last its time",)
        elif kind == "TripCompleted":
            trip_s = self._lived_ms("started", ride, at_ms) // 1000
            return None if body["trip_s"] == trip_s else ("a trip of another length", trip_s)
        elif kind in _ENDS and body.get("command_id") is None:
            begun, limit = _ENDS[kind]
            lived_ms = self._lived_ms(begun, ride, at_ms)
            return None if lived_ms >= self._limits[limit] else ("a limit passed before its time", lived_ms)
        return None

    def _lasts_its_time(self, at_ms: int, expires_ms: int) -> bool:
        """It expires at the first moment at which its time is over."""
        lived_ms, before_ms = (self.time.lived_ms(at_ms, end_ms) for end_ms in (expires_ms, expires_ms - 1))
        return bool(before_ms < self._limits["offer_timeout_ms"] <= lived_ms)

    def _lived_ms(self, begun: str, ride: str, at_ms: int) -> int:
        return self.time.lived_ms(self._since_ms[begun, ride], at_ms)
