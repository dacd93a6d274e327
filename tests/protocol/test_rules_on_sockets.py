# SPDX-License-Identifier: Apache-2.0
"""Rules that lean on the kernel or the clock: a picture of mere cells, real sockets, real clients."""

import array
import asyncio
import contextlib
import fcntl
import json
import random
import socket
import termios
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.access.tokens import Grant, Keys, Role
from gateway.stream.drain import drain
from gateway.stream.hub import Hub
from gateway.stream.session import LogOffsets
from gateway.stream.terms import Terms
from gateway.stream.transport import SocketConnection, bind, listening
from taxi.runtime.env import Env
from testing.gateway_cells import CELLS, Cells
from testing.gateway_harness import Spy

SECRET = "a secret of at least thirty-two bytes"
STOPPED_BYTES_MAX = 64 << 10


@dataclass
class House:
    """A hub behind a real port."""

    hub: Hub
    env: Env[Any]
    cells: Cells
    port: int

    async def client(self, compression: str | None = None, **hello: Any) -> ClientConnection:
        """A real client that has said hello."""
        client = await connect(f"ws://127.0.0.1:{self.port}/ws", compression=compression)
        await client.send(json.dumps({"type": "hello", "v": 1, "city": "cells", **hello}))
        return client


@contextlib.asynccontextmanager
async def house(frame_bytes: int = 0, **terms: Any) -> AsyncIterator[House]:
    """Cells are written and cuts go out a hundred times a second; `frame_bytes` are added to each frame."""
    spy, cells, dice = Spy(), Padded(frame_bytes), random.Random(1)
    env: Any = Env(
        settings=None,
        bus=None,  # type: ignore[arg-type]  # no client comes with a cursor from elsewhere
        now_ms=lambda: time.time_ns() // 1_000_000,
        random=dice,
        new_id=lambda: f"{dice.getrandbits(64):016x}",
        log=spy,
        metrics=spy,
        health=spy,
    )
    usual: dict[str, Any] = {"clients_max": 100, "address_clients_max": 100, "limit_loopback": False}
    usual |= {"city": "cells", "gateway": "g", "cut_interval_ms": 10, "drain_per_s": 20.0, "keys": Keys()}
    hub = Hub(env, Terms(**usual | terms), nowhere)
    async with listening(bind("127.0.0.1", 0, reuse_port=True)) as listener:
        listener.attach(Starlette())
        listener.open()
        while not listener.is_listening:  # noqa: ASYNC110 - a socket rings no bell
            await asyncio.sleep(0.005)
        going_on = [asyncio.create_task(serve(hub, listener.accept)), asyncio.create_task(cut(hub, cells))]
        yield House(hub, env, cells, listener.port)
        for task in going_on:
            task.cancel()
        await asyncio.wait(going_on)


class Padded(Cells):
    """Cells whose frames are as large as a city's."""

    def __init__(self, frame_bytes: int) -> None:
        super().__init__()
        self.window = 10**9
        self._padding = " " * frame_bytes  # JSON does not mind

    def _frame(self, *arguments: Any) -> bytes:
        return super()._frame(*arguments) + self._padding.encode()


async def nowhere() -> LogOffsets:
    return LogOffsets(0, 0)


async def serve(hub: Hub, accept: Callable[[], Awaitable[SocketConnection]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        while True:
            tasks.create_task(hub.serve(await accept()))


async def cut(hub: Hub, cells: Cells) -> None:
    number = 0
    while True:
        number += 1
        cells.write(number * 7 % CELLS, number)
        cells.close()
        hub.use(cells, stale=False)
        hub.publish(beat=False)
        await asyncio.sleep(0.01)


async def frame(client: ClientConnection) -> dict[str, Any]:
    """The next cut."""
    while isinstance(message := await client.recv(), str):
        pass
    read: dict[str, Any] = json.loads(message)
    return read


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scenario()

    uvloop.run(bounded())


def test_rule_12_frames_are_applied_in_order_whatever_was_negotiated() -> None:
    async def scenario() -> None:
        async with house(frame_bytes=2_000) as here:
            clients = [
                await here.client(how) for how in ("deflate", None, "deflate", None, "deflate", "deflate")
            ]
            for client in clients:
                at = (await frame(client))["to"]
                for _ in range(50):
                    cut = await frame(client)
                    assert cut["from"] == at
                    at = cut["to"]
            for client in clients:
                await client.close()

    run(scenario)


def test_rule_13_a_stopped_reader_costs_little_and_the_others_nothing() -> None:
    async def scenario() -> None:
        async with house(frame_bytes=16_000) as here:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            sock.connect(("127.0.0.1", here.port))
            dead = await connect(f"ws://127.0.0.1:{here.port}/ws", sock=sock, max_queue=1, compression=None)
            await dead.send(json.dumps({"type": "hello", "v": 1, "city": "cells"}))
            dead.transport.pause_reading()
            quick = await here.client()
            worst = 0
            for _ in range(300):
                await frame(quick)
                worst = max(worst, *map(held_bytes, here.hub.clients.values()))
                if worst > STOPPED_BYTES_MAX:
                    dead.transport.abort()
            print(f"{worst} bytes held")
            assert 0 < worst <= STOPPED_BYTES_MAX
            ages = [await waited_s(quick) for _ in range(100)]
            assert sorted(ages)[50] < 0.1
            dead.transport.abort()
            await quick.close()

    run(scenario)


def held_bytes(client: Any) -> int:
    """What a client's frames take on the server's side: of this process, and of the kernel."""
    protocol = client.connection._protocol
    held = array.array("i", [0])
    fcntl.ioctl(protocol.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, held)
    return int(client.connection.backlog()) + held[0]


async def until_closed(client: ClientConnection) -> None:
    while True:
        await frame(client)


async def waited_s(client: ClientConnection) -> float:
    began_s = time.monotonic()
    await frame(client)
    return time.monotonic() - began_s


def test_rule_15_no_frame_follows_an_expired_token_by_the_wall_clock() -> None:
    keys = Keys(SECRET)

    async def scenario() -> None:
        async with house(keys=keys) as here:
            expires_ms = here.env.now_ms() // 1000 * 1000 + 2_000
            token = keys.mint(Grant(Role.VIEWER, expires_ms), here.env.now_ms())
            client = await here.client(token=token)
            for _ in range(10):
                await frame(client)
            with pytest.raises(ConnectionClosed) as closed:
                await until_closed(client)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4401
            assert here.env.now_ms() >= expires_ms - 1_000

    run(scenario)


def test_rule_16_at_a_drain_real_clients_are_notified_one_after_another() -> None:
    async def scenario() -> None:
        async with house(drain_per_s=20.0) as here:
            clients = [await here.client() for _ in range(10)]
            draining = asyncio.create_task(drain(here.hub, here.env))

            async def drained_s(client: ClientConnection) -> float:
                while not (isinstance(message := await client.recv(), str) and "drain" in message):
                    pass
                at_s = time.monotonic()
                await client.close()
                return at_s

            at_s = sorted(await asyncio.gather(*map(drained_s, clients)))
            await draining
            assert at_s[-1] - at_s[0] > 0.3
            assert not here.hub.clients

    run(scenario)
