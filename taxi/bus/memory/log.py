# SPDX-License-Identifier: Apache-2.0
"""A partition in memory: records, transactions, markers, retention and compaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from taxi.bus import NO_TIME, Damaged, OffsetOutOfRange, Offsets, OpenTransaction, Outgoing, Record, Writer


class Fate(Enum):
    """The outcome of a transaction. It becomes visible in each partition later, with its marker."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(eq=False)
class Transaction:
    """One transaction and the partitions that it wrote to."""

    began_s: float
    began_ms: int
    transactional_id: str
    producer_id: int
    producer_epoch: int
    timeout_s: float
    fate: Fate = Fate.OPEN
    places: "dict[Partition, int]" = field(default_factory=dict)
    """Its first offset in each partition."""

    @property
    def writer(self) -> Writer:
        """The producer id and epoch of its records."""
        return Writer(self.producer_id, self.producer_epoch)


class LogEntry(NamedTuple):
    """The content of one offset."""

    record: Record
    transaction: Transaction | None
    is_marker: bool


_GONE: Final = LogEntry(Record(0, 0, None, None), None, is_marker=True)


class FetchedRecords(NamedTuple):
    """Records and the offset to continue at. Markers and aborted records between are left out."""

    records: list[Record]
    next_offset: int
    cut_through: bool
    """The transaction of the last record has more records after it."""
    end: int
    """The end of the log at that time (high watermark)."""
    withheld: int
    """Offsets from the last stable offset to the end; 0 for a reader of uncommitted records."""


class Partition:
    """One partition. Retention moves `start` and compaction adds to `compacted`.

    `entries` keeps deleted records, for tests that check the whole history afterwards, until `let_go`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: list[LogEntry] = []
        self.originals: dict[int, LogEntry] = {}
        """What was there before the disk damaged it, for those who judge afterwards."""
        self.start = 0
        self.compacted: set[int] = set()
        self._freed = 0
        self._open: dict[Transaction, int] = {}
        self._waiting: dict[Callable[[], None], None] = {}

    @property
    def end(self) -> int:
        return len(self.entries)

    @property
    def stable(self) -> int:
        """The last stable offset: the first offset of the oldest transaction without a marker here."""
        return min(self._open.values(), default=self.end)

    @property
    def open_transactions(self) -> tuple[OpenTransaction, ...]:
        """The transactions without a marker here, sorted by their first offset."""
        found = [
            OpenTransaction(
                start,
                each.producer_id,
                each.producer_epoch,
                each.transactional_id,
                each.began_ms,
                round(each.timeout_s * 1000),
            )
            for each, start in self._open.items()
        ]
        return tuple(sorted(found, key=lambda each: each.start))

    @property
    def offsets(self) -> Offsets:
        return Offsets(self.start, self.stable, self.end)

    def append(self, records: Sequence[Outgoing], now_ms: int, transaction: Transaction | None = None) -> int:
        """Append records and return the offset of the first."""
        base, writer = self.end, transaction.writer if transaction is not None else None
        for offset, sent in enumerate(records, base):
            record = Record(offset, now_ms, sent.key, sent.value, sent.headers, writer)
            self.entries.append(LogEntry(record, transaction, is_marker=False))
        if transaction is not None and self not in transaction.places:
            transaction.places[self] = self._open[transaction] = base
        self._wake()
        return base

    def append_damaged(
        self, reason: str, now_ms: int, *, count: int = 1, raw: bytes = b"", is_on_disk: bool = False
    ) -> int:
        """Append a batch of `count` records that no client can parse, and return its first offset.

        `is_on_disk`: the batch's header is damaged, too, so its records have NO_TIME.
        """
        base, end = self.end, self.end + count
        for offset in range(base, end):
            damaged = Damaged(
                offset,
                NO_TIME if is_on_disk else now_ms,
                None,
                None,
                reason=reason,
                end=end,
                raw=raw,
                is_on_disk=is_on_disk,
            )
            self.entries.append(LogEntry(damaged, None, is_marker=False))
        self._wake()
        return base

    def corrupt(self, first: int, end: int, reason: str = "the checksum is wrong") -> None:
        """Damage the stored offsets in [first, end) as one batch: readers get a `Damaged` instead."""
        for offset in range(first, end):
            self.originals.setdefault(offset, self.entries[offset])
            damaged = Damaged(offset, NO_TIME, None, None, reason=reason, end=end, is_on_disk=True)
            self.entries[offset] = self.entries[offset]._replace(record=damaged, is_marker=False)

    def mark(self, transaction: Transaction, now_ms: int) -> None:
        """Append the transaction's marker, which makes its fate visible in this partition."""
        del self._open[transaction]
        marker = Record(self.end, now_ms, None, transaction.fate.value.encode())
        self.entries.append(LogEntry(marker, transaction, is_marker=True))
        self._wake()

    def fetch(self, offset: int, max_records: int, *, committed: bool) -> FetchedRecords:
        """Read as a reader does. Raises OffsetOutOfRange before `start` and after `end`."""
        if not self.start <= offset <= self.end:
            raise OffsetOutOfRange(f"{self.name} has {self.start} … {self.end}, not {offset}")
        return self.read(offset, max_records, committed=committed)

    def read(self, offset: int, max_records: int, *, committed: bool = True) -> FetchedRecords:
        """The same without bounds: also records that retention deleted, for checks of the whole history."""
        limit = self.stable if committed else self.end
        entries = self.entries
        got: list[Record] = []
        while offset < limit and len(got) < max_records:
            record, transaction, is_marker = entries[offset]
            if isinstance(record, Damaged):
                got.append(record)
                offset = record.end
                continue
            aborted = committed and transaction is not None and transaction.fate is Fate.ABORTED
            if not (is_marker or aborted or offset in self.compacted):
                got.append(record)
            offset += 1
        return FetchedRecords(got, offset, self._cuts_through(offset), self.end, self.end - limit)

    def offset_at(self, timestamp_ms: int) -> int:
        for offset in range(self.start, self.end):
            if self.entries[offset].record.timestamp_ms >= timestamp_ms:
                return offset
        return self.end

    def delete_before(self, offset: int) -> None:
        self.start = max(self.start, min(offset, self.stable))

    def compact(self) -> None:
        """Keep only the newest committed record of each key, as Kafka's log cleaner does."""
        newest: dict[bytes | None, int] = {}
        for offset in range(self.start, self.stable):
            record, transaction, is_marker = self.entries[offset]
            aborted = transaction is not None and transaction.fate is Fate.ABORTED
            if is_marker or aborted or isinstance(record, Damaged):
                continue
            if record.key in newest:
                self.compacted.add(newest[record.key])
            newest[record.key] = offset

    def let_go(self) -> None:
        """Free the memory of deleted and compacted records. `read` can't return them afterwards."""
        for offset in (*range(self._freed, self.start), *self.compacted):
            self.entries[offset] = _GONE
        self._freed = self.start

    def when_it_grows(self, call: Callable[[], None]) -> None:
        """Call `call` once, after the next append or marker."""
        self._waiting[call] = None

    def cancel(self, call: Callable[[], None]) -> None:
        """Cancel `when_it_grows`."""
        self._waiting.pop(call, None)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for call in waiting:
            call()

    def _cuts_through(self, offset: int) -> bool:
        if not 0 < offset < self.end:
            return False
        before, after = self.entries[offset - 1], self.entries[offset]
        return (
            before.transaction is not None and before.transaction is after.transaction and not after.is_marker
        )
