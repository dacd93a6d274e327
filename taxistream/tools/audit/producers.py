# SPDX-License-Identifier: Apache-2.0
"""Selects the records of the city's producer on `taxi.events` (docs/decisions/foreign-batches.md).

This is an implementation of its own, like the rest of the audit. Records of other producers break no rule.
"""

from collections import Counter
from typing import Any, Final, NamedTuple

from taxi.bus import Damaged, Record
from taxistream.tools.audit.journal import RECREATED, Found, parse

NO_PRODUCER: Final = -1
"""For records that were written outside of a transaction."""


def producer_of(record: Record) -> int:
    """The producer id of a record."""
    return record.writer.producer_id if record.writer is not None else NO_PRODUCER


class ProducerSurvey(NamedTuple):
    """The facts about a log that are needed before its records are checked."""

    producer: int | None
    """The city's producer at the beginning of the log; None if no batch is closed yet."""
    recreations: dict[str, int]
    """Input → how often its topic was created again, according to the city's events."""


class Surveyor:
    """Collects the facts of a `ProducerSurvey` in one pass over a log."""

    def __init__(self) -> None:
        self._closed: Counter[int] = Counter()
        self._births: list[int] = []
        """Producers whose first batch began a city, in the order in which these batches ended."""
        self._begun: dict[int, int] = {}
        """Producers in such a batch, and how many records of it there are."""
        self._is_damaged = False
        self._epochs: list[tuple[int, Any]] = []
        self._heirs: list[tuple[int, int]] = []

    def add(self, record: Record) -> None:
        """Process a record; call it in offset order."""
        value, producer = record.value or b"", producer_of(record)
        self._closed[producer] += b'"BatchClosed"' in value
        self._is_damaged |= isinstance(record, Damaged)
        if producer in self._begun:
            self._note_birth(record, producer)
        if b'"EpochStarted"' in value or b'"previous_producer"' in value:
            body = parse(record.offset, value).body or {}
            if body.get("type") == "EpochStarted":
                self._epochs.append((producer, body.get("reason")))
                if body["batch"] == 1:
                    self._begun[producer] = 1
            elif body.get("type") == "BatchClosed" and type(body.get("previous_producer")) is int:
                self._heirs.append((body["previous_producer"], producer))

    def _note_birth(self, record: Record, producer: int) -> None:
        """One more record of a batch that begins a city. It counts if it is complete, or was until damage."""
        self._begun[producer] += 1
        body = parse(record.offset, record.value).body or {}
        if body.get("type") == "BatchClosed":
            lacking = body["count"] - self._begun.pop(producer)
            counts = body["batch"] == 1 and (not lacking or (lacking > 0 and self._is_damaged))
            self._births += [producer] if counts else []

    def survey(self, *, at_birth: bool) -> ProducerSurvey:
        """The result.

        If the log's beginning is deleted, the city's producer is the one with the most batches.
        """
        producer = self._births[0] if at_birth and self._births else None
        if producer is None:
            producer = max(+self._closed, key=lambda each: self._closed[each], default=None)
            for before, heir in reversed(self._heirs):
                if heir == producer and self._closed[before]:
                    producer = before
        line = {producer}
        last = producer
        for before, heir in self._heirs:
            if before == last:
                last = heir
                line.add(heir)
        recreations = {
            name: sum(reason in reasons for writer, reason in self._epochs if writer in line)
            for name, reasons in RECREATED.items()
        }
        return ProducerSurvey(producer, recreations)


class Producers:
    """A filter that returns only the city's records."""

    def __init__(self, producer: int | None) -> None:
        """`producer`: the city's at the beginning of the log; None for the first one that begins a city."""
        self.passed_over = 0
        """How many records of others were skipped."""
        self._producer = producer
        self._held: dict[int, list[Found]] = {}
        """Other producer → its records since its last `BatchClosed`."""

    def take(self, found: Found, producer: int) -> list[Found]:
        """Process a record and return the city's records up to it that were not returned before.

        These are several if the record ends the first batch of the city's next producer.
        """
        if producer == self._producer:
            return [found]
        held = self._held.setdefault(producer, [])
        held.append(found)
        if found.body is None or found.body["type"] != "BatchClosed":
            return []
        del self._held[producer]
        if self._follows(held):
            self._producer = producer
            return held
        self.passed_over += len(held)
        return []

    def _follows(self, held: list[Found]) -> bool:
        """Whether this batch is the city's first one, or the first one of its next producer."""
        closed = held[-1].body or {}
        mine = [
            found.body for found in held if found.body is not None and found.body["batch"] == closed["batch"]
        ]
        if len(mine) != closed["count"]:
            return False
        if self._producer is None:
            begins = mine[0]["type"] == "EpochStarted"
            return bool(begins and (closed["batch"] == 1 or mine[0].get("reason") == "events_lost"))
        return bool(closed.get("previous_producer") == self._producer)

    def close(self) -> None:
        """Count the records that are left as skipped, because the log ends here."""
        self.passed_over += sum(map(len, self._held.values()))
        self._held.clear()
