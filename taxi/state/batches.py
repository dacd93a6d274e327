# SPDX-License-Identifier: Apache-2.0
"""From records of `taxi.events` to the batches that count: whole, of the city's own producer, in sequence.

Anybody with write access can put well-formed events on the log, so what a record says is not enough. A batch
counts if the city's producer wrote it, all of its events are there, and its number is the next one. The
broker says who wrote a record (`Record.writer`); a successor of another producer id names the one before it
(`BatchClosed.previous_producer`). Everything else is passed over. Reasons and limits are in
docs/decisions/foreign-batches.md.

A producer is known by its producer id only. All dispatchers under one transactional id have the same one, and
a successor only raises the producer epoch, so an ordinary takeover by another process does not show in the
events at all.

A fetch may end inside a transaction. Also, a batch may be half there: another producer may write half of one,
and the disk may damage the other half. So `BatchClosed.count`, not the number alone, says which events belong
together.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple, Self

from taxi.bus import Damaged, Headers, Record, Writer
from taxi.messages import AnyEvent, BatchClosed, EpochStarted, codec
from taxi.messages.codec import DecodeError
from taxi.state import EVENTS_LOST
from taxi.topics import EVENTS

NO_PRODUCER: Final = -1
"""The producer id of records that were written outside of a transaction, as in Kafka."""
ANOTHER_PRODUCER: Final = "another producer wrote it"
_FOREIGN_EVENTS_MAX: Final = 200_000
"""Events of another producer that are kept in case they are the first batch of the city's next producer."""


class LogGapError(Exception):
    """The city's own batches do not continue: facts are missing or contradict each other.

    What was folded so far is void. Start again from a snapshot behind the gap, or wait for one.
    """


class At(NamedTuple):
    """An event, its offset, and its headers."""

    offset: int
    event: AnyEvent
    headers: Headers


class Batch(NamedTuple):
    """One transaction of the dispatcher, complete; its `BatchClosed` comes last."""

    events: tuple[At, ...]
    closed: BatchClosed

    @property
    def next_offset(self) -> int:
        """The offset after it: the `ev` of a cursor that includes it."""
        return self.events[-1].offset + 1

    @property
    def begins_empty(self) -> bool:
        """Whether it starts an epoch whose city begins without any earlier fact."""
        first = self.events[0].event
        return isinstance(first, EpochStarted) and first.reason == EVENTS_LOST


class _Run:
    """What one producer has written since its last `BatchClosed`."""

    __slots__ = ("events", "records", "unread")

    def __init__(self, *, keeps_records: bool) -> None:
        self.events: list[At] = []
        self.records: list[Record] | None = [] if keeps_records else None
        """The records of `events`, for dead letters; None for the city's own producer."""
        self.unread = 0
        """Records that are no event that this version knows."""


