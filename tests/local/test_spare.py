# SPDX-License-Identifier: Apache-2.0
"""A loaded process takes a dead one's place; a program that knows nothing of spares is left alone."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from taxi.runtime import parts as parts_file
from taxistream.local import spare as spares_module
from taxistream.local import supervisor as module
from taxistream.local.running import PartSpec
from taxistream.local.spare import Spares
from taxistream.local.supervisor import StartStage
from tests.local.test_supervisor import at_work, spec, until

LOADED = """
import os, sys, time
from taxi.runtime.spare import wait_if_spare
wait_if_spare()
print("out", os.environ["WHO"], os.getpid(), "TAXI_SPARE" in os.environ, "LEFT" in os.environ, flush=True)
print("err", os.getpid(), sys.stdin.read() == "", file=sys.stderr, flush=True)
open(os.environ["THERE"], "w").close()
time.sleep(60)
"""
COMMAND = (sys.executable, "-c", LOADED)
Children = Callable[[], set[int]]


def spared(folder: Path, name: str) -> PartSpec:
    """A part with a spare. It is ready once it has said everything."""
    return replace(
        spec(name, folder),
        command=lambda _: COMMAND,
        env=lambda _: {**os.environ, "WHO": name, "THERE": str(folder / name)},
        spare_env={**os.environ, "LEFT": "behind"},
    )


def descendants() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


@pytest.fixture
def children() -> Children:
    """The processes that came since the test began: a broker of other tests may run, too."""
    before = descendants()
    return lambda: descendants() - before


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPARE_AFTER_S", 0.05)


async def test_a_loaded_process_takes_the_place_of_a_killed_one_and_another_follows(
    tmp_path: Path, children: Children
) -> None:
    async with at_work(tmp_path, StartStage((spared(tmp_path, "one"), spared(tmp_path, "two")))) as scene:
        parts = {scene.part(name).pid for name in ("one", "two")}
        for restarts in (1, 2):
            await until(lambda: scene.supervisor.spare_pids, "a spare")
            [waiting] = scene.supervisor.spare_pids
            assert children() == parts | {waiting}, "one spare serves both"
            (tmp_path / "one").unlink()
            killed = parts_file.kill(tmp_path, "one")
            await until(partial(scene.is_ready, "one", restarts=restarts), "one is back")
            assert scene.part("one").pid == waiting
            log = (tmp_path / "logs" / "one.log").read_text()
            assert f"out one {waiting} False False" in log, "the part's own environment, and its own log"
            assert f"err {waiting} True" in log, "no process speaks to it any more"
            parts = parts - {killed.pid} | {waiting}
    assert children() == set()


async def test_without_a_spare_a_part_starts_from_nothing(tmp_path: Path, children: Children) -> None:
    part = replace(spared(tmp_path, "one"), spare_env=None)
    async with at_work(tmp_path, StartStage((part,))) as scene:
        before = parts_file.kill(tmp_path, "one")
        await until(lambda: scene.is_ready("one", restarts=1), "one is back")
        assert children() == {scene.part("one").pid} != {before.pid}


async def test_a_spare_that_died_is_no_loss(tmp_path: Path, children: Children) -> None:
    spares = Spares()
    await spares.prepare(COMMAND, os.environ)
    [pid] = spares.pids
    psutil.Process(pid).kill()
    await until(lambda: not spares.pids, "its end is noticed")
    assert spares.take(COMMAND, os.environ, tmp_path / "log") is None
    await spares.prepare(COMMAND, os.environ)
    assert spares.pids not in ([], [pid])
    await spares.close()
    assert children() == set()


@pytest.mark.parametrize("code", ["import time; time.sleep(60)", "print('hello', flush=True)", "nonsense"])
async def test_a_program_that_knows_no_spares_is_ended_and_not_asked_again(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: Children
) -> None:
    monkeypatch.setattr(spares_module, "LOAD_S_MAX", 1.0)
    spares, command = Spares(), (sys.executable, "-c", code)
    for _ in range(2):
        await spares.prepare(command, os.environ)
        assert spares.pids == []
        assert children() == set()
    assert spares.take(command, os.environ, tmp_path / "log") is None


async def test_a_spare_ends_when_it_cannot_be_needed_any_more() -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        env={**os.environ, "TAXI_SPARE": "1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    process.stdin.close()
    async with asyncio.timeout(20):
        assert await process.wait() == 0


async def test_a_spare_takes_variables_and_a_log_that_are_not_utf_8(tmp_path: Path) -> None:
    """The system hands such bytes on, so they must neither end the supervisor nor be changed."""
    odd = os.fsdecode(b"caf\xe9")
    log, there = tmp_path / odd, tmp_path / "there"
    spares = Spares()
    await spares.prepare(COMMAND, os.environ)
    environ = {**os.environ, "WHO": odd, "THERE": str(there), odd: "x"}
    process = spares.take(COMMAND, environ, log)
    assert process is not None
    await until(there.exists, "it has its place")
    assert b"out caf" in log.read_bytes()

    process.kill()
    await process.wait()
