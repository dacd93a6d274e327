# SPDX-License-Identifier: Apache-2.0
"""The Python client on real sockets: what one does who has only docs/client-python.md."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from scripts.golden_scripts import READY, encode
from taxi.client import StreamRefusedError, connect

CUTS = [{"to": "10:5"}, {"from": "10:5", "to": "20:5"}, {"from": "20:5", "to": "30:8"}]


class Gateway:
    """Serves the little city of the fault scripts, a few cuts at a time."""

    def __init__(self, *, drops: int = 0, drains: bool = False, refuses: bool = False) -> None:
        self.hellos: list[dict[str, Any]] = []
        self._drops, self._drains, self._refuses = drops, drains, refuses

    async def __call__(self, socket: ServerConnection) -> None:
        hello = json.loads(await socket.recv())
        self.hellos.append(hello)
        if self._refuses:
            await socket.close(4404, "this gateway shows another city")
            return
        first = len(self.hellos) == 1
        begun = int(hello["cursor"].split(":")[1]) // 10 if "cursor" in hello else 0
        await socket.send(json.dumps(READY | {"mode": "resume" if begun else "image"}))
        for cut in CUTS[begun : self._drops if first and self._drops else None]:
            await socket.send(encode(cut))
            if first and self._drains and cut is CUTS[1]:
                await socket.send(json.dumps({"type": "drain", "within_ms": 2_000}))
                break
        if first and self._drops:
            socket.transport.abort()
        await socket.wait_closed()


@asynccontextmanager
async def serving(gateway: Gateway) -> AsyncIterator[str]:
    async with serve(gateway, "127.0.0.1", 0, subprotocols=[Subprotocol("taxi.v1")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/ws"


async def seen(url: str, last: int = 30) -> list[int]:
    """The cursors of a client that leaves after `last`."""
    cursors = []
    async with asyncio.timeout(20), connect(url) as city:
        async for cut in city:
            cursors.append(cut.loc)
            assert city.trusted
            assert city.cursor is not None
            assert len(city.drivers) == cut.drivers_held
            if cut.loc == last:
                break
    return cursors


async def test_a_city_is_read_cut_by_cut() -> None:
    async with serving(Gateway()) as url:
        assert await seen(url) == [10, 20, 30]


async def test_a_lost_socket_goes_on_from_the_cursor() -> None:
    gateway = Gateway(drops=2)
    async with serving(gateway) as url:
        assert await seen(url) == [10, 20, 30]
    assert [hello.get("cursor") for hello in gateway.hellos] == [None, "5e00c0ffee00beef:20:5"]


async def test_a_draining_gateway_is_left_for_another_line() -> None:
    gateway = Gateway(drains=True)
    async with serving(gateway) as url:
        assert await seen(url) == [10, 20, 30]
    assert len(gateway.hellos) == 2


async def test_a_client_that_is_refused_learns_why() -> None:
    async with serving(Gateway(refuses=True)) as url:
        with pytest.raises(StreamRefusedError, match="another city"):
            await seen(url)
