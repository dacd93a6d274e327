# SPDX-License-Identifier: Apache-2.0
"""The city after each batch of `taxi.events`, by tables of its own."""

import json
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from loadtest.oracle.rides import ENDED, Ride, moved
from loadtest.oracle.roll import Roll, widened
from taxi.bus import Record

OFFLINE, IDLE, LOST = 0, 1, 6
BUSY: Final = {"offered": 2, "assigned": 3, "arrived": 4, "on trip": 5}
"""State of the ride → status of its driver, as the wire numbers it."""
_KEPT_MS: Final = 300_000
_FEED: Final = ("ride", "driver", "attempt", "eta_s", "reason")
_DEFAULTS: Final = {"EpochStarted": {"reason": "birth"}}


class LogBroken(Exception):  # noqa: N818 - a promise of the log, not of the gateway
    """The events themselves make no sense."""


@dataclass(frozen=True)
class Shift:
    """A driver as the events tell."""

    on: bool = False
    leaving: bool = False
    lost: bool = False
    ride: str | None = None


class Boundary(NamedTuple):
    """The city after a batch: what belongs to this `ev`."""

    ev: int
    now_ms: int
    epoch: str
    statuses: npt.NDArray[np.uint8]
    """By slot; a slot beyond its end is OFFLINE."""
    rides: dict[str, Ride]


class Told(NamedTuple):
    """An event as the feed tells it."""

    offset: int
    entry: list[Any]


_SHIFTS: Final = {
    "DriverCameOnline": lambda s: replace(s, on=True, leaving=False),
    "DriverWentOffline": lambda s: replace(s, leaving=True) if s.ride else replace(s, on=False),
    "DriverLost": lambda s: replace(s, lost=True),
    "DriverFound": lambda s: replace(s, lost=False),
}
_NO_ROW: Final = {"PolicyActivated", "CommandRejected", "InputSkipped", "DriverRepositioned"}


class Events:
    """Feed it committed records in offset order; ask for the city at any `ev` of the last minutes."""

    def __init__(self, roll: Roll) -> None:
        self.end = 0
        """How far was read: the reader's position."""
        self.last = Boundary(0, 0, "", np.zeros(0, np.uint8), {})
        self._roll = roll
        self._known: dict[int, Boundary] = {0: self.last}
        self._told: deque[Told] = deque()
        self._run: list[tuple[int, dict[str, Any]]] = []
        self._shifts: dict[int, Shift] = {}
        self._rides: dict[str, Ride] = {}
        self._statuses = np.zeros(64, np.uint8)
        self._epoch = ""
        self._fresh: set[int] = set()

    def feed(self, records: Sequence[Record], position: int) -> None:
        """Take records in; `position` is where the reader stands after them. Raises LogBroken."""
        for record in records:
            body = json.loads(record.value or b"")
            self._run.append((record.offset, body))
            if body["type"] == "BatchClosed":
                run, self._run = self._run, []
                self._close([each for each in run if each[1]["batch"] == body["batch"]])
        self.end = position

    def at(self, ev: int) -> Boundary | None:
        """The city at `ev`, if a batch ends there and it is not too long ago."""
        return self._known.get(ev)

    def told(self, first: int, end: int) -> list[list[Any]]:
        """What a feed tells of first ≤ offset < end."""
        a, b = (bisect_left(self._told, offset, key=lambda told: told.offset) for offset in (first, end))
        return [self._told[at].entry for at in range(a, b)]

    # --- one batch --------------------------------------------------------------------------------

    def _close(self, run: list[tuple[int, dict[str, Any]]]) -> None:
        offset, closed = run[-1]
        if len(run) < closed["count"]:
            message = f"batch {closed['batch']} has {len(run)} events, and says {closed['count']}"
            raise LogBroken(message)
        for at, body in run[-closed["count"] :]:
            self._apply(body)
            self._told.append(Told(at, _entry(at, body)))
        self._settle_statuses()
        size = len(self._roll)
        self.last = Boundary(
            offset + 1, closed["at_ms"], self._epoch, self._statuses[:size].copy(), dict(self._rides)
        )
        self._known[self.last.ev] = self.last
        self._forget()

    def _apply(self, body: dict[str, Any]) -> None:
        kind = body["type"]
        if kind == "RideRequested":
            self._rides[body["ride"]] = Ride.requested(body)
        elif kind in _SHIFTS:
            number = body["driver"]
            self._set(number, _SHIFTS[kind](self._shifts.get(number, Shift())))
        elif kind == "EpochStarted":
            self._epoch = body["epoch"]
            if body.get("reason") == "events_lost":
                self._start_empty()
        elif "ride" in body:
            self._move(body)
        elif kind not in _NO_ROW and kind != "BatchClosed":
            raise LogBroken(f"an event that nobody knows: {kind}")

    def _start_empty(self) -> None:
        self._fresh |= self._shifts.keys()
        self._shifts, self._rides = {}, {}

    def _set(self, number: int, shift: Shift) -> None:
        self._shifts[number] = shift
        self._fresh.add(number)

    def _move(self, body: dict[str, Any]) -> None:
        before = self._rides.get(body["ride"])
        if before is None:
            raise LogBroken(f"{body['type']} of a ride that is not there: {body['ride']}")
        after = self._rides[body["ride"]] = moved(before, body)
        if before.driver is not None and (after.driver != before.driver or after.state in ENDED):
            self._free(before.driver, before.name)
        if after.driver is not None and after.state not in ENDED:
            shift = self._shifts.get(after.driver, Shift())
            self._set(after.driver, replace(shift, ride=after.name))

    def _free(self, number: int, ride: str) -> None:
        """The ride lets go of its driver, unless another one has taken that driver already."""
        shift = self._shifts[number]
        if shift.ride == ride:
            stays = shift.on and not shift.leaving
            self._set(number, replace(shift, ride=None, on=stays, leaving=False))

    def _settle_statuses(self) -> None:
        if not self._fresh:
            return
        numbers = sorted(self._fresh)
        slots = self._roll.slots(numbers)
        self._statuses = widened(self._statuses, len(self._roll))
        self._statuses[slots] = [self._status(number) for number in numbers]
        self._fresh.clear()

    def _status(self, number: int) -> int:
        shift = self._shifts.get(number)
        if shift is None:
            return OFFLINE
        if shift.lost:
            return LOST
        if shift.ride is not None:
            return BUSY[self._rides[shift.ride].state]
        return IDLE if shift.on else OFFLINE

    def _forget(self) -> None:
        """What is older than any client may come back from."""
        old_ms = self.last.now_ms - _KEPT_MS
        for ev in [ev for ev, known in self._known.items() if known.now_ms < old_ms]:
            del self._known[ev]
        first = next(iter(self._known))
        while self._told and self._told[0].offset < first:
            self._told.popleft()
        gone = [
            ride.name for ride in self._rides.values() if ride.ended_ms is not None and ride.ended_ms < old_ms
        ]
        for name in gone:
            del self._rides[name]


def _entry(offset: int, body: dict[str, Any]) -> list[Any]:
    kind = body["type"]
    names = ("batch", "count") if kind == "BatchClosed" else _FEED
    whole = {**_DEFAULTS.get(kind, {}), **body}
    return [offset, body["at_ms"], kind, {name: whole[name] for name in names if whole.get(name) is not None}]
