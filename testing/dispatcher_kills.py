# SPDX-License-Identifier: Apache-2.0
"""Kills the deciding dispatcher repeatedly under load (SIGKILL), and measures how soon decisions resume.

As in a demo, the group hears of the end of each (`taxistream.local.group_members`).
"""

import asyncio
import random
import time
from dataclasses import dataclass, field

import msgspec

from taxi.bus import Reader
from taxi.bus.kafka.bus import KafkaBus
from taxi.topics import EVENTS
from taxistream.local.group_members import remove_dispatcher
from testing.real_city import RealCity, RealPart

PATIENCE_S = 60.0
TAKEN = "city recovered"
LEFT = frozenset({"assigned", "standing by", "city stopped, joining again", "stopped"})


@dataclass
class Kills:
    """The results."""

    resumed_s: list[float] = field(default_factory=list)
    """From each kill to the first batch decided after it, as a reader sees it."""

    def percentile(self, share: float) -> float:
        """A percentile of the times until decisions resumed."""
        ordered = sorted(self.resumed_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def kill_again_and_again(city: RealCity, count: int, *, seed: int, standby: bool) -> Kills:
    """Kill the deciding dispatcher `count` times; each time it is restarted at once, as by a supervisor."""
    rng, kills = random.Random(seed), Kills()
    dispatchers = [city.start(f"dispatcher-{number}") for number in range(1, 3 if standby else 2)]
    bus = await KafkaBus.connect(city.settings, client_id="kills")
    try:
        reader = await bus.reader(EVENTS, 0, 0)
        await _decided_after(reader, 0)
        for _ in range(count):
            owner = await _owner(dispatchers)
            await asyncio.sleep(rng.uniform(1.0, 3.0))
            killed_ms, began_s = time.time_ns() // 1_000_000, time.monotonic()
            owner.kill()
            problem = await remove_dispatcher(city.kafka_variables, owner.name)
            assert problem is None, problem
            owner.restart()
            await _decided_after(reader, killed_ms)
            kills.resumed_s.append(time.monotonic() - began_s)
    finally:
        await bus.close()
    return kills


async def _decided_after(reader: Reader, after_ms: int) -> None:
    """Read on until a batch that was written after this moment."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for record in await reader.fetch(wait_ms=20):
                kind = msgspec.json.decode(record.value or b"{}").get("type")
                if kind == "BatchClosed" and record.timestamp_ms > after_ms:
                    return


async def _owner(dispatchers: list[RealPart]) -> RealPart:
    """The dispatcher that has the city, once all dispatchers are ready."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            owners = [part for part in dispatchers if _has_the_city(part)]
            if len(owners) == 1 and all([await asyncio.to_thread(part.is_ready) for part in dispatchers]):
                return owners[0]
            await asyncio.sleep(0.1)  # polled, as a log file sends no event


def _has_the_city(part: RealPart) -> bool:
    changes = [line["event"] for line in part.lines() if line["event"] in LEFT | {TAKEN}]
    return bool(changes) and changes[-1] == TAKEN
