# SPDX-License-Identifier: Apache-2.0
"""Reads a partition: `fetch` sends one request if no records of the last answer are left.

Damage in the log does not stop a reader. If its position cannot be read twice, the reader looks for the next
readable offset (`detour`) and returns the range up to it as `Damaged`.
"""

import asyncio
import logging
from typing import Any, Final, NamedTuple

from aiokafka.errors import CorruptRecordException, OffsetOutOfRangeError, UnknownError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from taxi.bus import RECORDS_AT_ONCE, OffsetOutOfRange, Record
from taxi.bus.kafka.detour import FetchResponse, find_way_round
from taxi.bus.kafka.fetched import InHand
from taxi.bus.kafka.link import KafkaLink

_LOG = logging.getLogger(__name__)
_BYTES_MAX: Final = 4 << 20
_PAUSE_S: Final = 0.1


class Suspicion(NamedTuple):
    """The offset at which the log could not be read, and since when (loop time)."""

    offset: int = -1
    since_s: float = 0.0


class KafkaReader:
    """A reader with its own connections."""

    def __init__(self, link: KafkaLink, topic: str, partition: int, offset: int, *, committed: bool) -> None:
        self._link = link
        self._at = TopicPartition(topic, partition)
        self._isolation = 1 if committed else 0
        self._position = offset
        self._end: int | None = None
        self._in_hand: InHand | None = None
        self._withheld = 0
        self._trouble: str | None = None
        """Why nothing of the last answer could be read; None if something could."""
        self._is_from_broker = False
        """The broker returned an error, or no data before the end of the log. It may recover, so `_go_round`
        waits for `KafkaLimits.unreadable_s` first."""
        self._suspicion = Suspicion()

    @property
    def position(self) -> int:
        return self._position

    @property
    def end(self) -> int | None:
        return self._end

    @property
    def withheld(self) -> int:
        return self._withheld

    def seek(self, offset: int) -> None:
        self._position = offset
        self._in_hand = self._trouble = None

    async def fetch(self, *, max_records: int = RECORDS_AT_ONCE, wait_ms: int = 100) -> list[Record]:
        records = self._take(max_records)
        if not records:
            await self._link.persist(f"fetch {self._at.topic}", lambda: self._ask(wait_ms))
            records = self._take(max_records)
        if not records and self._trouble is not None:
            return await self._go_round(self._trouble)
        return records

    async def close(self) -> None:
        self._in_hand = None
        await self._link.close()

    def _take(self, max_records: int) -> list[Record]:
        in_hand = self._in_hand
        if in_hand is None:
            return []
        before = self._position
        records = in_hand.take(max_records)
        self._position = in_hand.next_offset
        if len(records) < max_records:
            self._in_hand = None
            if self._position == before and in_hand.unreadable is not None:
                self._trouble, self._is_from_broker = in_hand.unreadable, False
        return records

    async def _ask(self, wait_ms: int) -> None:
        offset, committed = self._position, self._isolation == 1
        self._trouble = None
        fetched = await self._fetch(offset, self._isolation, _BYTES_MAX, wait_ms)
        if fetched is None or offset != self._position:
            return  # the broker throttles, or `seek` was called during the request
        if fetched.refusal is not None:
            self._trouble, self._is_from_broker = fetched.refusal, True
        elif not fetched.data and fetched.offsets_until(committed=committed) > offset:
            self._trouble, self._is_from_broker = "the broker returns no data before the end of the log", True
        elif fetched.data:
            self._in_hand = fetched.in_hand(offset, committed=committed, confirmed=self._suspicion.offset)

    async def _go_round(self, reason: str) -> list[Record]:
        """Skip a damaged range once the damage is confirmed: the second attempt failed, too.

        Returns:
            The range as one `Damaged`, or an empty list if the next call must try again.
        """
        offset, now_s = self._position, asyncio.get_running_loop().time()
        if self._suspicion.offset != offset:
            self._suspicion = Suspicion(offset, now_s)
            return []
        if self._is_from_broker and now_s < self._suspicion.since_s + self._link.limits.unreadable_s:
            await asyncio.sleep(_PAUSE_S)
            return []
        found = await find_way_round(self._fetch_once, offset, reason, committed=self._isolation == 1)
        if self._position != offset:
            return []
        self._trouble = None
        if isinstance(found, InHand):
            self._in_hand = found
            return []
        _LOG.error(
            "%s/%d: offsets %d to %d cannot be read and are skipped: %s",
            *self._at,
            offset,
            found.end - 1,
            reason,
        )
        self._position = found.end
        return [found]

    async def _fetch_once(self, offset: int, isolation: int, bytes_max: int) -> FetchResponse | None:
        """One fetch for `detour`, with retries and without waiting for new records."""

        async def attempt() -> FetchResponse | None:
            return await self._fetch(offset, isolation, bytes_max, 0)

        return await self._link.persist(f"fetch {self._at.topic}", attempt)

    async def _fetch(self, offset: int, isolation: int, bytes_max: int, wait_ms: int) -> FetchResponse | None:
        """The broker's answer for an offset; None if it throttles this client. Raises OffsetOutOfRange."""
        topic, partition = self._at
        wanted = [(topic, [(partition, offset, bytes_max)])]
        request = FetchRequest(wait_ms, 1, bytes_max, isolation, wanted)
        answer = await self._link.ask_leader(topic, partition, request)
        if not answer.topics:
            if code := getattr(answer, "error_code", 0):
                raise for_code(code)(topic)
            return None
        [(_, [(_, code, end, stable, *rest)])] = answer.topics
        error: Any = for_code(code)
        if error is OffsetOutOfRangeError:
            raise OffsetOutOfRange(f"{topic}/{partition} has no offset {offset}")
        if error in {CorruptRecordException, UnknownError}:
            return FetchResponse(b"", (), end, stable, f"the broker cannot read it: {error.__name__}")
        if code:
            raise error(f"{topic}/{partition}")
        self._end = end
        self._withheld = max(0, end - stable) if isolation else 0
        # The fields before the records: aborted transactions, then (since version 11) the preferred replica.
        aborted = rest[1 if answer.API_VERSION >= 11 else -2]
        return FetchResponse(rest[-1] or b"", aborted or (), end, stable)
