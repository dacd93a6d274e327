# SPDX-License-Identifier: Apache-2.0
"""The records of one fetch response, without control records and aborted records."""

from typing import Any, Final

from msgspec.structs import replace

from taxi.bus import NO_TIME, RAW_BYTES_MAX, Damaged, Record
from taxi.bus.kafka.batches import (
    CONTROL_BIT,
    TRANSACTIONAL_BIT,
    CutOff,
    RecordBatch,
    Unreadable,
    batch_at,
    find_batch,
    read,
)

_OFFSET_MAX: Final = 2**63 - 1


class InHand:
    """Iterates over the records of a fetch response, one record batch at a time.

    A damaged batch becomes one `Damaged` that ends at the next complete batch, but only if the damage is
    confirmed, that is, if a second fetch returned the same. If it is not, or if no complete batch follows,
    iteration ends and `unreadable` says why.
    """

    def __init__(
        self,
        data: bytes,
        aborted: Any,
        offset: int,
        *,
        committed: bool,
        limit: int = _OFFSET_MAX,
        confirmed: int = -1,
    ) -> None:
        """Start at `offset`.

        Args:
            data: Record batches as the broker returned them.
            aborted: (producer id, first offset) of the aborted transactions in `data`.
            offset: The first offset to return.
            committed: Leave out aborted records.
            limit: The end of the log (high watermark): no batch may go beyond it.
            confirmed: An offset known to be damaged, or −1.
        """
        self.next_offset = self._asked = offset
        self.unreadable: str | None = None
        """Why there is more data that cannot be read from `next_offset` on; None if that is not so."""
        self.has_gap = False
        """A damaged batch was skipped. Its control records are not known, so the next records need a new
        fetch."""
        self._data = data
        self._at = 0
        self._committed = committed
        self._limit = limit
        self._confirmed = confirmed
        self._floor = 0
        """The offset after the batch before."""
        self._aborts = sorted(aborted or [], key=lambda abort: abort[1])
        """(producer id, first offset) of aborted transactions that begin at a batch not yet reached."""
        self._aborting: set[int] = set()
        self._batch: list[Record] = []
        self._taken = 0
        self._after_batch = offset

    def take(self, at_most: int) -> list[Record]:
        """The next records; fewer than `at_most` only at the end. Moves `next_offset` after them."""
        taken: list[Record] = []
        while len(taken) < at_most and self._has_more():
            more = self._batch[self._taken : self._taken + at_most - len(taken)]
            self._taken += len(more)
            if taken:
                taken += more
            else:
                taken = more
            done = self._taken == len(self._batch)
            self.next_offset = self._after_batch if done else more[-1].next_offset
        return taken

    def goes_on(self) -> bool:
        """Whether records are left, or `next_offset` has moved past batches without records."""
        return self._has_more() or self.next_offset > self._asked

    def _has_more(self) -> bool:
        """Whether a record is left, in the current batch or a later one. Moves on to the next such batch."""
        while self._taken == len(self._batch):
            if self._at == len(self._data) or self.has_gap or self.unreadable is not None:
                return False
            try:
                self._take_in(batch_at(self._data, self._at))
            except CutOff as error:
                if self.next_offset > self._asked:
                    return False  # the next fetch returns the whole batch
                self._pass_over(str(error))
            except Unreadable as error:
                self._pass_over(str(error))
        return True

    def _take_in(self, batch: RecordBatch) -> None:
        """Make a complete batch the current one. Raises Unreadable if its offsets contradict the log's."""
        if not self._floor <= batch.base_offset < batch.next_offset <= self._limit:
            offsets = f"{batch.base_offset} … {batch.next_offset - 1}"
            message = f"a batch of the offsets {offsets} within {self._floor} … {self._limit - 1}"
            raise Unreadable(message)
        if batch.base_offset > self.next_offset:
            self._compare_with_next(batch)
        self._at, self._floor = batch.end, batch.next_offset
        if batch.next_offset <= self.next_offset:
            self._note(batch)  # it ends before the requested offset
            return
        self._batch, self._taken = self._records(batch) if self._shows(batch) else [], 0
        self._after_batch = batch.next_offset
        if not self._batch:
            self.next_offset = self._after_batch

    def _compare_with_next(self, batch: RecordBatch) -> None:
        """Check a batch that has a gap before it.

        Raises Unreadable if its offsets contradict the next batch's.
        """
        try:
            follows = batch_at(self._data, batch.end)
        except Unreadable:
            return
        if self.next_offset <= follows.base_offset < batch.next_offset:
            message = f"a batch at offset {batch.base_offset} before one at {follows.base_offset}"
            raise Unreadable(message)

    def _pass_over(self, reason: str) -> None:
        """If the damage is confirmed, continue at the next complete batch; otherwise set `unreadable`."""
        found = None
        if self.next_offset == self._confirmed:
            found = find_batch(self._data, self._at + 1, self.next_offset, self._limit)
        if found is None:
            self.unreadable = reason
            return
        raw = self._data[self._at : self._at + RAW_BYTES_MAX]
        end = batch_at(self._data, found).base_offset
        self._at, self._floor, self._after_batch = found, end, end
        if end > self.next_offset:
            self.has_gap = True
            self._batch, self._taken = [on_disk(self.next_offset, end, reason, raw)], 0

    def _records(self, batch: RecordBatch) -> list[Record]:
        """The batch's records from `next_offset` on.

        A broker returns whole batches, so some may be before it.
        """
        records = read(self._data, batch)
        if batch.base_offset >= self.next_offset:
            return records
        left = [record for record in records if record.next_offset > self.next_offset]
        if left and left[0].offset < self.next_offset:
            left[0] = replace(left[0], offset=self.next_offset)
        return left

    def _shows(self, batch: RecordBatch) -> bool:
        """Whether to return the batch's records: no control records, and none aborted if `committed`."""
        is_control = bool(batch.attributes & CONTROL_BIT)
        if not self._committed:
            return not is_control
        self._note(batch)
        if is_control:
            return False
        return not (batch.attributes & TRANSACTIONAL_BIT and batch.producer_id in self._aborting)

    def _note(self, batch: RecordBatch) -> None:
        """Update the set of aborted transactions for this batch.

        A control batch ends its producer's transaction, whether committed or aborted. It counts even if
        compaction has removed its record.
        """
        while self._aborts and self._aborts[0][1] <= batch.base_offset:
            self._aborting.add(self._aborts.pop(0)[0])
        if batch.attributes & CONTROL_BIT:
            self._aborting.discard(batch.producer_id)


def on_disk(offset: int, end: int, reason: str, raw: bytes = b"") -> Damaged:
    """A `Damaged` for offsets in [offset, end) that the log has no complete batch for."""
    return Damaged(offset, NO_TIME, None, None, reason=reason, end=end, raw=raw, is_on_disk=True)
