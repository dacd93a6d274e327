# SPDX-License-Identifier: Apache-2.0
"""Every ride ends: each stage has a time limit, and the log itself says which (`PolicyActivated`).

Time limits are looked at when log time passes a multiple of the policy's interval. A ride that was overdue
at one such batch must have moved by then; found overdue in the same stage at the next one, it never will.
"""

import heapq
from collections.abc import Mapping
from typing import Any, Final, Protocol

from audit.findings import Findings

_LIMITS: Final = {
    "requested": "patience_ms",
    "assigned": "pickup_ms_max",
    "arrived": "no_show_ms",
    "on trip": "trip_ms_max",
}
"""Stage → the parameter that limits it. An offer says itself when it lapses."""
_SILENT: Final = "on trip without a signal"
"""Limited by `lost_on_trip_ms`, beside the trip itself."""


class Stage(Protocol):
    """What is asked of a ride."""

    state: str
    requested_ms: int
    since_ms: int
    since_batch: int
    expires_ms: int
    silent_ms: int
    silent_batch: int


class Deadlines:
    """When each open ride must have moved on."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.limits: Mapping[str, Any] = {}
        """Of the policy at hand; empty where the log does not say: then nothing is overdue."""
        self._due: list[tuple[int, str, int, str]] = []
        """(deadline, ride, since which batch, in which stage), a heap."""
        self._looked: tuple[int, int] | None = None
        """(batch, log time) when limits were last looked at."""
        self._now_ms = 0

    def enter(self, name: str, ride: Stage) -> None:
        """A ride came to its present stage."""
        deadline_ms = self._deadline_ms(ride)
        if deadline_ms is not None:
            heapq.heappush(self._due, (deadline_ms, name, ride.since_batch, ride.state))

    def silence(self, name: str, ride: Stage) -> None:
        """A trip's driver is without a signal since `silent_ms`, or has one again: `silent_batch` is 0."""
        limit = self.limits.get("lost_on_trip_ms")
        if ride.silent_batch and limit is not None:
            entry = (ride.silent_ms + int(limit), name, ride.silent_batch, _SILENT)
            heapq.heappush(self._due, entry)

    def renew(self, rides: Mapping[str, Stage]) -> None:
        """Other limits hold from now on."""
        self._due.clear()
        for name, ride in rides.items():
            self.enter(name, ride)
            self.silence(name, ride)

    def close(self, rides: Mapping[str, Stage], closed: Mapping[str, Any]) -> None:
        """A batch is over."""
        interval_ms = int(self.limits.get("policy_interval_ms", 2_000))
        before_ms, self._now_ms = self._now_ms, closed["at_ms"]
        if self._now_ms // interval_ms <= before_ms // interval_ms:
            return
        if self._looked is not None:
            self._find(rides, *self._looked)
        self._looked = closed["batch"], closed["at_ms"]

    def _find(self, rides: Mapping[str, Stage], looked_batch: int, looked_ms: int) -> None:
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

    def _deadline_ms(self, ride: Stage) -> int | None:
        if ride.state == "offered":
            return ride.expires_ms
        limit = self.limits.get(_LIMITS[ride.state])
        begun_ms = ride.requested_ms if ride.state == "requested" else ride.since_ms
        return begun_ms + int(limit) if limit is not None else None


def _since_batch(ride: Stage, state: str) -> int | None:
    """Since when it is in this stage; None if it is not."""
    if state == _SILENT:
        return ride.silent_batch
    return ride.since_batch if ride.state == state else None
