# SPDX-License-Identifier: Apache-2.0
"""A partition in memory: records, transactions, markers, what retention and compaction took."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from taxi.bus import OffsetOutOfRange, Offsets, Outgoing, Record


class Fate(Enum):
    """What becomes of a transaction. Decided at once; each partition learns of it alone, and later."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(eq=False)
class Transaction:
    """One transaction, and the partitions that it wrote to."""

    began_s: float
    fate: Fate = Fate.OPEN
    places: "dict[Partition, int]" = field(default_factory=dict)
    """Its first offset in each partition."""


class Entry(NamedTuple):
    """What stands at an offset."""

    record: Record
    transaction: Transaction | None
    is_marker: bool


_GONE: Final = Entry(Record(0, 0, None, None), None, is_marker=True)


class Fetched(NamedTuple):
    """Records, and where to read on: markers and aborted records lie between."""

    records: list[Record]
    next_offset: int
    cut_through: bool
    """The last record's transaction has more records behind it."""


class Partition:
    """A log. Retention moves `start`, compaction fills `compacted`; `entries` keeps all until `let_go`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: list[Entry] = []
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
        """Before the first record of any transaction whose marker is not here yet."""
        return min(self._open.values(), default=self.end)

    @property
    def offsets(self) -> Offsets:
        return Offsets(self.start, self.stable, self.end)

    def append(self, records: Sequence[Outgoing], now_ms: int, transaction: Transaction | None = None) -> int:
        """The offset of the first."""
        base = self.end
        for offset, sent in enumerate(records, base):
            record = Record(offset, now_ms, sent.key, sent.value, sent.headers)
            self.entries.append(Entry(record, transaction, is_marker=False))
        if transaction is not None and self not in transaction.places:
            transaction.places[self] = self._open[transaction] = base
        self._wake()
        return base

    def mark(self, transaction: Transaction, now_ms: int) -> None:
        """The transaction's fate becomes visible here."""
        del self._open[transaction]
        marker = Record(self.end, now_ms, None, transaction.fate.value.encode())
        self.entries.append(Entry(marker, transaction, is_marker=True))
        self._wake()

    def fetch(self, offset: int, max_records: int, *, committed: bool) -> Fetched:
        """Raises OffsetOutOfRange."""
        if not self.start <= offset <= self.end:
            raise OffsetOutOfRange(f"{self.name} has {self.start} … {self.end}, not {offset}")
        return self.read(offset, max_records, committed=committed)

    def read(self, offset: int, max_records: int, *, committed: bool = True) -> Fetched:
        """The same, also of what retention took: for those who judge afterwards."""
        limit = self.stable if committed else self.end
        entries = self.entries
        got: list[Record] = []
        while offset < limit and len(got) < max_records:
            record, transaction, is_marker = entries[offset]
            aborted = committed and transaction is not None and transaction.fate is Fate.ABORTED
            if not (is_marker or aborted or offset in self.compacted):
                got.append(record)
            offset += 1
        return Fetched(got, offset, self._cuts_through(offset))

    def offset_at(self, timestamp_ms: int) -> int:
        for offset in range(self.start, self.end):
            if self.entries[offset].record.timestamp_ms >= timestamp_ms:
                return offset
        return self.end

    def delete_before(self, offset: int) -> None:
        self.start = max(self.start, min(offset, self.stable))

    def compact(self) -> None:
        """Of committed records only the newest of each key stays, as Kafka's cleaner leaves it."""
        newest: dict[bytes | None, int] = {}
        for offset in range(self.start, self.stable):
            record, transaction, is_marker = self.entries[offset]
            if is_marker or (transaction is not None and transaction.fate is Fate.ABORTED):
                continue
            if record.key in newest:
                self.compacted.add(newest[record.key])
            newest[record.key] = offset

    def let_go(self) -> None:
        """Free what retention and compaction took. Whoever judges afterwards must not call this."""
        for offset in (*range(self._freed, self.start), *self.compacted):
            self.entries[offset] = _GONE
        self._freed = self.start

    def when_it_grows(self, call: Callable[[], None]) -> None:
        """Call once, after the next append or marker."""
        self._waiting[call] = None

    def forget(self, call: Callable[[], None]) -> None:
        """Don't call: it has waited long enough."""
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
