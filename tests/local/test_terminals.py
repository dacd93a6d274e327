# SPDX-License-Identifier: Apache-2.0
"""`taxi demo` with the terminal or pipe that it prints to: too few signs, closed, or interrupted early."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from taxistream.local.ports import PortPool
from testing.live_demo import until
from tests.local.conftest import STAND_INS, Taxi

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "taxistream"]
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("KAFKA_")}
ENVIRON = CLEAN | {"PYTHONPATH": f"{STAND_INS}{os.pathsep}{ROOT}", "PYTHONUNBUFFERED": "1"}


ENDS_S_MAX = 120
"""A process that has not ended by then hangs. It takes two seconds, and much longer on a starved machine."""


def demo_command(ports: PortPool) -> list[str]:
    places = ["--port", str(ports.take()), "--kafka-port", str(ports.take())]
    return [*COMMAND, "demo", "--no-browser", *places]


def parts(taxi: Taxi) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(taxi("ps", "--json").stdout)
    return found


def all_ready(taxi: Taxi) -> list[dict[str, object]]:
    found = parts(taxi)
    return found if len(found) == 6 and all(part["state"] == "ready" for part in found) else []


def check_orderly_end(folder: Path, was: list[dict[str, object]]) -> None:
    """Nothing runs any more, the broker has shut down by itself, and nothing is left to clear."""
    assert not any(psutil.pid_exists(int(str(part["pid"]))) for part in was)
    assert (folder / ".taxi" / "kafka" / "data" / ".kafka_cleanshutdown").exists()
    assert not (folder / ".taxi" / "parts.json").exists()


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka_is_here")
def test_a_closed_pipe_stops_everything_in_order(tmp_path: Path, taxi: Taxi, ports: PortPool) -> None:
    process = subprocess.Popen(
        demo_command(ports), cwd=tmp_path, env=ENVIRON, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    running = until(lambda: all_ready(taxi), 60, "all ready")
    process.stdout.close()
    taxi("kill", "simulator")  # so that there is something to print
    assert process.wait(ENDS_S_MAX) == 0
    assert process.stderr.read() == b""
    process.stderr.close()
    check_orderly_end(tmp_path, running)


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka_is_here")
def test_a_closed_terminal_stops_everything_in_order(tmp_path: Path, taxi: Taxi, ports: PortPool) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *demo_command(ports)],
        cwd=tmp_path,
        env=ENVIRON,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        running = until(lambda: all_ready(taxi), 60, "all ready")
    finally:
        os.close(ours)  # the terminal is gone: SIGHUP to its session, EIO to who writes
    process.wait(ENDS_S_MAX)
    until(lambda: not (tmp_path / ".taxi" / "parts.json").exists(), 30, "the orderly end")
    check_orderly_end(tmp_path, running)


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka_is_here")
def test_under_nohup_a_hangup_stops_nothing(tmp_path: Path, taxi: Taxi, ports: PortPool) -> None:
    with (tmp_path / "out").open("wb") as out:
        command = ["nohup", *demo_command(ports)]
        process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRON, stdout=out, stderr=out)
    running = until(lambda: all_ready(taxi), 60, "all ready")
    process.send_signal(signal.SIGHUP)
    taxi("kill", "simulator")
    until(lambda: any(p["restarts"] == 1 for p in all_ready(taxi)), 30, "the simulator is back")
    process.send_signal(signal.SIGINT)
    assert process.wait(ENDS_S_MAX) == 0
    check_orderly_end(tmp_path, running)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.kafka
@pytest.mark.usefixtures("kafka_is_here")
def test_a_terminal_without_our_signs_gets_others(
    encoding: str, tmp_path: Path, taxi: Taxi, ports: PortPool
) -> None:
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [*demo_command(ports), "--data-dir", "Дом"],
            cwd=tmp_path,
            env=ENVIRON | {"PYTHONIOENCODING": encoding, "LC_ALL": "C"},
            stdout=out,
            stderr=out,
        )
    until(lambda: b"is live" in (tmp_path / "out").read_bytes() or process.poll() is not None, 60, "live")
    process.send_signal(signal.SIGINT)
    said = (tmp_path / "out").read_bytes()
    assert process.wait(ENDS_S_MAX) == 0, said
    assert b"+ kafka          ready after" in said
    assert b"Traceback" not in said


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["doctor", "--port", "23047"], ["ps"]])
def test_every_command_speaks_to_an_ascii_terminal(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        env=ENVIRON | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert (done.stdout + done.stderr).isascii()


OUR_FRAME = re.compile(rb'File "[^"]*/taxistream/[^"]*", line \d+, in .*\n    (?!import signal)')
"""A line of ours in a traceback; not the one before that which takes care of Ctrl-C."""


def is_of_the_interpreter(said: bytes) -> bool:
    """Whether it was interrupted before it ran our code. What it prints then cannot be changed."""
    has_failed = b"Traceback" in said or b"Fatal Python error" in said or b"Could not import runpy" in said
    return has_failed and not OUR_FRAME.search(said)


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka_is_here")
def test_ctrl_c_at_any_moment_of_a_start_is_no_traceback_and_the_next_start_works(
    tmp_path: Path, taxi: Taxi, ports: PortPool
) -> None:
    command = demo_command(ports)
    for delay_s in (0.08, 0.15, 0.2, 0.3, 0.45, 0.6, 0.9, 1.2, 1.6, 2.2):
        process = subprocess.Popen(
            command, cwd=tmp_path, env=ENVIRON, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        time.sleep(delay_s)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=ENDS_S_MAX)
        if is_of_the_interpreter(said):
            continue
        assert b"Traceback" not in said, f"after {delay_s} s: {said!r}"
        assert process.returncode in {0, 130, -signal.SIGINT}, f"after {delay_s} s: {said!r}"
        assert not (tmp_path / ".taxi" / "parts.json").exists(), f"after {delay_s} s"
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRON, stdout=out, stderr=out)
    running = until(lambda: all_ready(taxi), 60, "all ready")
    for _ in range(3):  # the second one hurries; the third may come when all is over
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert process.wait(ENDS_S_MAX) in {0, 130, -signal.SIGINT}
    assert "Traceback" not in (tmp_path / "out").read_text()
    assert not any(psutil.pid_exists(int(str(part["pid"]))) for part in running)
    assert not (tmp_path / ".taxi" / "parts.json").exists()


def test_the_program_is_the_one_that_takes_care_of_ctrl_c() -> None:
    assert 'taxi = "taxistream.__main__:main"' in (ROOT / "pyproject.toml").read_text()
