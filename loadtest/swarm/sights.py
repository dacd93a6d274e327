# SPDX-License-Identifier: Apache-2.0
"""Each distinct message for each distinct state is judged once, however many clients got it."""

import asyncio
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from loadtest.latency import Latency
from loadtest.oracle.city import City, Cursor
from loadtest.oracle.grid import Area
from loadtest.oracle.judge import Sight, Unready, judge
from loadtest.rules import Findings

_COUNTED_S: Final = 3.0
"""For so long after the first client a message is the same one for others."""
_AHEAD_S: Final = 10.0
"""By then what a cut tells of must have been on the log for anyone to read."""
_SLICE_S: Final = 0.004
"""Judging yields to receiving after so long."""
_IMAGES_KEPT: Final = 512

Key = tuple[Cursor | None, Cursor, Area, Area, str]


@dataclass(slots=True)
class Seen:
    """A message and who got it."""

    sight: Sight
    since_s: float
    arrivals_ms: list[int] = field(default_factory=list)
    late: int = 0
    """Clients that came late by their own will: their waiting is nobody's fault."""
    updates: int = 0


@dataclass
class Totals:
    """What all clients got."""

    cuts: int = 0
    updates: int = 0
    bytes: int = 0
    judged: int = 0


class Sights:
    """Takes in what clients see, and judges it as soon as the oracle has read as far."""

    def __init__(self, city: City, findings: Findings) -> None:
        self.totals = Totals()
        self.latency = Latency()
        self._city = city
        self._findings = findings
        self._fresh: dict[Key, list[Seen]] = {}
        self._by_age: deque[tuple[Key, Seen]] = deque()
        self._queue: deque[Seen] = deque()
        self._images: OrderedDict[tuple[Cursor, Area, str], bytes] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Messages not judged yet."""
        return len(self._queue)

    def saw(self, key: Key, message: bytes, at_ms: int, *, late: bool) -> None:
        """A client applied this message."""
        known = self._fresh.get(key)
        if known is not None:
            for seen in known:
                if seen.sight.message == message:
                    break
            else:
                seen = self._new(key, message)
        else:
            seen = self._new(key, message)
        if late:
            seen.late += 1
        else:
            seen.arrivals_ms.append(at_ms)

    def _new(self, key: Key, message: bytes) -> Seen:
        since, to, old, area, epoch = key
        seen = Seen(Sight(message, since, to, old, area, epoch), time.monotonic())
        self._fresh.setdefault(key, []).append(seen)
        self._by_age.append((key, seen))
        self._queue.append(seen)
        return seen

    def begin(self) -> None:
        """Count from now on; what was seen on the way here is still judged."""
        self.totals, self.latency = Totals(), Latency()

    async def run(self) -> None:
        """Judge for ever."""
        while True:
            self.work()
            await asyncio.sleep(0.002 if self._queue else 0.02)

    def work(self, slice_s: float = _SLICE_S) -> None:
        """Judge what can be judged now, for so long at most."""
        end_s = time.monotonic() + slice_s
        for _ in range(len(self._queue)):
            seen = self._queue.popleft()
            if not self._judged(seen):
                self._queue.append(seen)
            if time.monotonic() > end_s:
                break
        while self._by_age and self._by_age[0][1].since_s < end_s - _COUNTED_S:
            self._retire(*self._by_age.popleft())

    def finish(self) -> None:
        """The run is over, and the oracle has read to the end: judge and count everything."""
        self.work(slice_s=60)
        for seen in self._queue:
            self._findings.blame("ahead_of_log", f"{seen.sight.to} is not on the log")
        while self._by_age:
            self._retire(*self._by_age.popleft())

    def _judged(self, seen: Seen) -> bool:
        try:
            judged = judge(self._city, seen.sight)
        except Unready:
            if time.monotonic() - seen.since_s < _AHEAD_S:
                return False
            self._findings.blame("ahead_of_log", f"{seen.sight.to} is not on the log after {_AHEAD_S:g} s")
            return True
        seen.updates = judged.driver_updates
        self.totals.judged += 1
        for rule, text in judged.verdicts:
            self._findings.blame(rule, text)
        if seen.sight.since is None:
            self._compare_image(seen.sight)
        return True

    def _compare_image(self, sight: Sight) -> None:
        """Flags beside "image" and the generation are outside of the equality."""
        key = sight.to, sight.area, sight.epoch
        naked = sight.message[4:]
        other = self._images.setdefault(key, naked)
        if other != naked:
            self._findings.blame("images_differ", f"{len(other)} and {len(naked)} bytes at {sight.to}")
        if len(self._images) > _IMAGES_KEPT:
            self._images.popitem(last=False)

    def _retire(self, key: Key, seen: Seen) -> None:
        """Nobody gets it any more: count it."""
        known = self._fresh[key]
        known.remove(seen)
        if not known:
            del self._fresh[key]
        count = len(seen.arrivals_ms) + seen.late
        self.totals.cuts += count
        self.totals.bytes += count * len(seen.sight.message)
        self.totals.updates += count * seen.updates
        if seen.sight.since is not None and seen.arrivals_ms:
            appends = self._city.locations.appended_ms(seen.sight.since[0], seen.sight.to[0])
            self.latency.add(seen.arrivals_ms, appends)
