# SPDX-License-Identifier: Apache-2.0
"""The supervisor, with parts of a line each."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from taxi.runtime import parts as parts_file
from taxi.runtime.machine_errors import FAILED, WRONG_USE, LocalError
from taxi.runtime.parts import Demo, DemoFault, Part, State
from taxistream.local import supervisor as module
from taxistream.local.running import PartSpec, ReadinessAnswer, Running
from taxistream.local.supervisor import StartStage, Supervisor

OBEDIENT = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(0)); {0}time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); {0}time.sleep(60)"


@dataclass
class Diary:
    """A watcher that writes down each call."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def ready(self, part: Part, after_s: float) -> None:
        assert after_s >= 0
        self.lines.append((part.name, "ready"))

    def died(self, part: Part, how: str, again_in_s: float) -> None:
        assert again_in_s < 5
        self.lines.append((part.name, how))

    def waits(self, part: Part) -> None:
        self.lines.append((part.name, f"waits: {part.reason}"))

    def paused(self, part: Part) -> None:
        self.lines.append((part.name, "paused"))

    def fault(self, fault: DemoFault) -> None:
        self.lines.append((fault.code, fault.text))

    def cleared(self, fault: DemoFault) -> None:
        self.lines.append((fault.code, "cleared"))

    def warns(self, part: Part, text: str) -> None:
        self.lines.append((part.name, f"warns: {text}"))

    def stopping(self) -> None:
        self.lines.append(("", "stopping"))


def spec(name: str, folder: Path, code: str = OBEDIENT, *, stop_s_max: float = 5.0) -> PartSpec:
    """A part that is ready once its file is there; it writes that file itself."""
    program = code.format(f"open({str(folder / name)!r}, 'w').close(); ")

    async def is_there(_: Running) -> ReadinessAnswer | None:
        return ReadinessAnswer(is_ready=True) if (folder / name).exists() else None

    return PartSpec(
        name=name,
        command=lambda _: (sys.executable, "-c", program),
        env=lambda _: os.environ,
        ready=is_there,
        start_s_max=20,
        stop_s_max=stop_s_max,
    )


async def until(condition: Callable[[], object], what: str, within_s: float = 20) -> None:
    try:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - files and processes have no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {within_s} s: {what}")


@dataclass
class Scene:
    """A supervisor at work."""

    supervisor: Supervisor
    diary: Diary
    folder: Path
    task: "asyncio.Task[None]"

    def part(self, name: str) -> Part:
        return next(part for part in parts_file.list_current(self.folder) if part.name == name)

    def is_ready(self, name: str, *, restarts: int = 0) -> bool:
        part = self.part(name)
        return part.state is State.READY and part.restarts >= restarts

    async def end(self) -> None:
        self.supervisor.stop()
        await self.task


def supervisor(folder: Path, *stages: StartStage, diary: Diary | None = None) -> Supervisor:
    demo = Demo(
        pid=os.getpid(), created=parts_file.born(os.getpid()), started_ms=1, url="", bootstrap_servers=""
    )
    return Supervisor(stages, data_dir=folder, demo=demo, watcher=diary or Diary(), admin_port=lambda: 0)


@asynccontextmanager
async def at_work(folder: Path, *stages: StartStage) -> AsyncIterator[Scene]:
    diary = Diary()
    boss = supervisor(folder, *stages, diary=diary)
    task = asyncio.create_task(boss.run())
    await until(lambda: parts_file.read(folder) or task.done(), "parts.json")
    scene = Scene(boss, diary, folder, task)
    names = [part.name for stage in stages for part in stage.parts]
    try:
        await until(lambda: task.done() or all(scene.is_ready(name) for name in names), "all ready")
        yield scene
    finally:
        await scene.end()


async def test_others_learn_of_the_end_of_a_process_before_it_starts_again(tmp_path: Path) -> None:
    happened: list[str] = []

    async def after_end() -> str | None:
        await asyncio.sleep(0)
        happened.append(scene.part("worker").state)
        return "no answer" if len(happened) > 1 else None

    worker = replace(spec("worker", tmp_path), after_end=after_end)
    async with at_work(tmp_path, StartStage((worker,))) as scene:
        for times in (1, 2):
            os.kill(scene.part("worker").pid, signal.SIGKILL)
            await until(partial(scene.is_ready, "worker", restarts=times), "started again")
    assert ("worker", "warns: no answer") in scene.diary.lines
    assert happened == [State.RESTARTING] * 2, "before each new start, and not after an orderly stop"


async def test_a_part_whose_preparation_fails_is_tried_again_and_says_why(tmp_path: Path) -> None:
    prepared: list[bool] = []

    async def before_start() -> None:
        await asyncio.sleep(0)
        prepared.append((tmp_path / "worker").exists())
        if len(prepared) == 2:
            raise LocalError("Two folders are empty.", do="Restore one.")

    worker = replace(spec("worker", tmp_path), before_start=before_start)
    async with at_work(tmp_path, StartStage((worker,))) as scene:
        os.kill(scene.part("worker").pid, signal.SIGKILL)
        await until(lambda: scene.is_ready("worker", restarts=2), "started at the second attempt")
    assert prepared == [False, True, True], "before each start"
    assert ("worker", "could not be started: Two folders are empty. Restore one.") in scene.diary.lines


async def test_stages_start_one_after_the_other_with_what_lies_between(tmp_path: Path) -> None:
    happened: list[str] = []

    async def between() -> None:
        assert (tmp_path / "broker").exists()
        assert not (tmp_path / "service").exists()
        happened.append("between")

    first = StartStage((spec("broker", tmp_path),), then=between)
    async with at_work(tmp_path, first, StartStage((spec("service", tmp_path),))) as scene:
        assert happened == ["between"]
        assert scene.diary.lines == [("broker", "ready"), ("service", "ready")]


