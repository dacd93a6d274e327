# SPDX-License-Identifier: Apache-2.0
"""parts.json: read, written whole, and never trusted about a pid."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from taxi.runtime import parts
from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxi.runtime.parts import Demo, DemoFault, Part, Parts, State


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def file_with(folder: Path, pid: int, created: float, *, demo_pid: int | None = None) -> None:
    demo_pid = demo_pid or os.getpid()
    demo = Demo(
        pid=demo_pid, created=parts.born(demo_pid), started_ms=1, url="http://x", bootstrap_servers="y"
    )
    part = Part(
        name="gateway-1", pid=pid, created=created, port=8000, admin_port=19200, state=State.READY, restarts=0
    )
    parts.write(folder, Parts(demo=demo, parts=[part]))


def test_what_is_written_is_read_and_leaves_no_other_file(tmp_path: Path) -> None:
    file_with(tmp_path, 1, 2.0)
    known = parts.read(tmp_path)
    assert known is not None
    assert known.parts[0].name == "gateway-1"
    assert [path.name for path in tmp_path.iterdir()] == ["parts.json"]


def test_no_file_is_no_demo(tmp_path: Path) -> None:
    assert parts.read(tmp_path) is None
    assert parts.list_current(tmp_path) == []
    with pytest.raises(LocalError, match="No demo runs") as caught:
        parts.kill(tmp_path, "gateway-1")
    assert caught.value.code == WRONG_USE


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "parts.json").write_text("{")
    with pytest.raises(LocalError, match=r"parts\.json is not readable"):
        parts.read(tmp_path)


def test_kill_sends_sigkill_to_that_part(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    file_with(tmp_path, sleeper.pid, parts.born(sleeper.pid))
    assert parts.kill(tmp_path, "gateway-1").pid == sleeper.pid
    assert sleeper.wait(5) == -signal.SIGKILL


def test_kill_names_the_parts_when_the_name_is_unknown(tmp_path: Path) -> None:
    file_with(tmp_path, os.getpid(), parts.born(os.getpid()))
    with pytest.raises(LocalError, match="There are gateway-1") as caught:
        parts.kill(tmp_path, "gateway-9")
    assert caught.value.code == WRONG_USE


def test_another_process_that_got_the_same_pid_is_left_alone(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    file_with(tmp_path, sleeper.pid, time.time() - 3600)
    with pytest.raises(LocalError, match="not running"):
        parts.kill(tmp_path, "gateway-1")
    assert parts.clear_leftovers(tmp_path) == []
    assert sleeper.poll() is None


def test_what_a_dead_demo_left_behind_is_cleared_away(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    file_with(tmp_path, sleeper.pid, parts.born(sleeper.pid))
    assert parts.clear_leftovers(tmp_path) == ["gateway-1"]
    assert not psutil.pid_exists(sleeper.pid)


def test_parts_of_a_demo_that_was_killed_count_as_stopped(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    file_with(tmp_path, gone.pid, time.time(), demo_pid=gone.pid)
    assert [(part.state, part.pid) for part in parts.list_current(tmp_path)] == [(State.STOPPED, 0)]


def test_the_file_has_the_fields_that_others_read(tmp_path: Path) -> None:
    file_with(tmp_path, 1, 2.0)
    raw = msgspec.json.decode((tmp_path / "parts.json").read_bytes())
    assert raw["demo"].keys() >= {"pid", "started_ms", "url", "bootstrap_servers"}
    wanted = {"name", "pid", "created", "port", "admin_port", "state", "restarts"}
    assert raw["parts"][0].keys() >= wanted


@pytest.mark.parametrize(
    "content", [b"", b'{"demo": {"pid": 1', b"\xff\xfe", b"null", b'{"demo": {"pid": -1}}']
)
def test_a_file_that_a_power_cut_damaged_is_named_and_does_not_keep_a_demo_from_starting(
    tmp_path: Path, content: bytes
) -> None:
    parts.path(tmp_path).write_bytes(content)
    with pytest.raises(LocalError, match=r"parts\.json is not readable"):
        parts.read(tmp_path)
    assert parts.clear_leftovers(tmp_path) == []
    file_with(tmp_path, 1, 2.0)
    assert parts.read(tmp_path) is not None


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    parts.path(tmp_path).mkdir()
    for use in (parts.read, parts.list_current, parts.faults):
        with pytest.raises(LocalError, match=r"parts\.json: Is a directory"):
            use(tmp_path)


def test_the_file_is_on_the_disk_before_it_takes_the_place_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut leaves an empty file under the new name."""
    happened: list[str] = []
    replace, fsync = Path.replace, os.fsync

    def noted(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object) -> object:
            happened.append(name)
            return call(*arguments)

        return wrapped

    monkeypatch.setattr(os, "fsync", noted("fsync", fsync))
    monkeypatch.setattr(Path, "replace", noted("replace", replace))
    file_with(tmp_path, 1, 2.0)
    assert happened == ["fsync", "replace"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file without room")
def test_a_write_without_room_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    file_with(tmp_path, 1, 2.0)
    before = parts.path(tmp_path).read_bytes()
    (tmp_path / "parts.new").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        file_with(tmp_path, 5, 6.0)
    assert parts.path(tmp_path).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["parts.json"]


def test_the_file_stays_while_a_part_still_runs(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    """After a stop that was cut short the next start has to find what is left."""
    file_with(tmp_path, sleeper.pid, parts.born(sleeper.pid))
    parts.remove(tmp_path)
    assert parts.path(tmp_path).exists()
    assert parts.clear_leftovers(tmp_path) == ["gateway-1"]
    parts.remove(tmp_path)
    assert not parts.path(tmp_path).exists()


def test_faults_are_those_of_a_demo_that_runs(tmp_path: Path) -> None:
    file_with(tmp_path, 1, 2.0)
    known = parts.read(tmp_path)
    assert known is not None
    full = DemoFault(code="disk_full", text="Only 3 MB are free.")
    parts.write(tmp_path, msgspec.structs.replace(known, faults=[full]))
    assert parts.faults(tmp_path) == [full]
    gone = msgspec.structs.replace(known.demo, created=1.0)
    parts.write(tmp_path, Parts(demo=gone, parts=[], faults=[full]))
    assert parts.faults(tmp_path) == []


def test_a_part_whose_process_has_ended_is_not_ready_whatever_the_file_says(tmp_path: Path) -> None:
    """On a full disk the file may be old."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    file_with(tmp_path, gone.pid, time.time())
    [part] = parts.list_current(tmp_path)
    assert (part.state, part.reason) == (State.RESTARTING, "its process has ended")
