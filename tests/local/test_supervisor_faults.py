# SPDX-License-Identifier: Apache-2.0
"""The supervisor when parts freeze, fail slowly, wait, or cannot write, with parts of a line each."""

import asyncio
import errno
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from taxi.runtime import parts as parts_file
from taxi.runtime.machine_errors import FAILED, LocalError
from taxi.runtime.parts import State
from taxistream.local import room as room_module
from taxistream.local import supervisor as module
from taxistream.local.java_errors import explain
from taxistream.local.pulse import Patience
from taxistream.local.room import Space
from taxistream.local.running import PartSpec, ReadinessAnswer, Running
from taxistream.local.supervisor import StartStage
from tests.local.test_supervisor import STUBBORN, Diary, Scene, at_work, spec, supervisor, until

Alive = Callable[[Running], Awaitable[ReadinessAnswer | None]]


def faults(folder: Path) -> dict[str, str]:
    known = parts_file.read(folder)
    return {fault.code: fault.text for fault in known.faults} if known else {}


def said(diary: Diary, name: str) -> list[str]:
    return [line for who, line in diary.lines if who == name]


# --- failing ----------------------------------------------------------------------------------------------


async def test_a_part_that_takes_long_to_fail_ends_the_demo_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(module, "STEADY_S", 0.05)  # so half a second is long
    slow = spec(
        "slow", tmp_path, "import sys, time; time.sleep(0.5); print('no road', flush=True); sys.exit(1)"
    )
    with pytest.raises(LocalError, match="slow ended with exit code 1 while starting") as caught:
        async with asyncio.timeout(20):
            await supervisor(tmp_path, StartStage((slow,))).run()
    assert caught.value.code == FAILED
    assert caught.value.details.count("no road") == 3


async def test_a_part_that_was_ready_once_is_started_for_ever_and_its_failing_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", (0.0,))
    broken = tmp_path / "broken"
    code = (
        f"import os, sys; os.path.exists({str(broken)!r}) and sys.exit(1); import time; {{0}}time.sleep(60)"
    )
    async with at_work(tmp_path, StartStage((spec("one", tmp_path, code),))) as scene:
        broken.touch()
        (tmp_path / "one").unlink()
        parts_file.kill(tmp_path, "one")
        await until(lambda: scene.part("one").restarts >= 6, "it is started again and again")
        text = faults(tmp_path)["part_failing"]
        assert "one has failed" in text
        assert "one.log" in text
        broken.unlink()
        await until(lambda: scene.is_ready("one") and not faults(tmp_path), "it heals")
    assert said(scene.diary, "part_failing")[-1] == "cleared"


async def test_a_part_that_says_what_it_waits_for_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taxistream.local.care.SLOW_START_S", 0.1)

    async def ready(_: Running) -> ReadinessAnswer:
        return ReadinessAnswer((tmp_path / "go").exists(), "a transaction of shop-7 is open")

    waiting = replace(spec("one", tmp_path), ready=ready, start_s_max=0.2)
    diary = Diary()
    boss = supervisor(tmp_path, StartStage((waiting,)), diary=diary)
    task = asyncio.create_task(boss.run())
    await until(lambda: said(diary, "one"), "it is reported")
    assert said(diary, "one") == ["waits: a transaction of shop-7 is open"]
    [part] = parts_file.list_current(tmp_path)
    assert (part.state, part.reason, part.restarts) == (State.STARTING, "a transaction of shop-7 is open", 0)
    (tmp_path / "go").touch()
    await until(lambda: "ready" in said(diary, "one"), "ready")
    await until(lambda: parts_file.list_current(tmp_path)[0].reason == "", "it waits for nothing now")
    boss.stop()
    await task


async def test_a_part_that_waits_for_ever_is_ended_with_what_it_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taxistream.local.care.WAIT_S_MAX", 0.3)
    monkeypatch.setattr(module, "BACKOFF_S", (0.0,))

    async def never(_: Running) -> ReadinessAnswer:
        return ReadinessAnswer(is_ready=False, reason="no way")

    with pytest.raises(LocalError, match=r"not ready within 0 s \(no way\) while starting"):
        await supervisor(tmp_path, StartStage((replace(spec("one", tmp_path), ready=never),))).run()


