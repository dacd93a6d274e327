# SPDX-License-Identifier: Apache-2.0
"""The example of docs/client-python.md runs unchanged."""

import asyncio
import re
import sys
from pathlib import Path

from tests.unit.client.test_client_sockets import Gateway, serving

PAGE = Path(__file__).parents[3] / "docs" / "client-python.md"


async def test_the_example_runs() -> None:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    async with serving(Gateway()) as url:
        code = found[1].replace("ws://127.0.0.1:8000/ws", url).replace("updates=50", "updates=3")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(30):
            out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    lines = out.decode().splitlines()
    assert lines[-1] == "5e00c0ffee00beef:30:8: 2 of 6 taxis are free, 2 rides"
    assert len(lines) == 3
