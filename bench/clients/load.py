# SPDX-License-Identifier: Apache-2.0
"""A live city with a load test on it, for benches that do something to it meanwhile."""

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from taxi.bus.kafka.bus import KafkaBus
from taxi.runtime.settings import Settings
from taxistream.local.ports import first_free
from taxistream.tools.loadtest.address import socket_url
from taxistream.tools.loadtest.clients.load_clients import LoadClients
from taxistream.tools.loadtest.kills import Killer
from taxistream.tools.loadtest.shell import Plan, run
from testing.live_demo import LiveDemo, live_demo

Act = Callable[[LoadClients, Killer], Awaitable[None]]


@contextmanager
def city(
    home: Path, port: int, *options: str, drivers: int, gateways: int = 1, **environ: str
) -> Iterator[LiveDemo]:
    """A demo that is ready. `port`: where the search for a free one begins."""
    size = ("--drivers", str(drivers), "--gateways", str(gateways))
    with live_demo(home, first_free(port), *size, *options, **environ) as demo:
        yield demo


def watched(demo: LiveDemo, clients: int, act: Act) -> dict[str, Any]:
    """The figures of a load test during which `act` happens, with every check on."""
    try:
        return uvloop.run(_watched(demo, clients, act))
    finally:
        sys.stderr.write("\n")


def repeated(step: Act, times: int) -> Act:
    """One after the other."""

    async def act(load_clients: LoadClients, killer: Killer) -> None:
        for _ in range(times):
            await step(load_clients, killer)

    return act


async def _watched(demo: LiveDemo, clients: int, act: Act) -> dict[str, Any]:
    broker = demo.parts()["kafka"]["port"]
    bus = await KafkaBus.connect(Settings(kafka_bootstrap_servers=f"127.0.0.1:{broker}"), client_id="bench")
    try:
        plan = Plan(
            url=socket_url(demo.url),
            clients=clients,
            seconds=1,
            data_dir=demo.data_dir,
            behavior=False,
            act=act,
            tell=_tell,
        )
        return (await run(plan, bus)).figures
    finally:
        await bus.close()


def _tell(line: str) -> None:
    """The live line."""
    sys.stderr.write(f"\r\x1b[2K{line}")