async def test_what_cannot_be_started_is_tried_again_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log cannot be opened, or the system gives no process: a failure like others."""
    monkeypatch.setattr(module, "BACKOFF_S", (0.0, 0.05))
    async with at_work(tmp_path, StartStage((spec("one", tmp_path), spec("two", tmp_path)))) as scene:
        (tmp_path / "logs").rename(tmp_path / "away")
        (tmp_path / "logs").touch()
        parts_file.kill(tmp_path, "one")
        await until(lambda: len(said(scene.diary, "one")) > 3, "it was tried")
        assert said(scene.diary, "one")[-1].startswith("could not be started: File exists")
        assert scene.is_ready("two")
        (tmp_path / "logs").unlink()
        await until(lambda: scene.is_ready("one", restarts=2), "one is back")


# --- frozen and silent --------------------------------------------------------------------------------------


async def test_a_frozen_part_is_shown_and_replaced(tmp_path: Path) -> None:
    patience = Patience(frozen_s=1.0, silent_s=60)
    async with at_work(tmp_path, StartStage((replace(spec("one", tmp_path), patience=patience),))) as scene:
        before = scene.part("one").pid
        os.kill(before, signal.SIGSTOP)
        await until(lambda: scene.part("one").state is State.FROZEN, "it is shown", 5)
        assert scene.part("one").pid == before
        await until(lambda: scene.is_ready("one", restarts=1), "it is replaced", 5)
        assert not psutil.pid_exists(before)
        assert any("was frozen (stopped) for 1." in line for line in said(scene.diary, "one"))


async def test_a_part_that_is_frozen_for_a_moment_goes_on(tmp_path: Path) -> None:
    patience = Patience(frozen_s=5.0, silent_s=60)
    async with at_work(tmp_path, StartStage((replace(spec("one", tmp_path), patience=patience),))) as scene:
        os.kill(scene.part("one").pid, signal.SIGSTOP)
        await until(lambda: scene.part("one").state is State.FROZEN, "it is shown", 5)
        os.kill(scene.part("one").pid, signal.SIGCONT)
        await until(lambda: scene.is_ready("one"), "it goes on", 5)
        assert scene.part("one").restarts == 0


async def test_a_part_that_freezes_while_it_starts_is_started_again(tmp_path: Path) -> None:
    once = tmp_path / "once"
    code = (
        f"import os, signal, time; p = {str(once)!r}; "
        "os.path.exists(p) or (open(p, 'w').close(), os.kill(os.getpid(), signal.SIGSTOP)); {0}time.sleep(60)"
    )
    part = replace(spec("one", tmp_path, code), patience=Patience(frozen_s=1.0, silent_s=60))
    async with at_work(tmp_path, StartStage((part,))) as scene:
        assert scene.is_ready("one", restarts=1)


def asked(part: PartSpec, answers: list[ReadinessAnswer | None], patience: Patience) -> PartSpec:
    """The same part, which gives the last of `answers` when it is asked."""

    async def alive(_: Running) -> ReadinessAnswer | None:
        return answers[-1]

    return replace(part, alive=alive, patience=patience)


async def test_a_part_that_no_longer_answers_is_shown_and_replaced(tmp_path: Path) -> None:
    answers: list[ReadinessAnswer | None] = [ReadinessAnswer(is_ready=True)]
    part = asked(spec("one", tmp_path), answers, Patience(frozen_s=60, silent_s=1.0))
    async with at_work(tmp_path, StartStage((part,))) as scene:
        await asyncio.sleep(1.5)
        assert scene.part("one").restarts == 0
        answers.append(None)
        await until(lambda: scene.part("one").state is State.NOT_ANSWERING, "it is shown")
        await until(lambda: scene.part("one").restarts, "it is replaced")
        answers.append(ReadinessAnswer(is_ready=True))
        assert any("did not answer for" in line for line in said(scene.diary, "one"))


async def test_a_part_that_is_not_ready_any_more_says_why_and_is_left_alone(tmp_path: Path) -> None:
    answers: list[ReadinessAnswer | None] = [ReadinessAnswer(is_ready=False, reason="no broker")]
    part = asked(spec("one", tmp_path), answers, Patience(frozen_s=60, silent_s=1.0))
    diary = Diary()
    boss = supervisor(tmp_path, StartStage((part,)), diary=diary)
    task = asyncio.create_task(boss.run())
    await until(lambda: parts_file.read(tmp_path), "the file")
    scene = Scene(boss, diary, tmp_path, task)
    await until(lambda: scene.part("one").state is State.NOT_READY, "it is shown")
    assert scene.part("one").reason == "no broker"
    await asyncio.sleep(1.5)
    assert scene.part("one").restarts == 0
    answers.append(ReadinessAnswer(is_ready=True))
    await until(lambda: scene.is_ready("one"), "ready again")
    assert scene.part("one").reason == ""
    await scene.end()


async def test_a_supervisor_that_was_stopped_itself_replaces_no_part(tmp_path: Path) -> None:
    """As when a laptop sleeps: its own clock jumps, and a stopped part is about to go on."""
    patience = Patience(frozen_s=2.0, silent_s=2.0)
    async with at_work(tmp_path, StartStage((replace(spec("one", tmp_path), patience=patience),))) as scene:
        os.kill(scene.part("one").pid, signal.SIGSTOP)
        asyncio.get_running_loop().call_soon(time.sleep, 3.0)
        await asyncio.sleep(0)
        os.kill(scene.part("one").pid, signal.SIGCONT)
        await until(lambda: scene.is_ready("one"), "it goes on")
        assert scene.part("one").restarts == 0


# --- the disk ---------------------------------------------------------------------------------------------


class Disk:
    """A disk whose free space a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.space = Space(10_000, None)
        monkeypatch.setattr(room_module, "free_space", lambda _: self.space)
        monkeypatch.setattr(module, "LOOK_AT_DISK_S", 0.05)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def city(folder: Path) -> StartStage:
    broker = replace(spec("broker", folder), on_full_disk="wait")
    writer = replace(spec("writer", folder), on_full_disk="pause")
    return StartStage((broker, writer, spec("reader", folder)))