class WholeBatches:
    """Collects events until their batch closes, and yields the batches that count.

    Which batches count depends on the log alone, not on how it is read: everybody who begins at the start of
    the log or at a snapshot finds the same ones.
    """

    def __init__(self, number: int = 0, producer_id: int | None = None, *, passes_gaps: bool = False) -> None:
        """Continue after a snapshot, or begin without one.

        Args:
            number: The batch that the snapshot was taken after. 0: there is no snapshot. Then the log counts
                from the first complete batch on that begins an epoch from nothing.
            producer_id: Who wrote the snapshot; None outside of a transaction. Ignored if `number` is 0.
            passes_gaps: Yield the city's complete batches also if they do not continue. `gap` is set then.
        """
        self.number = number
        """Of the last batch that counted."""
        self.producer_id: int | None = None
        """The city's producer id; NO_PRODUCER outside of transactions. None: no batch has counted yet."""
        self.gap: str | None = None
        """Why the city's own batches do not continue; None if they do. Until an epoch that begins from
        nothing no further batch counts."""
        self.last_closed: BatchClosed | None = None
        """The last one of the city's own producer, whether it counted or not."""
        self.closed_before: BatchClosed | None = None
        """The one before it."""
        self.dropped = 0
        """Events of runs that never closed."""
        self.unreadable: list[DecodeError] = []
        """Records that are no event that this version knows. They stop nothing. The caller clears it."""
        self.passed_over: list[DecodeError] = []
        """Well-formed events that do not count, each with the reason. The caller clears it."""
        self.successor_ids: frozenset[int] = frozenset()
        """Producer ids that are known from elsewhere to have had the city. If the disk has damaged records,
        one of them is followed although no batch names it, because that batch may be among the damaged
        ones."""
        self._passes_gaps = passes_gaps
        self.is_damaged = False
        """The disk has damaged records since the last batch that counted."""
        self._is_joining = False
        self._runs: dict[int, _Run] = {}
        self._writer: Writer | None = None
        self._run = self._run_of(None)
        if number:
            self._adopt(NO_PRODUCER if producer_id is None else producer_id)

    @classmethod
    def joining(cls, producer_id: int, *, passes_gaps: bool = False) -> Self:
        """Begin in the middle of a log, at the first complete batch of `producer_id`, whatever its number."""
        batches = cls(passes_gaps=passes_gaps)
        batches._adopt(producer_id)
        batches._is_joining = True
        return batches

    def feed(self, records: Iterable[Record]) -> Iterator[Batch]:
        """Take records in offset order; yield each batch that counts, as it closes."""
        writer, run = self._writer, self._run
        events, kept = run.events, run.records
        for record in records:
            if record.writer is not writer:  # all records of one record batch share the object
                writer = record.writer
                run = self._run = self._run_of(writer)
                events, kept = run.events, run.records
            try:
                event: AnyEvent = codec.decode(EVENTS, record)
            except DecodeError as error:
                self._note_unreadable(run, error)
                continue
            events.append(At(record.offset, event, record.headers))
            if kept is not None:
                self._keep(run, record)
                events, kept = run.events, run.records
            if type(event) is BatchClosed:
                batch = self._continue(run, event) if kept is None else self._close(run, event)
                if batch is not None:
                    yield batch
                writer, run = self._writer, self._run
                events, kept = run.events, run.records

    def _note_unreadable(self, run: _Run, error: DecodeError) -> None:
        self.unreadable.append(error)
        if not isinstance(error.record, Damaged):
            run.unread += 1
        elif error.record.is_on_disk:
            self.is_damaged = True

    def break_off(self, reason: str) -> None:
        """The batch yielded last is not legal: it and all behind it do not count."""
        self.gap = reason

    def resume(self) -> None:
        """Go on behind a gap, from the batch yielded last. Only for a reader that `passes_gaps`."""
        self.gap = None

    def pass_over_open_runs(self) -> None:
        """Nothing will close what other producers have begun. For who has read all that the log holds."""
        for run in self._runs.values():
            self._pass_over(run, ANOTHER_PRODUCER)

    def take_for_dead_letters(self) -> list[DecodeError]:
        """What could not be read or does not count, since this was last asked, in offset order."""
        taken = sorted([*self.unreadable, *self.passed_over], key=lambda error: error.record.offset)
        self.unreadable, self.passed_over = [], []
        return taken

    # --- whose events ------------------------------------------------------------------------------

    def _run_of(self, writer: Writer | None) -> _Run:
        self._writer = writer
        producer_id = producer_id_of(writer)
        run = self._runs.get(producer_id)
        if run is None:
            run = self._runs[producer_id] = _Run(keeps_records=producer_id != self.producer_id)
        return run

    def _adopt(self, producer_id: int) -> None:
        """From here on this is the city's producer."""
        self.producer_id = producer_id
        self._runs = {producer_id: _Run(keeps_records=False)}
        self._run = self._run_of(self._writer)

    def _keep(self, run: _Run, record: Record) -> None:
        """Keep another producer's record, but not without bound."""
        assert run.records is not None
        run.records.append(record)
        if len(run.records) > _FOREIGN_EVENTS_MAX:
            self._pass_over(run, ANOTHER_PRODUCER)

    def _pass_over_others(self, run: _Run) -> None:
        """No successor of the city's producer: that would write after the last batch of its predecessor."""
        for other in self._runs.values():
            if other is not run:
                self._pass_over(other, ANOTHER_PRODUCER)
        self._runs = {self._current_id: run}

    def _pass_over(self, run: _Run, reason: str) -> None:
        if run.records is not None:
            self.passed_over += [DecodeError(EVENTS, record, reason) for record in run.records]
            run.events, run.records, run.unread = [], [], 0

    # --- which batches -----------------------------------------------------------------------------

    def _close(self, run: _Run, closed: BatchClosed) -> Batch | None:
        """A batch of a producer that is not the city's, or not yet."""
        if self.producer_id is None:
            return self._begin(run, closed)
        batch = _whole(run, closed)
        succeeds = closed.previous_producer == self.producer_id or (
            self.is_damaged and self._current_id in self.successor_ids
        )
        if batch is None or not succeeds:
            self._pass_over(run, ANOTHER_PRODUCER)
            return None
        self._pass_over_others(run)
        self._adopt(self._current_id)
        return self._count(batch)

    @property
    def _current_id(self) -> int:
        return producer_id_of(self._writer)

    def _begin(self, run: _Run, closed: BatchClosed) -> Batch | None:
        """The first batch of a log, or the first readable one if the beginning is deleted."""
        batch = _whole(run, closed)
        begins = batch is not None and isinstance(batch.events[0].event, EpochStarted)
        if batch is None or not begins or not (closed.batch == 1 or batch.begins_empty):
            self._pass_over(run, "no epoch of the city began before it")
            return None
        self._pass_over_others(run)
        self._adopt(self._current_id)
        self.number = closed.batch - 1
        return self._count(batch)

    def _continue(self, run: _Run, closed: BatchClosed) -> Batch | None:
        """A batch of the city's own producer."""
        events, batch = run.events, _whole(run, closed)
        run.events, run.unread = [], 0
        if len(self._runs) > 1:
            self._pass_over_others(run)
        if batch is not None:
            self.dropped += len(events) - len(batch.events)
            return self._count(batch)
        self.dropped += len(events)
        self.closed_before, self.last_closed = self.last_closed, closed
        if not self._is_joining:
            self.gap = self.gap or f"batch {closed.batch} lacks events{self._because}"
        return None

    def _count(self, batch: Batch) -> Batch | None:
        """Count a complete batch of the city's producer, if it continues."""
        closed = batch.closed
        self.closed_before, self.last_closed = self.last_closed, closed
        if closed.batch != self.number + 1 or self.gap is not None:
            if batch.begins_empty or self._is_joining:
                self.gap = None
            elif self.gap is None:
                self.gap = f"batch {closed.batch} follows batch {self.number}{self._because}"
            if self.gap is not None and not self._passes_gaps:
                return None
        self._is_joining = self.is_damaged = False
        self.number = closed.batch
        return batch

    @property
    def _because(self) -> str:
        return ": the disk has damaged records between them" if self.is_damaged else ""


