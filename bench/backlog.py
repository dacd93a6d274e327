# SPDX-License-Identifier: Apache-2.0
"""How long a backlog of ride requests takes: `--sizes 5000 20000 40000 80000 --drivers 2000`.

Real Kafka, the real simulator's drivers. The dispatcher is killed, so many requests are written, then two
dispatchers start. Answered: every request is accepted or rejected, as a reader of the log sees it.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from taxi import messages as m
from taxi.bus import Outgoing, Reader
from taxi.bus.kafka.bus import KafkaBus
from taxi.messages import codec
from taxi.roads.network import RoadNetwork
from taxi.state import CityState
from taxi.state.batches import WholeBatches
from taxi.topics import COMMANDS, EVENTS
from taxistream.local.ports import first_free
from testing.kafka_server import KafkaServer
from testing.real_city import RealCity, real_city

PATIENCE_S = 240.0
AT_ONCE = 2_000
ONLINE_SHARE = 0.85


@dataclass
class Seen:
    """The log as it is read."""

    city: CityState = field(default_factory=CityState)
    answered: set[str] = field(default_factory=set)
    closed_s: list[float] = field(default_factory=list)
    """When each batch arrived here."""

    async def follow(self, reader: Reader) -> None:
        """Read until cancelled."""
        batches = WholeBatches()
        while True:
            for batch in batches.feed(await reader.fetch(wait_ms=20)):
                for at in batch.events:
                    self.city.apply(at.event)
                    if at.event.command_id is not None:
                        self.answered.add(at.event.command_id)
                self.closed_s.append(time.monotonic())


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 20_000, 40_000, 80_000])
    parser.add_argument("--drivers", type=int, default=2_000)
    parser.add_argument("--port", type=int, default=24000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="taxi-backlog-") as folder:
        server = KafkaServer(Path(folder), first_free(options.port))
        server.start()
        try:
            for size in options.sizes:
                row = _measured(server, Path(folder), options, size)
                line = json.dumps(row) if options.json else "  ".join(f"{k} {v}" for k, v in row.items())
                print(line, flush=True)
        finally:
            server.kill()


def _measured(server: KafkaServer, folder: Path, options: argparse.Namespace, size: int) -> dict[str, Any]:
    logs, ports = folder / f"{size}", iter(range(options.port + 10, options.port + 100))
    logs.mkdir()
    with real_city(server.bootstrap_servers, f"b{size}.", logs, lambda: first_free(next(ports))) as city:
        city.make_topics()
        row = asyncio.run(measured(city, size, options.drivers))
        findings = city.audited()
        return row | {"violations": findings.violations.total(), "audited_commands": findings.commands}


async def measured(city: RealCity, size: int, drivers: int) -> dict[str, Any]:
    """Wait for all drivers, kill the dispatcher, write the requests, start two dispatchers."""
    bus = await KafkaBus.connect(city.settings, client_id="bench")
    seen = Seen()
    following = asyncio.create_task(seen.follow(await bus.reader(EVENTS, 0, 0)))
    first = city.start("dispatcher-1")
    city.start("simulator", "simulator", TAXI_DRIVERS=str(drivers), TAXI_LOAD="0")
    try:
        await _until(lambda: len(seen.city.idle()) >= ONLINE_SHARE * drivers)
        first.kill()
        wanted = await _ask(bus, size)
        began_s, batches = time.monotonic(), len(seen.closed_s)
        first.restart()
        city.start("dispatcher-2")
        await _until(lambda: wanted <= seen.answered)
        times_s = [at_s - began_s for at_s in seen.closed_s[batches:]]
    finally:
        following.cancel()
        await bus.close()
    owners = [city.parts[name] for name in ("dispatcher-1", "dispatcher-2")]
    gaps_s = [later - before for before, later in pairwise(times_s)]
    return {
        "requests": size,
        "first_batch_s": round(times_s[0], 1),
        "answered_s": round(times_s[-1], 1),
        "deciding_s": round(times_s[-1] - times_s[0], 1),
        "batches": len(times_s),
        "longest_gap_s": round(max(gaps_s, default=0.0), 2),
        "fenced": sum(part.said("fenced") for part in owners),
        "recovered": sum(part.said("city recovered") for part in owners) - 1,
    }


async def _until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # polled, as a log sends no event


async def _ask(bus: KafkaBus, size: int) -> set[str]:
    """Write requests between random places, each from another place."""
    producer, rng, roads = await bus.producer(), random.Random(7), RoadNetwork.load("manhattan")
    ids: set[str] = set()
    for begin in range(0, size, AT_ONCE):
        records = []
        for number in range(begin, min(begin + AT_ONCE, size)):
            ends = [roads.place(node) for node in rng.sample(range(roads.n_nodes), 2)]
            pickup, dropoff = [(lng + rng.gauss(0, 2e-4), lat + rng.gauss(0, 2e-4)) for lng, lat in ends]
            request = m.RequestRide(
                command_id=f"bench-{number}",
                ride=f"bench-{number}",
                rider="b",
                pickup=pickup,
                dropoff=dropoff,
            )
            ids.add(request.command_id)
            records.append(Outgoing(request.ride.encode(), codec.encode(request)))
        await producer.send(COMMANDS, 0, records)
    await producer.close()
    return ids


if __name__ == "__main__":
    main()