@pytest.mark.parametrize(
    ("space", "text"), [(Space(63, None), "Only 63 MB are free"), (Space(9999, 150), "Only 150 more files")]
)
async def test_a_full_disk_pauses_what_writes_and_heals(
    tmp_path: Path, disk: Disk, space: Space, text: str
) -> None:
    async with at_work(tmp_path, city(tmp_path)) as scene:
        pids = {name: scene.part(name).pid for name in ("broker", "writer", "reader")}
        disk.space = space
        await until(lambda: scene.part("writer").state is State.PAUSED, "it is paused")
        await until(lambda: "disk_full" in faults(tmp_path), "the fault is shown")
        assert text in faults(tmp_path)["disk_full"]
        assert text in scene.part("writer").reason
        await until(lambda: not psutil.pid_exists(pids["writer"]), "it has stopped")
        assert [scene.part(name).pid for name in ("broker", "reader")] == [pids["broker"], pids["reader"]]

        (tmp_path / "broker").unlink()
        parts_file.kill(tmp_path, "broker")
        await until(lambda: scene.part("broker").state is State.PAUSED, "the broker waits, too")

        disk.space = Space(100, None)  # less than what a start needs
        await asyncio.sleep(0.5)
        assert scene.part("writer").state is State.PAUSED

        disk.space = Space(200, None)
        await until(lambda: all(scene.is_ready(name) for name in pids), "all is well")
        await until(lambda: not faults(tmp_path), "the fault is over")
        assert scene.part("writer").restarts == 0
    assert said(scene.diary, "disk_full")[-1] == "cleared"
    assert said(scene.diary, "writer").count("paused") == 1


async def test_a_paused_demo_stops_in_order(tmp_path: Path, disk: Disk) -> None:
    async with at_work(tmp_path, city(tmp_path)) as scene:
        disk.space = Space(0, None)
        await until(lambda: scene.part("writer").state is State.PAUSED, "it is paused")
        await scene.end()
    assert {part.state for part in parts_file.list_current(tmp_path)} == {State.STOPPED}


