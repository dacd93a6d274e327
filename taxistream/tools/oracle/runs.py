# SPDX-License-Identifier: Apache-2.0
"""Which batches count (docs/protocol.md): those of the city's producer, whole and in sequence."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from taxi.bus import Damaged, Record
from taxistream.tools.oracle.errors import BrokenLogError

_NO_PRODUCER: Final = -1
"""Of records outside of transactions."""


class LogEvent(NamedTuple):
    """A committed event."""

    offset: int
    kind: str
    body: dict[str, Any]


class CityBatches:
    """Yields the batches of the city from committed records in offset order."""

    def __init__(self) -> None:
        self.undecodable: list[int] = []
        """Offsets of the records that are not events. A batch that lacks one of them is incomplete."""
        self.foreign: list[int] = []
        """Offsets of the events of batches that are not the city's."""
        self.producer: int | None = None
        """The city's producer; None before its first batch."""
        self._number = 0
        self._at_ms = 0
        self._is_damaged = False
        self._runs: dict[int, list[LogEvent]] = {}
        """Producer → its events since its last `BatchClosed`."""

    def feed(self, records: Sequence[Record]) -> Iterator[list[LogEvent]]:
        """Process records; yield each batch of the city, its `BatchClosed` last.

        Raises:
            BrokenLogError: The city's producer wrote a batch that is not whole or not the next one.
        """
        for record in records:
            body = _body(record)
            if body is None:
                self.undecodable.append(record.offset)
                self._is_damaged = self._is_damaged or isinstance(record, Damaged)
                continue
            producer = record.writer.producer_id if record.writer is not None else _NO_PRODUCER
            event = LogEvent(record.offset, body["type"], body)
            self._runs.setdefault(producer, []).append(event)
            if event.kind == "BatchClosed":
                run = self._runs.pop(producer)
                if self._is_the_citys(producer, run):
                    yield self._checked(run)
                else:
                    self.foreign += [each.offset for each in run]

    def unclosed_foreign(self) -> list[int]:
        """Offsets of the events of other producers that no `BatchClosed` follows yet."""
        return [
            event.offset for producer, run in self._runs.items() if producer != self.producer for event in run
        ]

    def _is_the_citys(self, producer: int, run: list[LogEvent]) -> bool:
        """Whether a batch is the city's: its producer wrote it, or it is the first one of a successor."""
        if producer == self.producer:
            return True
        batch = _of_its_number(run)
        closed = batch[-1].body
        if self.producer is None:
            follows = closed["batch"] == 1 and batch[0].kind == "EpochStarted"
        else:
            follows = closed.get("previous_producer") == self.producer
        if not follows or closed["count"] != len(batch):
            return False
        self.producer = producer
        return True

    def _checked(self, run: list[LogEvent]) -> list[LogEvent]:
        batch = _of_its_number(run)
        closed = batch[-1].body
        number, count = closed["batch"], closed["count"]
        if len(batch) != len(run) and not self._is_damaged:
            raise BrokenLogError("a batch with another's events", number)
        if len(batch) != count:
            raise BrokenLogError("a batch is not whole", number, f"{len(batch)} of {count} events")
        begins_empty = batch[0].kind == "EpochStarted" and batch[0].body.get("reason") == "events_lost"
        if number != self._number + 1 and not begins_empty:
            raise BrokenLogError("batch numbers have a hole", self._number, number)
        if closed["at_ms"] < self._at_ms:
            raise BrokenLogError("log time went back", number, self._at_ms, closed["at_ms"])
        self._number, self._at_ms = number, closed["at_ms"]
        return batch


def _of_its_number(run: list[LogEvent]) -> list[LogEvent]:
    """The events of a run that have the number of its `BatchClosed`."""
    number = run[-1].body["batch"]
    return [event for event in run if event.body["batch"] == number]


def _body(record: Record) -> dict[str, Any] | None:
    """The event in a record; None if it is not an event."""
    try:
        body = json.loads(record.value or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        return None
    numbers = ("batch", "at_ms", "count") if body["type"] == "BatchClosed" else ("batch", "at_ms")
    return body if all(type(body.get(name)) is int for name in numbers) else None
