# SPDX-License-Identifier: Apache-2.0
"""Two demos that are started at the same moment, with a real broker each and stand-ins for the services."""

import json
import os
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from taxistream.local.ports import PortPool
from testing.live_demo import until
from tests.local.conftest import NEEDS_KAFKA, STAND_INS, TAXI

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("KAFKA_")}
ENVIRON = CLEAN | {"PYTHONPATH": f"{STAND_INS}{os.pathsep}{ROOT}"}


class Demo:
    """A demo in a folder of its own; Kafka's port is chosen by the demo."""

    def __init__(self, folder: Path, page_port: int) -> None:
        folder.mkdir()
        self._folder = folder
        self._out = folder / "out"
        command = [TAXI, "demo", "--no-browser", "--gateways", "1", "--port", str(page_port)]
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out, env=ENVIRON)

    def __enter__(self) -> "Demo":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(30)

    def said(self) -> str:
        return self._out.read_text()

    def is_decided(self) -> bool:
        return "is live" in self.said() or self.process.poll() is not None

    def part(self, name: str) -> dict[str, object]:
        done = subprocess.run(
            [TAXI, "ps", "--json"], cwd=self._folder, capture_output=True, text=True, env=CLEAN, check=True
        )
        found: dict[str, object] = next(part for part in json.loads(done.stdout) if part["name"] == name)
        return found


def test_two_demos_that_start_together_choose_different_ports_for_kafka(
    tmp_path: Path, ports: PortPool
) -> None:
    with ExitStack() as stack:
        demos = [stack.enter_context(Demo(tmp_path / name, ports.take())) for name in ("one", "two", "three")]
        until(lambda: all(demo.is_decided() for demo in demos), 120, "all three have started or failed")
        assert [demo.process.poll() for demo in demos] == [None] * 3, [demo.said() for demo in demos]
        used = [demo.part("kafka")["port"] for demo in demos]
        assert len(set(used)) == 3
        assert [demo.part("kafka")["restarts"] for demo in demos] == [0, 0, 0]


def test_of_two_demos_that_want_one_page_port_one_is_refused(tmp_path: Path, ports: PortPool) -> None:
    port = ports.take()
    with Demo(tmp_path / "one", port) as one, Demo(tmp_path / "two", port) as two:
        until(lambda: one.is_decided() and two.is_decided(), 120, "both have started or failed")
        assert sorted([str(one.process.poll()), str(two.process.poll())]) == ["2", "None"]
        loser, winner = (one, two) if one.process.poll() == 2 else (two, one)
        assert f"Port {port} (the page) is taken by" in loser.said()
        assert f"(pid {winner.process.pid})" in loser.said()
        assert "Traceback" not in loser.said()


def test_a_port_that_another_program_takes_at_the_last_moment_is_given_up(
    tmp_path: Path, ports: PortPool
) -> None:
    """Not even a demo can hold a TCP port for Kafka: what binds it in the meantime gets it."""
    thief = tmp_path / "sitecustomize.py"
    thief.write_text(
        "import socket, sys\n"
        "if sys.argv[0].endswith('taxi'):\n"
        "    from taxistream.local import broker_files\n"
        "    write = broker_files.BrokerFiles.write\n"
        "    def steal(self, port, *rest):\n"
        "        if not hasattr(broker_files, 'stolen'):\n"
        "            broker_files.stolen = socket.create_server(('127.0.0.1', port))\n"
        "        write(self, port, *rest)\n"
        "    broker_files.BrokerFiles.write = steal\n"
    )
    environ = ENVIRON | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ENVIRON['PYTHONPATH']}"}
    out = tmp_path / "out"
    command = [TAXI, "demo", "--no-browser", "--gateways", "1", "--port", str(ports.take())]
    with out.open("wb") as file:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=file, stderr=file, env=environ)
    try:
        until(
            lambda: "is live" in out.read_text() or process.poll() is not None,
            120,
            "it has started or failed",
        )
        assert process.poll() is None, out.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert "Traceback" not in out.read_text()
