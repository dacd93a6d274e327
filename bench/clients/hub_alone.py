# SPDX-License-Identifier: Apache-2.0
"""The gateway's stream with a picture that costs nothing: what it takes to send one frame to everyone.

    python -m bench.clients.hub_alone PORT BYTES HZ SECONDS CLIENTS

The real hub, sessions and transport; the frames are made of random bytes. Prints what bench/centrifuge does.
"""

import asyncio
import gc
import json
import os
import random
import sys
import time
from typing import Any

import psutil
import uvloop
from starlette.applications import Starlette

from gateway.access.tokens import Keys
from gateway.stream.delta_source import Area, Box, Periods, ScenarioNotice
from gateway.stream.hub import Hub
from gateway.stream.session import LogOffsets
from gateway.stream.terms import Terms
from gateway.stream.transport import bind, listening
from taxi.cursor import Cursor
from taxi.runtime.env import Env


class Noise:
    """A picture whose every cut is the same bytes."""

    def __init__(self, size: int) -> None:
        self._frame = os.urandom(size)
        self.cursor: Cursor | None = Cursor("be9c", 0, 0)
        self.previous: Cursor | None = None

    periods: Periods = ()
    scenarios: tuple[ScenarioNotice, ...] = ()

    def close(self) -> None:
        assert self.cursor is not None
        self.previous, self.cursor = self.cursor, self.cursor._replace(loc=self.cursor.loc + 1)

    def awaits(self, cursor: Cursor) -> bool:
        """Nothing is being read."""
        del cursor
        return False

    def serves(self, _: Cursor) -> bool:
        return True

    def area(self, _: Box | None) -> Area:
        return None

    def step(self, _: Area, *, stale: bool = False) -> bytes:
        return self._frame + bytes(stale)  # a new object each time, as a real picture makes one

    def diff(self, since: Cursor | None, *_: Area, **__: Any) -> bytes:
        return self._frame + bytes(since is None)

    def ready_fields(self) -> dict[str, Any]:
        return {}


class Quiet:
    """Metrics, log and health that discard everything."""

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


async def main(port: int, size: int, hz: int, seconds: int, clients: int) -> None:
    """Wait until all clients are connected, then send for some seconds."""
    quiet: Any = Quiet()
    env: Env[Any] = Env(
        settings=None,
        bus=quiet,
        now_ms=lambda: time.time_ns() // 1_000_000,
        random=random.Random(),
        new_id=lambda: os.urandom(8).hex(),
        log=quiet,
        metrics=quiet,
        health=quiet,
    )
    terms = Terms(
        city="manhattan",
        gateway="bench",
        cut_interval_ms=1000 // hz,
        clients_max=100_000,
        address_clients_max=100_000,
        limit_loopback=False,
        drain_per_s=1e6,
        keys=Keys(),
    )
    hub, source = Hub(env, terms, ends), Noise(size)
    async with listening(bind("127.0.0.1", port, reuse_port=False)) as listener:
        listener.attach(Starlette())
        hub.use(source, stale=False)
        hub.publish(beat=False)
        listener.open()
        welcoming = asyncio.create_task(welcome(hub, listener))
        each_bytes = await beats(hub, source, hz, clients)
        figures = await measured(hub, source, hz, seconds)
        print(json.dumps(figures | {"bytes_per_client": each_bytes}), flush=True)
        welcoming.cancel()
        os._exit(0)  # without waiting for a thousand sockets to close


async def beats(hub: Hub, source: Noise, hz: int, clients: int) -> float:
    """Until everyone is there, and a moment longer; the bytes that each of the last nine tenths took."""
    few, process = 0, psutil.Process()
    while len(hub.clients) < clients:
        tick(hub, source)
        await asyncio.sleep(1 / hz)
        if not few and len(hub.clients) >= clients // 10:
            gc.collect()
            few, before = len(hub.clients), process.memory_info().rss
    for _ in range(3):
        tick(hub, source)
        await asyncio.sleep(1 / hz)
    gc.collect()
    return (process.memory_info().rss - before) / (len(hub.clients) - few) if few < clients else 0.0


def tick(hub: Hub, source: Noise) -> None:
    """One cut."""
    source.close()
    hub.use(source, stale=False)
    hub.publish(beat=False)


async def measured(hub: Hub, source: Noise, hz: int, seconds: int) -> dict[str, float]:
    """What the cuts of so many seconds cost."""
    began, cpu, sent, ticks = time.monotonic(), time.process_time(), 0, 0
    while time.monotonic() - began < seconds:
        tick(hub, source)
        sent += len(hub.clients)
        ticks += 1
        await asyncio.sleep(max(0.0, began + ticks / hz - time.monotonic()))
    await asyncio.sleep(0.2)
    spent = time.process_time() - cpu
    return {"frames": sent, "cpu_s": spent, "us_per_frame": spent / sent * 1e6}


async def welcome(hub: Hub, listener: Any) -> None:
    """Accept all connections."""
    async with asyncio.TaskGroup() as tasks:
        while True:
            tasks.create_task(hub.serve(await listener.accept()))


async def ends() -> LogOffsets:
    """The ends of the logs; not used, as no client has a cursor."""
    return LogOffsets(0, 0)


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:6])))
