# SPDX-License-Identifier: Apache-2.0
"""`taxi demo --with FILE`: which files can be parts. tests/local/test_demo_with_services.py runs one."""

import asyncio
import time
from pathlib import Path

import pytest

from taxi.runtime.machine_errors import LocalError
from taxistream.local.demo import DemoOptions, service_parts
from taxistream.local.own_services import own_service_parts, ready
from taxistream.local.running import Running


def options(tmp_path: Path) -> DemoOptions:
    return DemoOptions(
        drivers=1, seed=1, load=0, gateways=1, dispatchers=1, host="127.0.0.1", port=1, data_dir=tmp_path
    )


async def test_a_program_that_ended_before_it_was_looked_at_is_not_ready(tmp_path: Path) -> None:
    """Otherwise one that ends at once would be started again for ever."""
    (tmp_path / "own.py").write_text("")
    [part] = own_service_parts([tmp_path / "own.py"], options(tmp_path), {}, ())
    running = Running(part, tmp_path / "own.log")
    running.process = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        assert await ready(running) is None
        running.created = time.time() - 5
        answer = await ready(running)
        assert answer is not None
        assert answer.is_ready
    finally:
        running.process.kill()
        await running.process.wait()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gateway-1.py", "another part has it"),
        ("missing.py", "there is no such file"),
        (f"{'x' * 120}.py", "at most 100 characters"),
    ],
)
def test_a_file_that_cannot_be_a_part_is_refused(tmp_path: Path, name: str, why: str) -> None:
    if name != "missing.py":
        (tmp_path / name).write_text("")
    with pytest.raises(LocalError, match=why):
        own_service_parts([tmp_path / name], options(tmp_path), {}, service_parts(options(tmp_path), {}))
