# SPDX-License-Identifier: Apache-2.0
"""The verifier beside the real services: right is right, and what all gateways get wrong is found."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from taxi.client import CityStream, GatewayVerdict, connect
from taxistream.local.ports import PortPool
from testing.live_demo import live_demo
from testing.wrong_gateways import PlantedError

CHECKS_MIN = 3


async def heard(stream: CityStream, wanted: Callable[[GatewayVerdict], bool]) -> GatewayVerdict:
    """The first verdict on the gateway that is as wanted."""
    async for _ in stream:
        found = [one for gateways in stream.verdicts.values() for one in gateways if wanted(one)]
        if found:
            return found[0]
    raise AssertionError("the stream ended")


def test_a_wrong_fold_of_every_gateway_is_found_and_sent_to_clients(tmp_path: Path, ports: PortPool) -> None:
    error = PlantedError(tmp_path)

    async def watch(url: str) -> None:
        async with asyncio.timeout(90), connect(f"{url.replace('http', 'ws')}/ws") as stream:
            right = await heard(stream, lambda one: one.checked >= CHECKS_MIN)
            assert (right.wrong, right.rule, right.text) == (0, "", "")
            error.plant()
            wrong = await heard(stream, lambda one: bool(one.rule))
            assert wrong.rule == "wrong_hash"
            assert wrong.wrong >= 1
            assert stream.stats.mismatches == 0  # for the client alone all was well

    options = ("--bus", "memory", "--drivers", "60")
    with live_demo(tmp_path / "city", ports.take(), *options, **error.environ) as city:
        asyncio.run(watch(city.url))
        log = (tmp_path / "city" / "logs" / "city.log").read_text(encoding="utf-8")
        assert "code=differs_from_log" in log
