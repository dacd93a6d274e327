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

from taxistream.local.demo import ask
from taxistream.local.running import PartSpec, ReadinessAnswer, Running


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
    spec = PartSpec(name="gateway-1", command=lambda _: (), env=lambda _: os.environ, ready=ask)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )
    yield Running(spec, Path("unused"), process=process, admin_port=admin_port)
    process.kill()
    await process.wait()


@pytest.mark.parametrize(
    ("status", "said", "answer"),
    [
        ("200 OK", {}, ReadinessAnswer(is_ready=True)),
        ("503 Service Unavailable", {}, ReadinessAnswer(is_ready=False)),
        (
            "503 Service Unavailable",
            {"reason": "no broker"},
            ReadinessAnswer(is_ready=False, reason="no broker"),
        ),
        (
            "503 Service Unavailable",
            {"reason": "starting", "faults": [{"code": "open_transaction", "text": "shop-7 holds it up"}]},
            ReadinessAnswer(is_ready=False, reason="shop-7 holds it up"),
        ),
        (
            "503 Service Unavailable",
            {"reason": "starting"},
            ReadinessAnswer(is_ready=False, reason="starting"),
        ),
    ],
)
async def test_a_part_is_what_it_says_itself(
    status: str, said: dict[str, object], answer: ReadinessAnswer
) -> None:
    async with running(0) as part:
        assert part.process is not None
        body = json.dumps({"pid": part.process.pid, **said}).encode()
        async with answering(status, body) as part.admin_port:
            assert await ask(part) == answer


@pytest.mark.parametrize("body", [json.dumps({"pid": 1}).encode(), b"[]", b"<html>", b""])
async def test_what_another_says_on_its_port_does_not_count(body: bytes) -> None:
    async with answering("200 OK", body) as port, running(port) as part:
        assert await ask(part) is None


async def test_a_closed_port_is_no_answer() -> None:
    async with running(1) as part:
        assert await ask(part) is None
