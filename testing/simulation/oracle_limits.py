# SPDX-License-Identifier: Apache-2.0
"""No time limit overtakes a command that was given in time. Written from docs/life-of-a-ride.md."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from taxi.bus.memory.log import LogEntry
from taxi.topics import COMMANDS
from taxistream.tools.documented_time import CityClock
from taxistream.tools.oracle.runs import LogEvent
from testing.simulation.oracle_log import is_visible

_AHEAD_MS = 10_000


def overtaken(
    batches: list[list[LogEvent]], commands: list[LogEntry], junk: bytes
) -> Iterator[tuple[Any, ...]]:
    """Rides that timed out although a command about them was read in the same batch and had come before.

    Or, in a batch that left commands unread, although none as late as the limit had been read.
    """
    stages, limits, read, shifts_ms, time = _Stages(), dict[str, Any](), 0, [0], CityClock()
    for batch in batches:
        closed = batch[-1].body
        gone = [e.body["next"] for e in batch if e.kind == "InputSkipped" and e.body["topic"] == COMMANDS]
        shifts_ms += [event.body["shift_ms"] for event in batch if event.kind == "ClockSetBack"]
        if closed.get("shift_ms", 0) != shifts_ms[-1]:
            shifts_ms.append(closed.get("shift_ms", 0))
        said = _said(
            commands[max([read, *gone]) : closed["commands_offset"]], junk, shifts_ms, closed["at_ms"]
        )
        read = closed["commands_offset"]
        known_ms = max((at_ms for at_ms, _ in said), default=0)
        for event in batch:
            time.take(event.kind, event.body)
            limits = event.body["parameters"] if event.kind == "PolicyActivated" else limits
            is_over = stages.limit(event, limits, time)
            if is_over is None:
                stages.take(event)
                continue
            in_time = [at_ms for at_ms, ride in said if ride == event.body["ride"] and not is_over(at_ms)]
            if in_time or (closed.get("behind") and not is_over(known_ms)):
                yield "a limit overtook a command", event.kind, event.body, in_time, known_ms


def _said(
    records: list[LogEntry], junk: bytes, shifts_ms: list[int], closed_ms: int
) -> list[tuple[int, str]]:
    """When each command was appended (log time, never after the batch that read it), and its ride.

    One that would be later than that was appended before the clock was set back: an older shift applies. But
    not if it would be up to 10 s later, and more than 10 s earlier by the shift before.
    """
    said = []
    for entry in records:
        value, at_ms = entry.record.value, entry.record.timestamp_ms
        if is_visible(entry) and value is not None and not value.startswith(junk):
            said.append((_in_log_time(at_ms, shifts_ms, closed_ms), json.loads(value).get("ride", "")))
    return said


def _in_log_time(at_ms: int, shifts_ms: list[int], closed_ms: int) -> int:
    times_ms = [at_ms + shift_ms for shift_ms in shifts_ms]
    for index in reversed(range(len(times_ms))):
        before_ms = times_ms[index - 1] if index else at_ms
        is_near = times_ms[index] <= closed_ms + _AHEAD_MS and before_ms < closed_ms - _AHEAD_MS
        if times_ms[index] <= closed_ms or is_near:
            return min(times_ms[index], closed_ms)
    return min(times_ms[0], closed_ms)


class _Stages:
    """Since when each ride is where it is."""

    def __init__(self) -> None:
        self._expires_ms: dict[str, int] = {}
        self._requested_ms: dict[str, int] = {}
        self._arrived_ms: dict[str, int] = {}

    def take(self, event: LogEvent) -> None:
        body = event.body
        if event.kind == "RideOffered":
            self._expires_ms[body["ride"]] = body["expires_ms"]
        elif event.kind == "RideRequested":
            self._requested_ms[body["ride"]] = body["at_ms"]
        elif event.kind == "DriverArrived":
            self._arrived_ms[body["ride"]] = body["at_ms"]

    def limit(self, event: LogEvent, limits: dict[str, Any], time: CityClock) -> Callable[[int], bool] | None:
        """Whether the limit that this event is about had passed at a log time; None if it is about none."""
        ride = event.body.get("ride", "")
        if event.body.get("command_id") is not None:
            return None
        if event.kind == "OfferExpired":
            expires_ms = self._expires_ms[ride]
            return lambda at_ms: at_ms >= expires_ms
        if event.kind == "RideExpired":
            begun_ms, limit_ms = self._requested_ms[ride], int(limits["patience_ms"])
        elif event.kind == "RideNoShow":
            begun_ms, limit_ms = self._arrived_ms[ride], int(limits["no_show_ms"])
        else:
            return None
        return lambda at_ms: time.lived_ms(begun_ms, at_ms) >= limit_ms
