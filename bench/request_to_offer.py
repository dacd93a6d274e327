# SPDX-License-Identifier: Apache-2.0
"""From a ride's request to its first offer (or order), live: `--drivers 10000 --rate 15 --seconds 120`.

Real Kafka, the real simulator's drivers, one dispatcher; the riders are the bench's own, so that the rate
is as given and no ride is cancelled. A wait goes from the append of the command (the broker's clock) to the
offer's record (the dispatcher's clock) and to the moment when a reader of committed events has it (this
process's): one machine, one clock. Only rides that got an offer count; of the others it says
whether any driver was free while they waited.
"""

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from taxi import messages as m
from taxi.bus import Outgoing, Reader
from taxi.bus.kafka.bus import KafkaBus
from taxi.bus.ranges import read_range
from taxi.messages import codec
from taxi.messages.codec import DecodeError
from taxi.roads.network import RoadNetwork, TripDemand
from taxi.state import CityState
from taxi.state.batches import Batch, WholeBatches
from taxi.topics import COMMANDS, EVENTS
from taxistream.local.ports import first_free
from testing.kafka_server import KafkaServer
from testing.real_city import RealCity, real_city

ONLINE_SHARE = 0.9
"""Of the drivers: some begin with a break."""
PATIENCE_S = 120.0
AFTERWARDS_S = 10.0
"""How long after the last request an offer may come."""


@dataclass
class Observed:
    """The facts read from the log."""

    offered_ms: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Ride → its first driver, by offer or by order: record time, and when this process had it."""
    idle: list[tuple[int, int]] = field(default_factory=list)
    """After each batch: log time, and how many drivers were free."""
    city: CityState = field(default_factory=CityState)

    def take(self, batch: Batch, seen_ms: int, written_ms: dict[int, int]) -> None:
        """Fold a batch that was just read."""
        for at in batch.events:
            self.city.apply(at.event)
            if isinstance(at.event, m.RideOffered | m.RideReassigned):
                self.offered_ms.setdefault(at.event.ride, (written_ms[at.offset], seen_ms))
        self.idle.append((self.city.now_ms, len(self.city.idle())))


def main() -> None:
    """Measure, and print a line for each figure, or one JSON object."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="taxi-offers-") as folder, _city(Path(folder), options) as city:
        found = asyncio.run(measured(city, options))
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:20} {value}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drivers", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=15.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--port", type=int, default=24000)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


@contextmanager
def _city(folder: Path, options: argparse.Namespace) -> Iterator[RealCity]:
    server = KafkaServer(folder, first_free(options.port))
    server.start()
    try:
        ports = iter(range(options.port + 10, options.port + 100))
        with real_city(server.bootstrap_servers, "", folder, lambda: first_free(next(ports))) as city:
            city.make_topics()
            city.start("dispatcher-1")
            city.start("simulator", "simulator", TAXI_DRIVERS=str(options.drivers), TAXI_LOAD="0")
            yield city
    finally:
        server.kill()


async def measured(city: RealCity, options: argparse.Namespace) -> dict[str, Any]:
    """Ride requests at an even rate, once everybody is online."""
    bus = await KafkaBus.connect(city.settings, client_id="riders")
    observed = Observed()
    follower = asyncio.create_task(_follow(await bus.reader(EVENTS, 0, 0), observed))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while len(observed.city.idle()) < ONLINE_SHARE * options.drivers:  # noqa: ASYNC110
                await asyncio.sleep(0.1)  # polled, as a log sends no event
        process = psutil.Process(city.parts["dispatcher-1"].process.pid)
        first, before = (await bus.offsets(COMMANDS, 0)).end, process.cpu_times()
        await _ask(bus, options)
        after = process.cpu_times()
        await asyncio.sleep(AFTERWARDS_S)
        asked_ms = await _asked(bus, first)
    finally:
        follower.cancel()
        await bus.close()
    cpu_s = sum(after[:2]) - sum(before[:2])
    return _figures(options, observed, asked_ms) | {"dispatcher_core": round(cpu_s / options.seconds, 3)}


async def _follow(reader: Reader, observed: Observed) -> None:
    batches = WholeBatches()
    written_ms: dict[int, int] = {}
    while True:
        records = await reader.fetch(wait_ms=20)
        seen_ms = time.time_ns() // 1_000_000
        written_ms |= {record.offset: record.timestamp_ms for record in records}
        for batch in batches.feed(records):
            observed.take(batch, seen_ms, written_ms)


async def _ask(bus: KafkaBus, options: argparse.Namespace) -> None:
    """Poisson arrivals, from and to where people really go."""
    producer, rng = await bus.producer(acks="all"), random.Random(7)
    roads, demand = RoadNetwork.load("manhattan"), TripDemand.load("manhattan")
    loop = asyncio.get_running_loop()
    due_s = end_s = loop.time()
    end_s += options.seconds
    number = 0
    while (due_s := due_s + rng.expovariate(options.rate)) < end_s:
        await asyncio.sleep(due_s - loop.time())
        [begin], [end] = demand.sample(np.array([rng.random()]))
        ride = f"bench-{number}"
        request = m.RequestRide(
            command_id=f"{ride}:request",
            ride=ride,
            rider="bench",
            pickup=roads.place(int(begin)),
            dropoff=roads.place(int(end)),
        )
        await producer.send(COMMANDS, 0, [Outgoing(ride.encode(), codec.encode(request))])
        number += 1


async def _asked(bus: KafkaBus, first: int) -> dict[str, int]:
    """Ride → append time of its request."""
    end = (await bus.offsets(COMMANDS, 0)).end
    asked_ms = {}
    async with read_range(bus, COMMANDS, 0, first, end) as chunks:
        async for records in chunks:
            for record in records:
                try:
                    command = codec.decode(COMMANDS, record)
                except DecodeError:
                    continue
                if isinstance(command, m.RequestRide):
                    asked_ms[command.ride] = record.timestamp_ms
    return asked_ms


def _figures(options: argparse.Namespace, observed: Observed, asked_ms: dict[str, int]) -> dict[str, Any]:
    offered = {ride: observed.offered_ms[ride] for ride in asked_ms if ride in observed.offered_ms}
    without = [ride for ride in asked_ms if ride not in offered]
    none_free = sum(_none_free(observed, asked_ms[ride]) for ride in without)
    written, seen = ([times[which] - asked_ms[ride] for ride, times in offered.items()] for which in (0, 1))
    return {
        "drivers": options.drivers,
        "requests": len(asked_ms),
        "requests_per_s": round(len(asked_ms) / options.seconds, 2),
        "offered": len(offered),
        "never_offered": len(without),
        "of_those_none_free": none_free,
        "free_at_the_end": observed.idle[-1][1],
        "batches": len(observed.idle),
        "to_offer_ms": _percentiles(written),
        "to_reader_ms": _percentiles(seen),
        "load_average": os.getloadavg(),
    }


def _none_free(observed: Observed, since_ms: int) -> bool:
    """Whether no driver was free after any batch since then."""
    return all(idle == 0 for now_ms, idle in observed.idle if now_ms >= since_ms)


def _percentiles(values: list[int]) -> dict[str, float]:
    p50, p90, p99, most = np.percentile(values, [50, 90, 99, 100]).tolist()
    return {"p50": p50, "p90": p90, "p99": p99, "max": most}


if __name__ == "__main__":
    main()
