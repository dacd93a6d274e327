# SPDX-License-Identifier: Apache-2.0
"""Writes positions only: taxis that drive on, turn sometimes, and send their position once a second.

    python -m bench.clients.publisher DRIVERS [BATCHES]      batches a second, 50 if not said

Each batch is an append of its own, so fixes reach the log evenly spread. Begins a log if there is none.
"""

import asyncio
import os
import random
import sys
import time
from dataclasses import dataclass
from typing import Any

import uvloop

from taxi import topics
from taxi.bus import Outgoing
from taxi.bus.kafka.bus import KafkaBus
from taxi.messages import BatchClosed, EpochStarted, Fix, codec
from taxi.runtime.settings import Settings

_STEP_DEG = ((9e-5, 0.0), (0.0, 7e-5), (-9e-5, 0.0), (0.0, -7e-5))
_CORNER = (-74.0, 40.72)
_SIDE_DEG = 0.06


@dataclass(slots=True)
class Taxi:
    """Where one is, and where it heads."""

    number: int
    lng: float
    lat: float
    way: int

    def drive(self, dice: random.Random) -> None:
        """A second's way, and at some corners another one."""
        step = _STEP_DEG[self.way]
        scale = dice.uniform(0.6, 1.2)
        self.lng += step[0] * scale
        self.lat += step[1] * scale
        inside = 0 < self.lng - _CORNER[0] < _SIDE_DEG and 0 < self.lat - _CORNER[1] < _SIDE_DEG
        if not inside or dice.random() < 0.08:
            self.way = dice.randrange(4) if inside else (self.way + 2) % 4

    def record(self, now_ms: int) -> Outgoing:
        fix = Fix(
            driver=self.number, at_ms=now_ms, lng=round(self.lng, 6), lat=round(self.lat, 6),
            heading=self.way * 90, speed=7.5,
        )  # fmt: skip
        return Outgoing(None, codec.encode(fix))


async def main(drivers: int, batches: int) -> None:
    """Until killed."""
    dice = random.Random(1)
    fleet = [
        Taxi(n + 1, _CORNER[0] + dice.random() * _SIDE_DEG, _CORNER[1] + dice.random() * _SIDE_DEG, n % 4)
        for n in range(drivers)
    ]
    bus = await KafkaBus.connect(Settings.from_env(os.environ), client_id="bench-publisher")
    await begin(bus)
    producer = await bus.producer(acks="leader")
    share = -(-drivers // batches)
    loop = asyncio.get_running_loop()
    due, part = loop.time(), 0
    while True:
        now_ms = time.time_ns() // 1_000_000
        batch = fleet[part * share : (part + 1) * share]
        for taxi in batch:
            taxi.drive(dice)
        await producer.send(topics.LOCATIONS, 0, [taxi.record(now_ms) for taxi in batch])
        part = (part + 1) % batches
        due = max(due + 1 / batches, loop.time() - 0.5)
        await asyncio.sleep(max(0.0, due - loop.time()))


async def begin(bus: KafkaBus) -> None:
    """An epoch, as a dispatcher would start it."""
    if (await bus.offsets(topics.EVENTS, 0)).stable:
        return
    shared: dict[str, Any] = {"batch": 1, "at_ms": time.time_ns() // 1_000_000}
    events = [
        EpochStarted(**shared, epoch="be9c" * 4, city="manhattan", reason="birth"),
        BatchClosed(**shared, count=2, commands_offset=0, locations_offset=0),
    ]
    producer = await bus.producer()
    await producer.send(topics.EVENTS, 0, [Outgoing(b"", codec.encode(event)) for event in events])
    await producer.close()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 50))
