# SPDX-License-Identifier: Apache-2.0
"""Checks that every ride ends: each stage has a time limit, which the log contains (`PolicyActivated`).

The dispatcher checks time limits in batches in which log time passes a multiple of the policy's interval. A
ride that is overdue in one such batch must have changed its stage in the next, because a command about it may
have been in the first one. If it is still overdue in the same stage after that, the rule is broken.

A batch that left commands unread (`behind`), or in which as many rides timed out as one batch may time out
(`timeouts_max`), does not count as a check, because overdue rides may have to wait there.
"""

import heapq
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Protocol

from taxistream.tools.audit.findings import AuditFindings
from taxistream.tools.documented_time import CityClock

_LIMITS: Final = {
    "requested": "patience_ms",
    "assigned": "pickup_ms_max",
    "arrived": "no_show_ms",
    "on trip": "trip_ms_max",
}
"""Stage → the parameter that limits it. An offer contains its own limit."""
_TIMEOUTS: Final = {"OfferExpired", "RideExpired", "RideNoShow", "RideReleased", "RideCancelled"}
"""Events that a time limit causes, if no command does."""
_SILENT: Final = "on trip without a signal"
"""A stage that `lost_on_trip_ms` limits, in addition to the trip itself."""


class DeadlineStage(Protocol):
    """The fields of a ride that are used here."""

    state: str
    requested_ms: int
    since_ms: int
    since_batch: int
    expires_ms: int
    silent_ms: int
    silent_batch: int


class Deadlines:
    """The deadlines of all open rides."""

    def __init__(self, findings: AuditFindings) -> None:
        self._findings = findings
        self.limits: Mapping[str, Any] = {}
        """The current policy's parameters; empty if they are not known, and then nothing is overdue."""
        self.time = CityClock()
        """The limits of rides count in city time, but for `lost_on_trip_ms`, which counts in log time."""
        self._due: list[tuple[int, str, int, str]] = []
        """A heap of (deadline, ride, since which batch, in which stage)."""
        self._looked: deque[tuple[int, int]] = deque(maxlen=2)
        """(batch, log time) of the last two batches in which the dispatcher checked time limits."""
        self._now_ms = 0
        self._timeouts = 0
        """Timeouts in the current batch."""

    def enter(self, name: str, ride: DeadlineStage) -> None:
        """Record that a ride entered its current stage."""
        deadline_ms = self._deadline_ms(ride)
        if deadline_ms is not None:
            heapq.heappush(self._due, (deadline_ms, name, ride.since_batch, ride.state))

    def silence(self, name: str, ride: DeadlineStage) -> None:
        """Record since when a driver on a trip has no signal, or has one again (`silent_batch` is 0)."""
        limit = self.limits.get("lost_on_trip_ms")
        if ride.silent_batch and limit is not None:
            entry = (ride.silent_ms + int(limit), name, ride.silent_batch, _SILENT)
            heapq.heappush(self._due, entry)

    def renew(self, rides: Mapping[str, DeadlineStage]) -> None:
        """Compute all deadlines again, because the limits have changed."""
        self._due.clear()
        for name, ride in rides.items():
            self.enter(name, ride)
            self.silence(name, ride)

    def take(self, event: Mapping[str, Any]) -> None:
        """Process an event of the current batch."""
        self.time.take(event["type"], event)
        self._timeouts += event["type"] in _TIMEOUTS and event.get("command_id") is None

    def close(self, rides: Mapping[str, DeadlineStage], closed: Mapping[str, Any]) -> bool:
        """Check the deadlines at the end of a batch. Whether the dispatcher checked time limits in it."""
        interval_ms = int(self.limits.get("policy_interval_ms", 2_000))
        before_ms, self._now_ms = self._now_ms, closed["at_ms"]
        timeouts, self._timeouts = self._timeouts, 0
        if self._now_ms // interval_ms <= before_ms // interval_ms:
            return False
        if closed.get("behind", False) or timeouts >= int(self.limits.get("timeouts_max", timeouts + 1)):
            self._looked.clear()
            return True
        if len(self._looked) == self._looked.maxlen:
            self._find(rides, *self._looked[0])
        self._looked.append((closed["batch"], closed["at_ms"]))
        return True

    def _find(self, rides: Mapping[str, DeadlineStage], looked_batch: int, looked_ms: int) -> None:
        again = []
        while self._due and self._due[0][0] <= looked_ms:
            deadline_ms, name, since_batch, state = heapq.heappop(self._due)
            ride = rides.get(name)
            if ride is None or since_batch != _since_batch(ride, state):
                continue
            if since_batch < looked_batch:
                rule = "lost_driver_drives" if state == _SILENT else "ride_never_ends"
                text = f"{name} is {state} although it was due at {deadline_ms}, log time {self._now_ms}"
                self._findings.blame(rule, text)
            else:
                again.append((deadline_ms, name, since_batch, state))
        for entry in again:
            heapq.heappush(self._due, entry)

    def _deadline_ms(self, ride: DeadlineStage) -> int | None:
        if ride.state == "offered":
            return ride.expires_ms
        limit = self.limits.get(_LIMITS[ride.state])
        begun_ms = ride.requested_ms if ride.state == "requested" else ride.since_ms
        return self.time.end_ms(begun_ms, int(limit)) if limit is not None else None


def _since_batch(ride: DeadlineStage, state: str) -> int | None:
    """The batch since which the ride is in this stage; None if it is not."""
    if state == _SILENT:
        return ride.silent_batch
    return ride.since_batch if ride.state == state else None
