# SPDX-License-Identifier: Apache-2.0
"""Checks each distinct update for each distinct state once, however many clients received it."""

import asyncio
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from taxistream.tools.loadtest.judge import ReceivedUpdate, Unready, judge
from taxistream.tools.loadtest.latency import Latency
from taxistream.tools.loadtest.rules import RuleFindings
from taxistream.tools.oracle.city import Cursor, OracleCity
from taxistream.tools.oracle.grid import Area

_COUNTED_S: Final = 3.0
"""How long after the first client other clients may receive the same update."""
_AHEAD_S: Final = 10.0
"""The content of an update must be readable on the log within this time."""
_SLICE_S: Final = 0.004
"""After this time checking yields to receiving."""
_IMAGES_KEPT: Final = 512

Key = tuple[Cursor | None, Cursor, Area, Area, str]


@dataclass(slots=True)
class ObservedUpdate:
    """A distinct update, and when clients received it."""

    sight: ReceivedUpdate
    since_s: float
    arrivals_ms: list[int] = field(default_factory=list)
    late: int = 0
    """Clients that had disconnected by their own choice; their latency is not counted."""
    updates: int = 0


@dataclass
class ObservationTotals:
    """Sums over all clients."""

    cuts: int = 0
    updates: int = 0
    bytes: int = 0
    judged: int = 0


class Observations:
    """Collects the updates of all clients, and checks them when the oracle has read up to their cursors."""

    def __init__(self, city: OracleCity, findings: RuleFindings) -> None:
        self.totals = ObservationTotals()
        self.latency = Latency()
        self._city = city
        self._findings = findings
        self._fresh: dict[Key, list[ObservedUpdate]] = {}
        self._by_age: deque[tuple[Key, ObservedUpdate]] = deque()
        self._queue: deque[ObservedUpdate] = deque()
        self._images: OrderedDict[tuple[Cursor, Area, str], bytes] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many updates are not checked yet."""
        return len(self._queue)

    def saw(self, key: Key, message: bytes, at_ms: int, *, late: bool) -> None:
        """Record that a client received an update.

        Args:
            key: (cursor before, cursor after, viewport before, viewport after, epoch).
            message: The update.
            at_ms: When it arrived, wall clock.
            late: Do not count the latency.
        """
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

    def _new(self, key: Key, message: bytes) -> ObservedUpdate:
        since, to, old, area, epoch = key
        seen = ObservedUpdate(ReceivedUpdate(message, since, to, old, area, epoch), time.monotonic())
        self._fresh.setdefault(key, []).append(seen)
        self._by_age.append((key, seen))
        self._queue.append(seen)
        return seen

    def begin(self) -> None:
        """Start the counts at 0. Updates received before are still checked."""
        self.totals, self.latency = ObservationTotals(), Latency()

    async def run(self) -> None:
        """Check updates until cancelled."""
        while True:
            self.work()
            await asyncio.sleep(0.002 if self._queue else 0.02)

    def work(self, slice_s: float = _SLICE_S) -> None:
        """Check the updates that can be checked now, for at most `slice_s`."""
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
        """Check and count everything that is left. Call it after the oracle has read to the end."""
        self.work(slice_s=60)
        for seen in self._queue:
            self._findings.blame("ahead_of_log", f"{seen.sight.to} is not on the log")
        while self._by_age:
            self._retire(*self._by_age.popleft())

    def _judged(self, seen: ObservedUpdate) -> bool:
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

    def _compare_image(self, sight: ReceivedUpdate) -> None:
        """Check that images of one cursor and viewport are equal, apart from flags and generation."""
        key = sight.to, sight.area, sight.epoch
        naked = sight.message[4:]
        other = self._images.setdefault(key, naked)
        if other != naked:
            self._findings.blame("images_differ", f"{len(other)} and {len(naked)} bytes at {sight.to}")
        if len(self._images) > _IMAGES_KEPT:
            self._images.popitem(last=False)

    def _retire(self, key: Key, seen: ObservedUpdate) -> None:
        """Count an update that no further client will receive."""
        known = self._fresh[key]
        known.remove(seen)
        if not known:
            del self._fresh[key]
        count = len(seen.arrivals_ms) + seen.late
        self.totals.cuts += count
        self.totals.bytes += count * len(seen.sight.message)
        self.totals.updates += count * seen.updates
        if seen.sight.since is not None and seen.arrivals_ms:
            appends = self._city.positions.appended_ms(seen.sight.since[0], seen.sight.to[0])
            self.latency.add(seen.arrivals_ms, appends)
