# SPDX-License-Identifier: Apache-2.0
"""A producer of another application, on a memory broker."""

from collections.abc import Callable
from typing import Any, Final

from taxi import messages as m
from taxi import topics
from taxi.bus import Outgoing
from taxi.bus.memory.bus import MemoryBroker
from taxi.bus.memory.log import Fate, Transaction
from taxi.messages import codec

ID = "another-application"


def hold_open(
    broker: MemoryBroker,
    topic: str,
    *values: bytes,
    partition: int = 0,
    name: str = ID,
    timeout_s: float = 300.0,
) -> Callable[[Fate], None]:
    """Write in a transaction and leave it open; what ends it."""
    epoch = broker.start_writer(name, timeout_s)
    records = [Outgoing(None, value) for value in values or (b'{"type":"SomethingElse"}',)]
    broker.produce_in_transaction(name, epoch, 0, (topic, partition), records)

    def end(fate: Fate) -> None:
        broker.end(name, epoch, fate)

    return end


def commit(broker: MemoryBroker, *events: m.Event, partition: int = 0, name: str = ID) -> int:
    """Write well-formed events as another application would; the offset of the first."""
    epoch = broker.start_writer(name, 10.0)
    records = [Outgoing(b"stranger", codec.encode(event)) for event in events]
    base = broker.produce_in_transaction(name, epoch, 0, (topics.EVENTS, partition), records)
    broker.end(name, epoch, Fate.COMMITTED)
    return base


def append(broker: MemoryBroker, *events: m.Event, producer_id: int = 99, partition: int = 0) -> None:
    """The same onto a log whose world has ended: no coordinator needs to be asked."""
    place = broker.partition(topics.EVENTS, partition)
    at_ms = place.entries[-1].record.timestamp_ms if place.entries else events[0].at_ms
    transaction = Transaction(0.0, at_ms, ID, producer_id, 0, 10.0, Fate.COMMITTED)
    place.append([Outgoing(b"stranger", codec.encode(event)) for event in events], at_ms, transaction)
    place.mark(transaction, at_ms)


FOREIGN_EVENTS: Final = (
    "an old close",
    "the next close",
    "a future close",
    "an illegal batch",
    "a legal batch",
    "events without a close",
    "another epoch",
    "an epoch that begins empty",
)
"""What another application may write to `taxi.events`, see `foreign_events`."""


def foreign_events(kind: str, last: int, at_ms: int, city: str = "elsewhere") -> list[m.Event]:
    """Well-formed events of one kind, after the city's batch `last`; an epoch is one of `city`."""
    number = {"an old close": max(1, last - 1), "a future close": last + 1_000_000}.get(kind, last + 1)
    when: dict[str, Any] = {"batch": number, "at_ms": at_ms}
    events_of: dict[str, list[m.Event]] = {
        "an illegal batch": [m.RideExpired(**when, ride="nobodys-ride"), m.DriverFound(**when, driver=77)],
        "a legal batch": [m.DriverCameOnline(**when, driver=7_777)],
        "events without a close": [m.DriverCameOnline(**when, driver=7_777)],
        "another epoch": [m.EpochStarted(**when, epoch="f" * 16, city=city, reason="birth")],
        "an epoch that begins empty": [
            m.EpochStarted(**when, epoch="f" * 16, city=city, reason="events_lost")
        ],
    }
    events = events_of.get(kind, [])
    if kind == "events without a close":
        return events
    closed = m.BatchClosed(**when, count=len(events) + 1, commands_offset=10**9, locations_offset=10**9)
    return [*events, closed]
