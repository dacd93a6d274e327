# SPDX-License-Identifier: Apache-2.0
"""`taxi loadtest` on a running city: nothing to blame through kills, and every lie of a gateway named."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taxi.bus.kafka.bus import KafkaBus
from taxi.runtime.machine_errors import LocalError
from taxi.runtime.settings import Settings
from taxistream.local.java import find as find_java
from taxistream.local.ports import PortPool
from taxistream.tools.loadtest.report import LoadReport
from taxistream.tools.loadtest.shell import Plan, run
from testing.live_demo import TAXI, LiveDemo, live_demo
from tests.e2e.conftest import missing
from tests.e2e.lying_proxy import LIES, lying

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.xdist_group("load test")]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory, ports: PortPool) -> Iterator[LiveDemo]:
    """A small city with two gateways."""
    try:
        find_java()
    except LocalError:
        missing("no Java")
    home = tmp_path_factory.mktemp("load") / "data"
    with live_demo(home, ports.take(), "--drivers", "400", "--gateways", "2") as running:
        yield running


def load_test(city: LiveDemo, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of `taxi loadtest`."""
    command = [TAXI, "loadtest", "--data-dir", str(city.data_dir), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


async def through_a_liar(city: LiveDemo, lie: str) -> LoadReport:
    """Five clients, for some seconds, behind a proxy that lies."""
    broker = city.parts()["kafka"]["port"]
    settings = Settings(kafka_bootstrap_servers=f"127.0.0.1:{broker}")
    bus = await KafkaBus.connect(settings, client_id="loadtest")
    try:
        async with lying(city.url, LIES[lie][0]) as url:
            return await run(Plan(url=url, clients=5, seconds=2, behavior=False), bus)
    finally:
        await bus.close()


def test_twenty_clients_live_through_two_kills(city: LiveDemo) -> None:
    code, report = load_test(
        city, "--clients", "20", "--seconds", "13", "--kill-every", "6s", "--view", "mixed"
    )
    assert (code, report["violations"], report["violations_total"]) == (0, {}, 0)
    assert report["kills"] == 2
    assert report["clients_disconnected"] >= 20
    assert report["recovery_ms"]["max"] < 10_000
    assert (report["clients"], report["live_at_end"]) == (20, 20)
    assert report["cuts"] > 1_000
    assert report["resumes"] >= 20
    assert report["updates_per_s"] > 1_000
    assert report["bytes_per_s"] > 10_000
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p99"] <= report["latency_ms"]["max"]
    assert report["resets"] == 0


def test_a_rolling_restart_costs_no_client_a_cut(city: LiveDemo) -> None:
    code, report = load_test(city, "--clients", "20", "--seconds", "13", "--restart-every", "6s", "--calm")
    assert (code, report["violations"]) == (0, {})
    assert report["restarts"] == 2
    assert (report["live_at_end"], report["resets"]) == (20, 0)


@pytest.mark.parametrize("lie", LIES)
def test_a_gateway_that_lies_is_blamed_by_name(city: LiveDemo, lie: str) -> None:
    report = asyncio.run(through_a_liar(city, lie))
    assert report.failed
    assert LIES[lie][1] & report.figures["violations"].keys(), report.figures["violations"]


def test_wrong_use_is_distinguished_from_broken_rules(city: LiveDemo, tmp_path: Path) -> None:
    def code(*options: str) -> tuple[int, str]:
        command = [TAXI, "loadtest", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr

    assert code("--data-dir", str(tmp_path))[0] == 2  # no demo, and no address either
    assert code("--data-dir", str(city.data_dir), "--kill-every", "often")[0] == 2
    assert code("--data-dir", str(city.data_dir), "--url", "127.0.0.1")[0] == 2
    assert code("--data-dir", str(city.data_dir), "--city", "atlantis")[0] == 2
    unreachable = code("--data-dir", str(city.data_dir), "--url", "http://127.0.0.1:9", "--clients", "1")
    assert unreachable[0] == 1
    assert "no gateway that answers" in unreachable[1]
