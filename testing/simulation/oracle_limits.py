# SPDX-License-Identifier: Apache-2.0
"""No time limit overtakes a command that was given in time. Written from docs/life-of-a-ride.md."""

import json
from collections.abc import Iterator
from typing import Any

from taxi.bus.memory.log import LogEntry
from taxi.topics import COMMANDS
from taxistream.tools.oracle.runs import LogEvent
from testing.simulation.oracle_log import is_visible


def overtaken(
    batches: list[list[LogEvent]], commands: list[LogEntry], junk: bytes
) -> Iterator[tuple[Any, ...]]:
    """Rides that timed out although a command about them was read in the same batch and had come before.

    Or, in a batch that left commands unread, although none as late as the limit had been read.
    """
    stages, limits, read, shifts_ms = _Stages(), dict[str, Any](), 0, [0]
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
            limits = event.body["parameters"] if event.kind == "PolicyActivated" else limits
            due_ms = stages.due_ms(event, limits)
            if due_ms is None:
                stages.take(event)
                continue
            in_time = [ride for at_ms, ride in said if ride == event.body["ride"] and at_ms < due_ms]
            if in_time or (closed.get("behind") and known_ms < due_ms):
                yield "a limit overtook a command", event.kind, event.body, due_ms, known_ms


def _said(
    records: list[LogEntry], junk: bytes, shifts_ms: list[int], closed_ms: int
) -> list[tuple[int, str]]:
    """When each command was appended (log time, never after the batch that read it), and its ride.

    One that would be later than that was appended before the clock was set back: an older shift applies.
    """
    said = []
    for entry in records:
        value, at_ms = entry.record.value, entry.record.timestamp_ms
        if is_visible(entry) and value is not None and not value.startswith(junk):
            possible_ms = [at_ms + shift_ms for shift_ms in shifts_ms if at_ms + shift_ms <= closed_ms]
            said.append((possible_ms[-1] if possible_ms else closed_ms, json.loads(value).get("ride", "")))
    return said


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

    def due_ms(self, event: LogEvent, limits: dict[str, Any]) -> int | None:
        """When the limit passed that this event is about; None if it is about none."""
        ride = event.body.get("ride", "")
        if event.body.get("command_id") is not None:
            return None
        if event.kind == "OfferExpired":
            return self._expires_ms[ride]
        if event.kind == "RideExpired":
            return self._requested_ms[ride] + int(limits["patience_ms"])
        if event.kind == "RideNoShow":
            return self._arrived_ms[ride] + int(limits["no_show_ms"])
        return None
