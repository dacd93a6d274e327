# SPDX-License-Identifier: Apache-2.0
"""Reads a topic into a buffer, one fetch for each cut. Retries until the broker answers."""

import asyncio
import random
from contextlib import suppress
from typing import Final

from taxi.bus import RECORDS_AT_ONCE, Reader, Record, Unavailable
from taxi.runtime.env import Log

BUFFERED_MAX: Final = 50_000
_WAIT_MS: Final = 500
_LATE_SHARE: Final = 0.5
"""A cut waits for its fetches for at most this share of the interval."""
_BACKOFF_S_MAX: Final = 2.0


class Pace:
    """The times of cuts, at a fixed interval.

    At each time the fetches are sent, and the cut is closed as soon as they are back. So the data of a cut is
    as old as a fetch takes. If fetches were sent at other times, one that returned just after a cut would be
    a whole interval old in the next one. A fetch costs about the same however much it returns, so one for
    each cut is enough.
    """

    def __init__(self, interval_s: float, now_s: float) -> None:
        self.interval_s = interval_s
        self.next_s = now_s + interval_s

    def advance(self, now_s: float) -> float:
        """Move to the next cut, and return how long to sleep until it."""
        self.next_s += self.interval_s
        if self.next_s < now_s - 1:  # the process was suspended; missed cuts are not made up for
            self.next_s = now_s + self.interval_s
        return max(0.0, self.next_s - now_s)


class Tail:
    """A reader of one topic, with a buffer of about BUFFERED_MAX records that were not taken yet."""

    def __init__(self, reader: Reader, name: str, dice: random.Random, log: Log) -> None:
        self.name = name
        self.asked_s: float | None = None
        """When the fetch under way was sent (loop time), or None. The broker should answer within
        `_WAIT_MS`."""
        self.behind_s: float | None = None
        """Since when every fetch has returned as many records as it may (loop time), or None."""
        self._reader = reader
        self._dice = dice
        self._log = log
        self._buffer: list[Record] = []
        self._taken = asyncio.Event()
        self._asked = asyncio.Event()
        self._answered = asyncio.Event()
        self._in_a_row = 0
        """Consecutive fetches with records. After two, the next one is expected to return soon."""

    def ask(self) -> None:
        """Send a fetch now, unless one is under way."""
        self._asked.set()
        if self.asked_s is None:
            self._answered.clear()

    async def answered(self) -> None:
        """Wait until the fetch of this cut is back, if it is expected soon."""
        if self._in_a_row >= 2:
            await self._answered.wait()

    def take(self) -> list[Record]:
        """The records read since the last call, in offset order."""
        records, self._buffer = self._buffer, []
        self._taken.set()
        return records

    async def run(self) -> None:
        """Read until cancelled. Raises OffsetOutOfRange; Unavailable is retried."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            self.asked_s = self.asked_s or loop.time()
            try:
                records = await self._reader.fetch(wait_ms=_WAIT_MS)
            except Unavailable as error:
                failures += 1
                if failures == 1:
                    self._log.warning("no answer, retrying", topic=self.name, reason=str(error))
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


async def fetch_all(tails: "tuple[Tail, ...]", interval_s: float) -> None:
    """Send the fetches of a cut and wait for them, for at most a part of the interval."""
    for tail in tails:
        tail.ask()
    with suppress(TimeoutError):
        async with asyncio.timeout(interval_s * _LATE_SHARE):
            for tail in tails:
                await tail.answered()
