# SPDX-License-Identifier: Apache-2.0
"""Logs written by hand, as JSON: what the audit has to say of them."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from taxi import topics
from taxi.bus import Outgoing
from taxi.bus.memory.bus import MemoryBroker, MemoryBus, plain_broker
from taxistream.tools.audit.findings import AuditFindings
from taxistream.tools.audit.shell import audit

START_MS = 1_750_000_000_000
LIMITS = {
    "policy_interval_ms": 2_000,
    "patience_ms": 60_000,
    "pickup_ms_max": 120_000,
    "no_show_ms": 30_000,
    "lost_on_trip_ms": 90_000,
    "trip_ms_max": 600_000,
}
FIXES = 3
"""So many are enough for log time to follow them."""
Event = dict[str, Any]


def event(kind: str, command_id: str | None = None, **fields: Any) -> Event:
    body = {"type": kind, **fields}
    return body if command_id is None else {**body, "command_id": command_id}


def asked(kind: str, command_id: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, "command_id": command_id, **fields}).encode()


def fix(at_ms: int) -> bytes:
    return json.dumps({"type": "Fix", "driver": 1, "at_ms": at_ms, "lng": 0, "lat": 0}).encode()


class HandMadeLog:
    """Batches two seconds apart, each from the commands that came since the one before and a few fixes."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.number = 0
        self.commands: list[tuple[int, bytes]] = []
        self.fixes: list[int] = []
        self.events: list[Event] = []
        self.letters: list[Event] = []
        self.cut_events = 0
        """Retention took so many records of the events."""
        self.cut_commands = 0

    def batch(
        self, *events: Event, say: tuple[bytes, ...] = (), later_ms: int = 2_000, **closed: Any
    ) -> None:
        self.now_ms += later_ms
        self.number += 1
        self.commands += [(self.now_ms, command) for command in say]
        self.fixes += [self.now_ms] * FIXES
        common = {"batch": self.number, "at_ms": self.now_ms}
        last = {
            "type": "BatchClosed",
            "count": len(events) + 1,
            "commands_offset": len(self.commands),
            "locations_offset": len(self.fixes),
            **common,
        }
        self.events += [{**one, **common} for one in events]
        self.events.append({**last, **closed})

    def rewrite(self, kind: str, change: Callable[[Event], None]) -> None:
        """Alter the first event of a kind after the fact."""
        change(next(one for one in self.events if one["type"] == kind))

    def broker(self) -> MemoryBroker:
        """One that holds it."""
        broker = plain_broker()
        for spec in topics.specs():
            broker.create_topic(spec.name)
        self.write_to(broker)
        return broker

    def write_to(self, broker: MemoryBroker) -> None:
        """What was added since the last time, in the order in which a dispatcher's world writes."""
        for at_ms, command in self.commands[self._end(broker, topics.COMMANDS) :]:
            broker.partition(topics.COMMANDS, 0).append([Outgoing(None, command)], at_ms)
        for at_ms in self.fixes[self._end(broker, topics.LOCATIONS) :]:
            broker.partition(topics.LOCATIONS, 0).append([Outgoing(None, fix(at_ms))], at_ms)
        _write(broker, topics.DEAD_LETTERS, self.letters[self._end(broker, topics.DEAD_LETTERS) :])
        _write(broker, topics.EVENTS, self.events[self._end(broker, topics.EVENTS) :])

    @staticmethod
    def _end(broker: MemoryBroker, topic: str) -> int:
        return broker.partition(topic, 0).end

    async def findings(self) -> AuditFindings:
        broker = self.broker()
        broker.partition(topics.EVENTS, 0).delete_before(self.cut_events)
        broker.partition(topics.COMMANDS, 0).delete_before(self.cut_commands)
        return await audit(MemoryBus(broker), [0])

    def audited(self) -> AuditFindings:
        return asyncio.run(self.findings())

    def broken(self) -> set[str]:
        """The rules that it breaks."""
        return set(self.audited().violations)


def _write(broker: MemoryBroker, topic: str, bodies: list[Event]) -> None:
    for body in bodies:
        value = body["raw"] if "raw" in body else json.dumps(body).encode()
        broker.partition(topic, 0).append([Outgoing(None, value)], START_MS)


def honest_log() -> HandMadeLog:
    """Two drivers, a ride from request to its end, one that no driver takes, a command that is refused."""
    log = HandMadeLog()
    log.batch(
        event("EpochStarted", epoch="e", city="grid", reason="birth"),
        event("PolicyActivated", policy="greedy", parameters=LIMITS, seed=0, data_digest="", code_digest=""),
    )
    log.batch(
        event("DriverCameOnline", "1:on", driver=1),
        event("DriverCameOnline", "2:on", driver=2),
        say=(asked("GoOnline", "1:on", driver=1), asked("GoOnline", "2:on", driver=2)),
    )
    log.batch(
        event("RideRequested", "r1:ask", ride="r1", rider="ann", pickup=[0, 0], dropoff=[1, 1]),
        event("CommandRejected", "r9:cancel", reason="unknown_ride", subject="r9"),
        event("RideOffered", ride="r1", driver=1, attempt=1, eta_s=60, expires_ms=log.now_ms + 14_000),
        say=(asked("RequestRide", "r1:ask", ride="r1"), asked("CancelRide", "r9:cancel", ride="r9")),
    )
    log.batch(
        event("RideAssigned", "r1:yes", ride="r1", driver=1, attempt=1, eta_s=60),
        say=(asked("AnswerOffer", "r1:yes"), asked("RequestRide", "r1:ask", ride="r1")),
    )
    for kind, stage in (("DriverArrived", "at"), ("TripStarted", "go"), ("TripCompleted", "end")):
        log.batch(
            event(kind, f"r1:{stage}", ride="r1", driver=1, attempt=1),
            say=(asked("ReportProgress", f"r1:{stage}"),),
        )
    log.batch(
        event("RideRequested", "r2:ask", ride="r2", rider="bob", pickup=[0, 0], dropoff=[1, 1]),
        say=(asked("RequestRide", "r2:ask", ride="r2"),),
    )
    log.batch(event("RideExpired", ride="r2"), later_ms=62_000)
    return log
