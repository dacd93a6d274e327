# SPDX-License-Identifier: Apache-2.0
"""Killing, freezing and waking parts of a local demo: which process gets the signal, and who may ask."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from gateway.http.app import PART_SIGNALS
from taxi.runtime.parts import Demo as DemoPart
from taxi.runtime.parts import Part, Parts, State
from taxi.runtime.parts import write as write_parts
from testing.gateway_harness import GatewayHarness
from tests.unit.gateway.web import assert_problem, client, site


class Demo:
    """A demo's folder with one real process in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        self.write(psutil.Process(self.process.pid).create_time())

    def write(self, created: float) -> None:
        demo = DemoPart(pid=1, created=0, started_ms=1, url="", bootstrap_servers="")
        part = Part(
            name="gateway-1",
            pid=self.process.pid,
            created=created,
            port=None,
            admin_port=None,
            state=State.READY,
            restarts=2,
        )
        write_parts(self.folder, Parts(demo=demo, parts=[part]))

    def is_frozen(self) -> bool:
        return psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def test_the_kill_button_kills_the_part_it_names(harness: GatewayHarness, tmp_path: Path) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        demo = Demo(tmp_path)
        try:
            async with client(site(harness, tmp_path)) as web:
                parts = (await web.get("/api/parts")).json()["parts"]
                assert parts[0] | {"pid": 0} == {
                    "name": "gateway-1",
                    "pid": 0,
                    "state": "ready",
                    "restarts": 2,
                }
                assert (await web.get("/api/status")).json()["parts"] == ["gateway-1"]
                answer = await web.post("/api/parts/gateway-1/kill")
                assert answer.status_code == 202
                assert demo.process.wait(10) == -signal.SIGKILL
                assert_problem(await web.post("/api/parts/gateway-1/kill"), 409)
                assert_problem(await web.post("/api/parts/nobody/kill"), 404)
        finally:
            demo.end()

    harness.run(scenario())


def test_a_part_is_frozen_and_woken_and_is_the_same_process(harness: GatewayHarness, tmp_path: Path) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        demo = Demo(tmp_path)
        try:
            async with client(site(harness, tmp_path)) as web:
                answer = await web.post("/api/parts/gateway-1/freeze")
                assert (answer.status_code, answer.json()) == (
                    202,
                    {"part": "gateway-1", "pid": demo.process.pid},
                )
                until(demo.is_frozen)
                assert (await web.post("/api/parts/gateway-1/wake")).status_code == 202
                until(lambda: not demo.is_frozen())
                assert demo.process.poll() is None
                # A frozen process is one that can be killed.
                await web.post("/api/parts/gateway-1/freeze")
                until(demo.is_frozen)
                assert (await web.post("/api/parts/gateway-1/kill")).status_code == 202
                assert demo.process.wait(10) == -signal.SIGKILL
                for action in PART_SIGNALS:
                    assert_problem(await web.post(f"/api/parts/gateway-1/{action}"), 409)
                    assert_problem(await web.post(f"/api/parts/nobody/{action}"), 404)
                assert_problem(await web.post("/api/parts/gateway-1/stop"), 404)
                for action in PART_SIGNALS:
                    assert_problem(await web.get(f"/api/parts/gateway-1/{action}"), 405)
        finally:
            demo.end()

    harness.run(scenario())


def until(condition: Callable[[], bool]) -> None:
    """Wait for another process, which virtual time does not make faster. Raises TimeoutError after 10 s."""
    end_s = time.monotonic() + 10
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError("the process did not change")
        time.sleep(0.01)


@pytest.mark.parametrize("action", PART_SIGNALS)
@pytest.mark.parametrize(
    ("peer", "host", "origin"),
    [
        ("192.0.2.7", "127.0.0.1:8000", None),
        ("127.0.0.1", "evil.example:8000", "http://evil.example:8000"),
        ("127.0.0.1", "127.0.0.1:8000", "http://evil.example"),
        ("127.0.0.1", "127.0.0.1:8000", "null"),
        ("127.0.0.1", "127.0.0.1:8000", "http://["),
        ("127.0.0.1", "127.0.0.1:8000", "http://127.0.0.1:8001"),
        ("127.0.0.1", "127.0.0.1:8000", "http://127.0.0.1:99999"),
        ("127.0.0.1", "notlocalhost:8000", None),
        ("unknown", "127.0.0.1:8000", None),
        ("", "127.0.0.1:8000", None),
    ],
)
def test_the_kill_button_works_from_its_own_page_alone(
    harness: GatewayHarness, tmp_path: Path, peer: str, host: str, origin: str | None, action: str
) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        demo = Demo(tmp_path)
        try:
            async with client(site(harness, tmp_path), peer, host) as web:
                headers = {} if origin is None else {"origin": origin}
                assert_problem(await web.post(f"/api/parts/gateway-1/{action}", headers=headers), 403)
            assert demo.process.poll() is None
            assert not demo.is_frozen()
        finally:
            demo.end()

    harness.run(scenario())


@pytest.mark.parametrize("action", PART_SIGNALS)
def test_another_process_under_an_old_number_is_left_alone(
    harness: GatewayHarness, tmp_path: Path, action: str
) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        demo = Demo(tmp_path)
        try:
            demo.write(created=1.0)
            async with client(site(harness, tmp_path)) as web:
                assert_problem(await web.post(f"/api/parts/gateway-1/{action}"), 409)
            assert psutil.pid_exists(demo.process.pid)
            assert not demo.is_frozen()
            assert os.getpid() != demo.process.pid
        finally:
            demo.end()

    harness.run(scenario())


def test_a_damaged_list_of_parts_is_a_problem_not_a_crash(harness: GatewayHarness, tmp_path: Path) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        (tmp_path / "parts.json").write_text("{")
        async with client(site(harness, tmp_path)) as web:
            assert_problem(await web.get("/api/parts"), 500)

    harness.run(scenario())
