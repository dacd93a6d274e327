# SPDX-License-Identifier: Apache-2.0
"""Goes on reading a topic into a buffer, one fetch a cut, however long the broker stays away."""

import asyncio
import random
from contextlib import suppress
from typing import Final

from taxi.bus import Reader, Record, Unavailable
from taxi.runtime.env import Log

RECORDS_AT_ONCE: Final = 5_000
BUFFERED_MAX: Final = 50_000
_WAIT_MS: Final = 500
_LATE_SHARE: Final = 0.5
"""A cut waits for its fetches at most so large a part of the interval."""
_BACKOFF_S_MAX: Final = 2.0


class Pace:
    """The beat. A fetch costs the same whatever it brings, so one for each cut is enough.

    On each beat the fetches go out, and the cut closes as soon as they are back: what it shows is as old as
    a fetch takes. The beat itself never moves. If fetches had a rhythm of their own, one that came back a
    moment after its cut would be a whole interval old in the next.
    """

    def __init__(self, interval_s: float, now_s: float) -> None:
        self.interval_s = interval_s
        self.next_s = now_s + interval_s

    def advance(self, now_s: float) -> float:
        """The cut at `next_s` is due: how long to sleep until the one after it."""
        self.next_s += self.interval_s
        if self.next_s < now_s - 1:  # this process stood still: no use in making up for every beat
            self.next_s = now_s + self.interval_s
        return max(0.0, self.next_s - now_s)


class Tail:
    """One topic's reader and what it has read but nobody has taken yet."""

    def __init__(self, reader: Reader, name: str, dice: random.Random, log: Log) -> None:
        self.name = name
        self.asked_s: float | None = None
        """Since when the broker owes an answer. It has `_WAIT_MS` for it."""
        self.behind_s: float | None = None
        """Since when there has been more than one fetch could bring."""
        self._reader = reader
        self._dice = dice
        self._log = log
        self._buffer: list[Record] = []
        self._taken = asyncio.Event()
        self._asked = asyncio.Event()
        self._answered = asyncio.Event()
        self._in_a_row = 0
        """Fetches that brought something: after two the topic flows, and the next one will not wait long."""

    def ask(self) -> None:
        """A beat: fetch now, if no fetch is under way."""
        self._asked.set()
        if self.asked_s is None:
            self._answered.clear()

    async def answered(self) -> None:
        """Until the fetch of this beat is back; a fetch that may well wait for records is not waited for."""
        if self._in_a_row >= 2:
            await self._answered.wait()

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
                self._in_a_row = 0
                self._answered.set()
                await asyncio.sleep(self._dice.uniform(0, min(_BACKOFF_S_MAX, 0.1 * 2**failures)))
                continue
            failures, self.asked_s = 0, None
            self._buffer += records
            self._in_a_row = self._in_a_row + 1 if records else 0
            self._asked.clear()
            self._answered.set()
            behind = len(records) == RECORDS_AT_ONCE
            self.behind_s = (self.behind_s or loop.time()) if behind else None
            if len(self._buffer) >= BUFFERED_MAX:
                self._taken.clear()
                await self._taken.wait()
            elif not behind:
                await self._asked.wait()


async def beat(tails: "tuple[Tail, ...]", interval_s: float) -> None:
    """Ask all, and wait for what they bring, but not for ever."""
    for tail in tails:
        tail.ask()
    with suppress(TimeoutError):
        async with asyncio.timeout(interval_s * _LATE_SHARE):
            for tail in tails:
                await tail.answered()
