# SPDX-License-Identifier: Apache-2.0
"""The verifier beside the real services: right is right, and what all gateways get wrong is found."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from taxi.client import CityStream, GatewayVerdict, connect
from taxistream.local.ports import PortPool
from testing.live_demo import live_demo

CHECKS_MIN = 3
PLANT = """
import os, threading, time

def plant():
    while not os.path.exists(os.environ["PLANT"]):
        time.sleep(0.05)
    from gateway.updates import drivers

    right = drivers.quantised
    drivers.quantised = lambda lng, lat, heading, speed: right(lng + 0.00002, lat, heading, speed)

threading.Thread(target=plant, daemon=True).start()
"""
"""Every gateway of the process moves each taxi by two metres, and computes its hash over that."""


async def heard(stream: CityStream, wanted: Callable[[GatewayVerdict], bool]) -> GatewayVerdict:
    """The first verdict on the gateway that is as wanted."""
    async for _ in stream:
        found = [one for gateways in stream.verdicts.values() for one in gateways if wanted(one)]
        if found:
            return found[0]
    raise AssertionError("the stream ended")


def test_a_wrong_fold_of_every_gateway_is_found_and_sent_to_clients(tmp_path: Path, ports: PortPool) -> None:
    (tmp_path / "sitecustomize.py").write_text(PLANT, encoding="utf-8")
    flag = tmp_path / "planted"

    async def watch(url: str) -> None:
        async with asyncio.timeout(90), connect(f"{url.replace('http', 'ws')}/ws") as stream:
            right = await heard(stream, lambda one: one.checked >= CHECKS_MIN)
            assert (right.wrong, right.rule, right.text) == (0, "", "")
            flag.touch()
            wrong = await heard(stream, lambda one: bool(one.rule))
            assert wrong.rule == "wrong_hash"
            assert wrong.wrong >= 1
            assert stream.stats.mismatches == 0  # for the client alone all was well

    environ = {"PYTHONPATH": str(tmp_path), "PLANT": str(flag)}
    options = ("--bus", "memory", "--drivers", "60")
    with live_demo(tmp_path / "city", ports.take(), *options, **environ) as city:
        asyncio.run(watch(city.url))
        log = (tmp_path / "city" / "logs" / "city.log").read_text(encoding="utf-8")
        assert "code=differs_from_log" in log
