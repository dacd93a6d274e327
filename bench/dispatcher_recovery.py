# SPDX-License-Identifier: Apache-2.0
"""How long a dispatcher takes to know a city of 10,000 drivers again: `--drivers 10000 --seconds 60`.

The worst moment, just before the next snapshot: a snapshot of everybody with an hour of command ids, then so
many seconds of fixes at 1 Hz and of batches. What lies before the snapshot, a day or a week, is not read.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dispatcher.recovery import recover
from taxi import messages as m
from taxi.bus import Outgoing, Write
from taxi.bus.kafka.admin import KafkaAdmin
from taxi.bus.kafka.bus import KafkaBus
from taxi.messages import codec
from taxi.positions.newest import NewestFix, NewestFixes
from taxi.runtime.settings import Settings
from taxi.state import CityState, Driver, Ride, snapshots
from taxi.topics import EVENTS, LOCATIONS, SNAPSHOTS, specs
from taxistream.local.ports import first_free
from testing.kafka_server import KafkaServer

RIDES, IDS, REQUESTS_PER_S, BATCH_S = 3_000, 300_000, 15, 2
PICKUP, DROPOFF = (-73.98, 40.75), (-73.97, 40.76)
TIMES = 3


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drivers", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--port", type=int, default=24000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="taxi-recovery-") as folder:
        server = KafkaServer(Path(folder), first_free(options.port))
        server.start()
        try:
            settings = Settings(kafka_bootstrap_servers=server.bootstrap_servers)
            print(json.dumps(asyncio.run(measured(settings, options.drivers, options.seconds))))
        finally:
            server.kill()


async def measured(settings: Settings, drivers: int, seconds: int) -> dict[str, Any]:
    """Write the log, then recover from it a few times."""
    async with KafkaAdmin.connect(settings) as admin:
        await admin.ensure_topics(specs())
    bus = await KafkaBus.connect(settings, client_id="bench")
    await write(bus, drivers, seconds)
    wall_s, cpu_s = [], []
    for _ in range(TIMES):
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        found = await recover(bus, 0, lambda: "0" * 16, lambda topic: bus.offsets(topic, 0))
        wall_s.append(round(time.perf_counter() - began_s, 2))
        cpu_s.append(round(time.process_time() - began_cpu_s, 2))
        assert found.epoch_to_begin is None
        assert len(found.newest.drivers) == drivers
        assert found.city.batch == 1 + seconds // BATCH_S
    await bus.close()
    return {"drivers": drivers, "seconds": seconds, "recovery_s": wall_s, "of_that_cpu_s": cpu_s}


async def write(bus: KafkaBus, drivers: int, seconds: int) -> None:
    """Write the first batch, a snapshot, then later batches and positions."""
    producer = await bus.transactional_producer("bench")
    now_ms = time.time_ns() // 1_000_000
    birth = [
        m.EpochStarted(batch=1, at_ms=now_ms, epoch="0123456789abcdef", city="manhattan"),
        m.BatchClosed(batch=1, at_ms=now_ms, count=2, commands_offset=0, locations_offset=0),
    ]
    offsets = await producer.transact([_event(event) for event in birth])
    city = _city(drivers, birth)
    newest = NewestFixes(heard_ms=now_ms, drivers={n: _seen(n, now_ms) for n in range(1, drivers + 1)})
    parts = snapshots.pack(city, newest, offsets[-1] + 1)
    await producer.transact([Write(SNAPSHOTS, 0, part) for part in parts])
    fixes = await bus.producer(acks="leader")
    for second in range(seconds):
        records = [Outgoing(b"%d" % n, fix(n)) for n in range(1, drivers + 1)]
        await fixes.send(LOCATIONS, 0, records)
        if (second + 1) % BATCH_S == 0:
            batch = 1 + (second + 1) // BATCH_S
            closed = list(batch_events(batch, now_ms + second * 1_000, (second + 1) * drivers))
            await producer.transact([_event(event) for event in closed])


def _city(drivers: int, birth: list[Any]) -> CityState:
    city = CityState()
    for event in birth:
        city.apply(event)
    city.drivers = {n: Driver(on_shift=True, since_ms=city.now_ms) for n in range(1, drivers + 1)}
    city.rides = {f"r{n}": _ride(n, city.now_ms) for n in range(RIDES)}
    city.commands = {f"{n % drivers}:r{n}:1:picked_up": city.now_ms for n in range(IDS)}
    return city


def _ride(number: int, at_ms: int) -> Ride:
    return Ride(ride=f"r{number}", rider="r", pickup=PICKUP, dropoff=DROPOFF, requested_ms=at_ms)


def _seen(driver: int, at_ms: int) -> NewestFix:
    return NewestFix(at_ms, 0, at_ms, PICKUP[0], PICKUP[1] + driver * 1e-6)


def fix(driver: int) -> bytes:
    """A position near the pickup, encoded."""
    lng, lat = PICKUP[0] + random.random() * 0.01, PICKUP[1] + random.random() * 0.01
    now_ms = time.time_ns() // 1_000_000
    return codec.encode(m.Fix(driver=driver, at_ms=now_ms, lng=lng, lat=lat, heading=90, speed=8.0))


def batch_events(number: int, at_ms: int, locations_offset: int) -> Iterator[m.Event]:
    """The events of one batch: requests, and its `BatchClosed`."""
    at: dict[str, Any] = {"batch": number, "at_ms": at_ms}
    requests = REQUESTS_PER_S * BATCH_S
    for index in range(requests):
        name = f"n{number}-{index}"
        yield m.RideRequested(
            **at, command_id=f"{name}:request", ride=name, rider="r", pickup=PICKUP, dropoff=DROPOFF
        )
    yield m.BatchClosed(**at, count=requests + 1, commands_offset=0, locations_offset=locations_offset)


def _event(event: m.Event) -> Write:
    return Write(EVENTS, 0, Outgoing(None, codec.encode(event)))


if __name__ == "__main__":
    main()