def _whole(run: _Run, closed: BatchClosed) -> Batch | None:
    """The last `count` events of that number; what is before them never closed. None if some are missing.

    Records that this version cannot decode may be among them: events of a later version.
    """
    mine = [at for at in run.events if at.event.batch == closed.batch][-closed.count :]
    return Batch(tuple(mine), closed) if len(mine) <= closed.count <= len(mine) + run.unread else None


def closing_events(records: Iterable[Record]) -> Iterator[tuple[int, BatchClosed]]:
    """Every `BatchClosed` with its producer id, whether it counts or not.

    For readers that cannot know whose batches count, because the log's beginning is gone. NO_PRODUCER is the
    id of what was written outside of transactions.
    """
    for record in records:
        if b'"BatchClosed"' in (record.value or b""):
            with suppress(DecodeError):
                event: AnyEvent = codec.decode(EVENTS, record)
                if isinstance(event, BatchClosed):
                    yield producer_of(record), event


def producer_of(record: Record) -> int:
    """The producer id of a record; NO_PRODUCER outside of a transaction."""
    return producer_id_of(record.writer)


def producer_id_of(writer: Writer | None) -> int:
    """The producer id of a writer; NO_PRODUCER outside of a transaction."""
    return writer.producer_id if writer is not None else NO_PRODUCER
