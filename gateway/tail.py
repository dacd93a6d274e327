# SPDX-License-Identifier: Apache-2.0
"""Goes on reading a topic into a buffer, one fetch a cut, however long the broker stays away."""

import asyncio
import random
from typing import Final

from taxi.bus import Reader, Record, Unavailable
from taxi.runtime.env import Log

RECORDS_AT_ONCE: Final = 5_000
BUFFERED_MAX: Final = 50_000
_WAIT_MS: Final = 500
_LEAD_S: Final = 0.010
"""A fetch goes out so long before the cut that waits for it."""
_BACKOFF_S_MAX: Final = 2.0


class Pace:
    """When cuts close. A fetch costs the same whatever it brings, so one for each cut is enough."""

    def __init__(self, interval_s: float, now_s: float) -> None:
        self.interval_s = interval_s
        self.next_s = now_s + interval_s

    def advance(self, now_s: float) -> float:
        """The cut at `next_s` is due: how long to sleep until the one after it."""
        self.next_s += self.interval_s
        if self.next_s < now_s - 1:  # this process stood still: no use in making up for every beat
            self.next_s = now_s + self.interval_s
        return max(0.0, self.next_s - now_s)

    def until_fetch_s(self, now_s: float) -> float:
        """How long to wait with the next fetch, just after one came back."""
        due_s = self.next_s - _LEAD_S
        return due_s - now_s if due_s > now_s else due_s + self.interval_s - now_s


class Tail:
    """One topic's reader and what it has read but nobody has taken yet."""

    def __init__(self, reader: Reader, name: str, pace: Pace, dice: random.Random, log: Log) -> None:
        self.name = name
        self.asked_s: float | None = None
        """Since when the broker owes an answer. It has `_WAIT_MS` for it."""
        self.behind_s: float | None = None
        """Since when there has been more than one fetch could bring."""
        self._reader = reader
        self._pace = pace
        self._dice = dice
        self._log = log
        self._buffer: list[Record] = []
        self._taken = asyncio.Event()

    def take(self) -> list[Record]:
        """Everything read since the last call."""
        records, self._buffer = self._buffer, []
        self._taken.set()
        return records

    async def run(self) -> None:
        """Read for ever. Raises OffsetOutOfRange."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            self.asked_s = self.asked_s or loop.time()
            try:
                records = await self._reader.fetch(max_records=RECORDS_AT_ONCE, wait_ms=_WAIT_MS)
            except Unavailable as error:
                failures += 1
                if failures == 1:
                    self._log.warning("no answer: trying on", topic=self.name, reason=str(error))
                await asyncio.sleep(self._dice.uniform(0, min(_BACKOFF_S_MAX, 0.1 * 2**failures)))
                continue
            failures, self.asked_s = 0, None
            self._buffer += records
            behind = len(records) == RECORDS_AT_ONCE
            self.behind_s = (self.behind_s or loop.time()) if behind else None
            if len(self._buffer) >= BUFFERED_MAX:
                self._taken.clear()
                await self._taken.wait()
            elif not behind:
                await asyncio.sleep(self._pace.until_fetch_s(loop.time()))
