# SPDX-License-Identifier: Apache-2.0
"""`taxi demo` with a real broker; stand-ins that only say "ready" take the places of the services."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from taxistream.local.ports import PortPool
from testing.live_demo import until
from tests.local.conftest import NEEDS_KAFKA, STAND_INS, TAXI, Taxi

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
WITH_STAND_INS = {"PYTHONPATH": f"{STAND_INS}{os.pathsep}{ROOT}"}
NAMES = ["kafka", "dispatcher-1", "simulator", "gateway-1", "gateway-2", "verifier"]


class Demo:
    """A demo in the folder `.taxi` below `folder`."""

    def __init__(self, folder: Path, taxi: Taxi, ports: PortPool, *options: str, **env: str) -> None:
        self._taxi = taxi
        self._out = folder / "demo.out"
        places = ["--port", str(ports.take()), "--kafka-port", str(ports.take())]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("KAFKA_")}
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [TAXI, "demo", "--no-browser", *places, *options],
                cwd=folder,
                stdout=out,
                stderr=out,
                env={**clean, **WITH_STAND_INS, **env},
            )

    def ps(self) -> dict[str, dict[str, object]]:
        return {part["name"]: part for part in json.loads(self._taxi("ps", "--json").stdout)}

    def said(self) -> str:
        return self._out.read_text()

    def until_ready(self, *, name: str | None = None, restarts: int = 0) -> dict[str, dict[str, object]]:
        def ready() -> dict[str, dict[str, object]] | None:
            assert self.process.poll() is None, self.said()
            parts = self.ps()
            wanted = [parts.get(name, {})] if name else list(parts.values())
            good = [p for p in wanted if p.get("state") == "ready" and int(str(p["restarts"])) >= restarts]
            return parts if parts and len(good) == len(wanted) else None

        found: dict[str, dict[str, object]] = until(ready, 60, "every part ready")
        return found

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def demo(folder: Path, taxi: Taxi, ports: PortPool, *options: str, **env: str) -> Iterator[Demo]:
    running = Demo(folder, taxi, ports, *options, **env)
    try:
        yield running
    finally:
        running.stop()


def pids(parts: dict[str, dict[str, object]]) -> list[int]:
    return [int(str(part["pid"])) for part in parts.values()]


def cluster_id(folder: Path) -> str:
    return (folder / ".taxi" / "kafka" / "cluster-id").read_text()


def test_a_demo_starts_heals_and_stops_and_goes_on(tmp_path: Path, taxi: Taxi, ports: PortPool) -> None:
    with demo(tmp_path, taxi, ports) as first:
        parts = first.until_ready()
        assert list(parts) == NAMES
        assert all(part.keys() >= {"name", "pid", "port", "state", "restarts"} for part in parts.values())
        assert parts["gateway-1"]["port"] == parts["gateway-2"]["port"]
        until(lambda: "The city is live at http://127.0.0.1:" in first.said(), 5, "the address")
        assert [name for name in NAMES if f"✓ {name:<14} ready after" not in first.said()] == []
        assert "\x1b" not in first.said()

        second = taxi("demo", "--no-browser", "--port", str(ports.take()))
        assert second.returncode == 2
        assert f"pid {first.process.pid}" in second.stderr
        assert "http://127.0.0.1:" in second.stderr

        killed = taxi("kill", "gateway-1", "--json")
        assert killed.returncode == 0
        assert json.loads(killed.stdout) == {"name": "gateway-1", "pid": parts["gateway-1"]["pid"]}
        healed = first.until_ready(name="gateway-1", restarts=1)
        assert healed["gateway-1"]["pid"] != parts["gateway-1"]["pid"]
        assert {name: healed[name]["restarts"] for name in NAMES if name != "gateway-1"} == dict.fromkeys(
            [name for name in NAMES if name != "gateway-1"], 0
        )
        unknown = taxi("kill", "gateway-9")
        assert unknown.returncode == 2
        assert "kafka, dispatcher-1, simulator, gateway-1, gateway-2" in unknown.stderr

        before = cluster_id(tmp_path)
        assert first.stop() == 0
    assert not any(psutil.pid_exists(pid) for pid in pids(healed))
    assert json.loads(taxi("ps", "--json").stdout) == []
    assert json.loads(taxi("status", "--json").stdout or "null") is None

    with demo(tmp_path, taxi, ports) as next_run:
        next_run.until_ready()
        assert cluster_id(tmp_path) == before
        assert "6 there already" in next_run.said()
        assert next_run.stop(signal.SIGTERM) == 0

    with demo(tmp_path, taxi, ports, "--fresh", "--gateways", "1", "--dispatchers", "2") as fresh:
        assert list(fresh.until_ready()) == [
            "kafka",
            "dispatcher-1",
            "dispatcher-2",
            "simulator",
            "gateway-1",
            "verifier",
        ]
        assert cluster_id(tmp_path) != before
        assert "6 made" in fresh.said()


def test_after_everything_was_killed_the_next_start_recovers(
    tmp_path: Path, taxi: Taxi, ports: PortPool
) -> None:
    with demo(tmp_path, taxi, ports) as crashed:
        everything = pids(crashed.until_ready())
        before = cluster_id(tmp_path)
        for pid in (crashed.process.pid, *everything):
            with suppress(ProcessLookupError):  # died with its supervisor
                os.kill(pid, signal.SIGKILL)
        crashed.process.wait(10)
    assert {part["state"] for part in crashed.ps().values()} == {"stopped"}
    with demo(tmp_path, taxi, ports) as recovered:
        recovered.until_ready()
        assert cluster_id(tmp_path) == before
        assert "6 there already" in recovered.said()


def test_a_supervisor_that_was_killed_takes_its_parts_with_it_or_the_next_one_clears_them(
    tmp_path: Path, taxi: Taxi, ports: PortPool
) -> None:
    with demo(tmp_path, taxi, ports) as crashed:
        everything = pids(crashed.until_ready())
        crashed.process.kill()
        crashed.process.wait(10)
    with demo(tmp_path, taxi, ports) as recovered:
        recovered.until_ready()
        assert not any(psutil.pid_exists(pid) for pid in everything)


def test_a_killed_broker_comes_back_in_the_same_place(tmp_path: Path, taxi: Taxi, ports: PortPool) -> None:
    with demo(tmp_path, taxi, ports) as running:
        port = running.until_ready()["kafka"]["port"]
        taxi("kill", "kafka")
        assert running.until_ready(name="kafka", restarts=1)["kafka"]["port"] == port
        report = json.loads(taxi("topics", "--json", "--bounded").stdout)
        assert len(report["existing"]) == 6
        assert report["differences"] == []


@pytest.mark.parametrize(("code", "attempts"), [("2", 1), ("1", 3)])
def test_a_service_that_does_not_start_ends_the_demo_with_its_last_words(
    tmp_path: Path, taxi: Taxi, ports: PortPool, code: str, attempts: int
) -> None:
    with demo(tmp_path, taxi, ports, STAND_IN_FAILS="simulator", STAND_IN_CODE=code) as failing:
        assert failing.process.wait(60) == int(code)
    assert failing.said().count("simulator: the stand-in fails as asked") == attempts
    assert f"simulator ended with exit code {code} while starting" in failing.said()
    assert json.loads(taxi("ps", "--json").stdout) == []


def test_a_taken_page_port_is_named_with_who_has_it(tmp_path: Path, taxi: Taxi, ports: PortPool) -> None:
    port = ports.take()
    with socket.create_server(("127.0.0.1", port)):
        done = taxi("demo", "--no-browser", "--port", str(port))
    assert done.returncode == 2
    assert f"Port {port} (the page) is taken by" in done.stderr
    assert f"(pid {os.getpid()})" in done.stderr
    assert "--port" in done.stderr


def test_a_demo_uses_the_cluster_that_the_environment_names(
    tmp_path: Path, taxi: Taxi, ports: PortPool
) -> None:
    port = ports.take()
    alone = subprocess.Popen(
        [TAXI, "kafka", "--port", str(port), "--data-dir", "cluster"], cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    try:
        cluster = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}
        until(lambda: taxi("topics", **cluster).returncode == 0, 60, "the cluster serves")
        with demo(tmp_path, taxi, ports, **cluster) as running:
            assert list(running.until_ready()) == NAMES[1:]
            assert f"Using the Kafka at 127.0.0.1:{port}" in running.said()
        assert not (tmp_path / ".taxi" / "kafka").exists()
    finally:
        alone.send_signal(signal.SIGINT)
        assert alone.wait(30) == 0