async def test_a_killed_part_is_started_again(tmp_path: Path) -> None:
    async with at_work(tmp_path, StartStage((spec("one", tmp_path), spec("two", tmp_path)))) as scene:
        before = parts_file.kill(tmp_path, "one")
        await until(lambda: scene.is_ready("one", restarts=1), "one runs again")
        assert scene.part("one").pid != before.pid
        assert scene.part("two").restarts == 0
        assert ("one", "was killed (SIGKILL)") in scene.diary.lines


async def test_a_part_that_crashes_again_and_again_is_given_more_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", (0.0, 0.01, 0.02))
    pauses: list[float] = []
    async with at_work(tmp_path, StartStage((spec("one", tmp_path),))) as scene:
        scene.diary.died = lambda part, how, again_in_s: pauses.append(again_in_s)  # type: ignore[method-assign]
        for crash in range(4):
            await until(lambda n=crash: scene.is_ready("one", restarts=n), "ready")  # type: ignore[misc]
            parts_file.kill(tmp_path, "one")
            await until(lambda n=crash: len(pauses) > n, "seen")  # type: ignore[misc]
    assert pauses == [0.0, 0.01, 0.02, 0.02]


async def test_no_pause_reaches_five_seconds() -> None:
    assert max(module.BACKOFF_S) < 5
    assert module.BACKOFF_S[0] == 0


async def test_all_stop_in_reverse_order_and_none_is_left(tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = (
        "import signal, sys, time; "
        f"signal.signal(15, lambda *_: (open({str(order)!r}, 'a').write('NAME '), sys.exit(0))); "
        "{0}time.sleep(60)"
    )
    stages = [
        StartStage((spec(name, tmp_path, code.replace("NAME", name)),))
        for name in ("first", "second", "third")
    ]
    async with at_work(tmp_path, *stages) as scene:
        pids = [part.pid for part in parts_file.list_current(tmp_path)]
        await scene.end()
    assert order.read_text().split() == ["third", "second", "first"]
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)


async def test_a_part_that_ignores_sigterm_is_killed_after_its_time(tmp_path: Path) -> None:
    async with at_work(tmp_path, StartStage((spec("deaf", tmp_path, STUBBORN, stop_s_max=0.2),))) as scene:
        pid = scene.part("deaf").pid
        await scene.end()
    assert pid is not None
    assert not psutil.pid_exists(pid)


async def test_asked_twice_it_does_not_wait(tmp_path: Path) -> None:
    async with at_work(tmp_path, StartStage((spec("deaf", tmp_path, STUBBORN, stop_s_max=600),))) as scene:
        scene.supervisor.stop()
        scene.supervisor.stop()
        async with asyncio.timeout(10):
            await scene.task


async def test_a_frozen_part_still_stops(tmp_path: Path) -> None:
    async with at_work(tmp_path, StartStage((spec("frozen", tmp_path),))) as scene:
        pid = scene.part("frozen").pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        async with asyncio.timeout(3):
            await scene.end()


@pytest.mark.parametrize(("code", "expected", "starts"), [(1, FAILED, 3), (2, WRONG_USE, 1)])
async def test_a_part_that_never_starts_ends_the_demo_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: int, starts: int
) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", (0.0,))
    broken = f"import sys; print('no such policy', flush=True); sys.exit({code})"
    good, bad = spec("good", tmp_path), spec("bad", tmp_path, broken)
    with pytest.raises(LocalError, match=f"bad ended with exit code {code} while starting") as caught:
        await supervisor(tmp_path, StartStage((good,)), StartStage((bad,))).run()
    assert caught.value.code == expected
    assert caught.value.details.count("no such policy") == starts
    assert "bad.log" in caught.value.do
    assert not any(parts_file.is_alive(part.pid, part.created) for part in parts_file.list_current(tmp_path))


async def test_an_error_between_stages_stops_everything(tmp_path: Path) -> None:
    async def refuse() -> None:
        raise LocalError("The cluster refuses.", do="Ask its owner.")

    pids: list[int | None] = []

    async def note() -> None:
        pids.extend(part.pid for part in parts_file.list_current(tmp_path))
        await refuse()

    with pytest.raises(LocalError, match="The cluster refuses"):
        await supervisor(tmp_path, StartStage((spec("broker", tmp_path),), then=note)).run()
    assert pids[0] is not None
    assert not psutil.pid_exists(pids[0])


async def test_a_part_that_is_never_ready_is_ended_after_its_time(tmp_path: Path) -> None:
    async def never(_: Running) -> None:
        return None

    slow = PartSpec(
        name="slow",
        command=lambda _: (sys.executable, "-c", "import time; time.sleep(60)"),
        env=lambda _: os.environ,
        ready=never,
        start_s_max=0.2,
    )
    with pytest.raises(LocalError, match="slow was not ready within 0 s while starting"):
        await supervisor(tmp_path, StartStage((slow,))).run()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
async def test_no_part_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    child = tmp_path / "child"
    program = (
        "import os, subprocess, sys, time; from taxistream.local.child import with_parent_death_signal; "
        "p = subprocess.Popen(with_parent_death_signal([sys.executable, "
        "'-c', 'import time; time.sleep(60)'])); "
        f"name = {str(child)!r}; open(name + '.new', 'w').write(str(p.pid)); os.rename(name + '.new', name); "
        "time.sleep(60)"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    await until(child.exists, "the child runs")
    process = psutil.Process(int(child.read_text()))
    await until(lambda: "parent_death.py" not in " ".join(process.cmdline()), "the leash is on")
    parent.kill()
    await parent.wait()
    await until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "gone too")
