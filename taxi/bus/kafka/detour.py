# SPDX-License-Identifier: Apache-2.0
"""Skips a damaged part of a partition: finds the next offset from which a broker returns a whole batch.

A broker answers a fetch from a damaged offset in one of three ways, depending on which bytes are damaged:
with the bytes as they are, with an error, or with nothing. In the last two cases it returns nothing after the
damage either, up to the next entry of its index (4 KiB of records, by default). But it does not check the
bytes that it returns, so a fetch that begins a little before the damage returns the damage and what follows.

The search therefore has two steps:

1. Fetch from before the damage, at doubling distances.
2. If that fails, find the first offset after the damage that can be fetched: by doubling steps, then by
   bisection.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from taxi.bus import Damaged, OffsetOutOfRange
from taxi.bus.kafka.batches import Unreadable, batch_at, find_batch
from taxi.bus.kafka.fetched import InHand, on_disk

_BACK_MAX: Final = 1 << 17
"""How far before the damage a fetch may begin, in offsets."""
_BYTES_MAX: Final = 16 << 20
_PROBE_BYTES_MAX: Final = 64 << 10
"""A broker returns at least one whole batch, even if that is larger."""
_UNCOMMITTED: Final = 0


@dataclass(frozen=True, slots=True)
class FetchResponse:
    """A broker's answer to one fetch request."""

    data: bytes
    """Record batches; the last one may be cut off."""
    aborted: object
    """(producer id, first offset) of each aborted transaction in `data`."""
    end: int
    """The high watermark; −1 if it returned an error."""
    stable: int
    refusal: str | None = None
    """The text of an error that concerns only this offset."""

    def offsets_until(self, *, committed: bool) -> int:
        """The offset before which the broker should have returned data."""
        return self.stable if committed else self.end

    def in_hand(self, offset: int, *, committed: bool, confirmed: int) -> InHand:
        """Its records from `offset` on. `confirmed`: an offset known to be damaged, or −1."""
        return InHand(
            self.data, self.aborted, offset, committed=committed, limit=self.end, confirmed=confirmed
        )


Fetch = Callable[[int, int, int], Awaitable[FetchResponse | None]]
"""(offset, isolation level, maximum bytes) → the broker's answer; None if it throttles this client."""


async def find_way_round(fetch: Fetch, offset: int, reason: str, *, committed: bool) -> InHand | Damaged:
    """Find data to continue with at a damaged offset.

    Args:
        fetch: Sends one fetch request.
        offset: The damaged offset.
        reason: Why it could not be read; becomes the reason of the `Damaged`.
        committed: Whether the reader reads committed records only.

    Returns:
        Records from `offset` on if a fetch from before it returned them, or the range that is unreadable.

    Raises:
        Unavailable: The broker did not answer within the limit.
    """
    found = await _from_before(fetch, offset, committed=committed)
    if found is not None:
        return found
    return on_disk(offset, await _first_readable(fetch, offset), reason)


async def _from_before(fetch: Fetch, offset: int, *, committed: bool) -> InHand | None:
    """Fetch from before `offset`. None if that returns nothing that is readable at or after `offset`."""
    back = 1
    while back <= min(offset, _BACK_MAX):
        try:
            fetched = await fetch(offset - back, int(committed), _BYTES_MAX)
        except OffsetOutOfRange:
            return None  # the log begins here
        if fetched is not None and fetched.data:
            if fetched.in_hand(offset, committed=committed, confirmed=offset).goes_on():
                return fetched.in_hand(offset, committed=committed, confirmed=offset)
            return None
        back *= 2
    return None


async def _first_readable(fetch: Fetch, offset: int) -> int:
    """The smallest offset after `offset` that can be fetched; the end of the log if there is none."""
    unreadable, step = offset, 1
    while (readable := await _probe(fetch, offset + step, offset)) is None:
        unreadable, step = offset + step, 2 * step
    while readable - unreadable > 1:
        middle = (unreadable + readable) // 2
        found = await _probe(fetch, middle, unreadable)
        if found is None or found > middle:
            unreadable = middle
        readable = min(found or readable, readable)
    return readable


async def _probe(fetch: Fetch, offset: int, unreadable: int) -> int | None:
    """The offset from which the log is readable, according to a fetch from `offset`; None if that fails.

    It is `offset` itself, the base offset of its batch if that is after `unreadable`, or the base offset of
    the next complete batch. Offsets beyond the end of the log count as readable.
    """
    try:
        fetched = await fetch(offset, _UNCOMMITTED, _PROBE_BYTES_MAX)
    except OffsetOutOfRange:
        return offset
    if fetched is None or fetched.refusal is not None:
        return None
    data, at = fetched.data, 0
    if not data:
        return offset if offset >= fetched.end else None
    try:
        while (batch := batch_at(data, at)).next_offset <= offset:
            at = batch.end
        if batch.next_offset > fetched.end:
            raise Unreadable
    except Unreadable:
        found = find_batch(data, at + 1, unreadable + 1, fetched.end)
        return batch_at(data, found).base_offset if found is not None else None
    return batch.base_offset if unreadable < batch.base_offset < offset else offset