async def test_a_broker_that_a_quota_ended_is_started_when_a_write_succeeds(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room on the disk, but not for us: only a write can tell."""
    full = True

    def probe(_: object) -> None:
        if full:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(room_module, "probe_write", probe)
    died = tmp_path / "died"
    code = (
        f"import os, sys, time; p = {str(died)!r}\n"
        "if os.path.exists(p):\n"
        "    os.unlink(p); print('java.io.IOException: Disk quota exceeded', flush=True); sys.exit(1)\n"
        "{0}time.sleep(60)"
    )
    broker = replace(spec("broker", tmp_path, code), on_full_disk="wait", explain=explain)
    async with at_work(tmp_path, StartStage((broker,))) as scene:
        (tmp_path / "broker").unlink()
        died.touch()
        parts_file.kill(tmp_path, "broker")
        await until(lambda: scene.part("broker").state is State.PAUSED, "it waits for room")
        assert "quota" in scene.part("broker").reason.lower()
        assert any("your quota on the disk is used up" in line for line in said(scene.diary, "broker"))
        restarts = scene.part("broker").restarts
        await asyncio.sleep(0.3)
        assert scene.part("broker").restarts == restarts
        full = False
        await until(lambda: scene.is_ready("broker"), "it runs again")
        await until(lambda: not faults(tmp_path), "the fault is over")


async def test_a_disk_that_is_full_at_the_start_ends_it_with_one_sentence(tmp_path: Path, disk: Disk) -> None:
    code = "import sys; print('x\\n\\tat java.io.F.write(F.java:1)\\nNo space left on device'); sys.exit(1)"
    broker = replace(
        spec("broker", tmp_path, code), on_full_disk="wait", explain=explain, shown_log=lambda text: text[:1]
    )
    with pytest.raises(LocalError, match="exit code 1 while starting: the disk is full") as caught:
        await supervisor(tmp_path, StartStage((broker,))).run()
    assert "Make room" in caught.value.do
    assert caught.value.details == "x"


async def test_a_status_file_that_cannot_be_written_keeps_its_last_state_and_ends_nothing(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taxistream.local.status_file.RETRY_S", 0.05)
    write = parts_file.write
    full = False

    def sometimes(folder: Path, parts: parts_file.Parts) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(folder, parts)

    monkeypatch.setattr(parts_file, "write", sometimes)
    async with at_work(tmp_path, StartStage((spec("one", tmp_path),))) as scene:
        before = scene.part("one")
        full = True
        (tmp_path / "one").unlink()
        parts_file.kill(tmp_path, "one")
        await until(lambda: said(scene.diary, "one").count("ready") == 2, "it was started again")
        known = parts_file.read(tmp_path)
        assert known is not None
        assert known.parts == [before]
        await until(lambda: said(scene.diary, "status_unwritable"), "the person sees it")
        assert (
            "parts.json cannot be written (No space left on device)"
            in said(scene.diary, "status_unwritable")[0]
        )
        full = False
        await until(lambda: scene.is_ready("one", restarts=1), "the file is up to date")
        await until(lambda: "cleared" in said(scene.diary, "status_unwritable"), "the fault is over")


# --- stopping ---------------------------------------------------------------------------------------------


async def test_a_terminal_that_hangs_up_twice_hurries_no_part(tmp_path: Path) -> None:
    """Its session and its foreground group get a signal each, and a write fails besides."""
    done = tmp_path / "done"
    code = (
        "import signal, sys, time; "
        f"signal.signal(15, lambda *_: (time.sleep(0.5), open({str(done)!r}, 'w').close(), sys.exit(0))); "
        "{0}time.sleep(60)"
    )
    async with at_work(tmp_path, StartStage((spec("one", tmp_path, code),))) as scene:
        for _ in range(3):
            scene.supervisor.stop_in_order()
        await scene.task
        assert done.exists()


async def test_ctrl_c_after_a_hangup_hurries(tmp_path: Path) -> None:
    part = spec("deaf", tmp_path, STUBBORN, stop_s_max=600)
    async with at_work(tmp_path, StartStage((part,))) as scene:
        scene.supervisor.stop_in_order()
        await asyncio.sleep(0.1)
        scene.supervisor.stop()
        async with asyncio.timeout(10):
            await scene.task


async def test_restarts_leak_neither_processes_nor_files(tmp_path: Path) -> None:
    part = replace(spec("one", tmp_path), patience=Patience(frozen_s=60, silent_s=60))
    async with at_work(tmp_path, StartStage((part,))) as scene:

        async def kill(times: int) -> tuple[int, int, int]:
            for _ in range(times):
                restarts = scene.part("one").restarts
                parts_file.kill(tmp_path, "one")
                await until(lambda n=restarts: scene.is_ready("one", restarts=n + 1), "back")  # type: ignore[misc]
            process = psutil.Process()
            await asyncio.sleep(0.1)
            return process.num_fds(), len(process.children()), len(asyncio.all_tasks())

        first = await kill(3)
        assert await kill(8) == first


async def test_the_last_bytes_of_a_disk_are_kept_to_say_that_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the reserve a disk that fills at once leaves a file that says that all is well."""
    write = parts_file.write
    full = False

    def needs_room(folder: Path, parts: parts_file.Parts) -> None:
        if full and (folder / "reserve").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(folder, parts)

    monkeypatch.setattr(parts_file, "write", needs_room)
    async with at_work(tmp_path, StartStage((spec("one", tmp_path),))) as scene:
        assert (tmp_path / "reserve").stat().st_size == 64 << 10
        full = True
        parts_file.kill(tmp_path, "one")
        await until(lambda: scene.is_ready("one", restarts=1), "the file says so")
        assert not faults(tmp_path)
        full = False
    assert not (tmp_path / "reserve").exists()
