# SPDX-License-Identifier: Apache-2.0
"""A part is ready when it says so itself: on its port another demo's part may answer."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from taxi.local.demo import is_ready
from taxi.local.supervisor import PartSpec, Running


@asynccontextmanager
async def answering(status: str, body: bytes) -> AsyncIterator[int]:
    """An admin port that always gives the same answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def running(admin_port: int) -> AsyncIterator[Running]:
    """A part that is somewhere in its start."""
    spec = PartSpec(name="gateway-1", command=lambda _: (), env=lambda _: os.environ, ready=is_ready)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )
    yield Running(spec, Path("unused"), process=process, admin_port=admin_port)
    process.kill()
    await process.wait()


@pytest.mark.parametrize(("status", "ready"), [("200 OK", True), ("503 Service Unavailable", False)])
async def test_a_part_is_ready_when_it_says_200_itself(status: str, ready: bool) -> None:
    async with running(0) as part:
        assert part.process is not None
        async with answering(status, json.dumps({"pid": part.process.pid}).encode()) as part.admin_port:
            assert await is_ready(part) is ready


@pytest.mark.parametrize("body", [json.dumps({"pid": 1}).encode(), b"[]", b"<html>", b""])
async def test_what_another_says_on_its_port_does_not_count(body: bytes) -> None:
    async with answering("200 OK", body) as port, running(port) as part:
        assert not await is_ready(part)


async def test_a_closed_port_is_not_ready() -> None:
    async with running(1) as part:
        assert not await is_ready(part)
