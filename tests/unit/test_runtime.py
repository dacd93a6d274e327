# SPDX-License-Identifier: Apache-2.0
"""The admin port and the exit codes of a service."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from taxi.runtime.admin import Readiness, routes, serving
from taxi.runtime.metrics import PrometheusMetrics


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
def metrics() -> PrometheusMetrics:
    return PrometheusMetrics({"cuts_total": "Cuts closed.", "lag_seconds": "Behind.", "ms": "Any."})


async def ask(readiness: Readiness, metrics: PrometheusMetrics, path: str) -> httpx.Response:
    app = Starlette(routes=list(routes("gateway-1", readiness, metrics)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin") as client:
        return await client.get(path)


@pytest.mark.anyio
async def test_a_service_is_healthy_at_once_and_ready_when_it_says_so(
    readiness: Readiness, metrics: PrometheusMetrics
) -> None:
    assert (await ask(readiness, metrics, "/healthz")).status_code == 200
    waiting = await ask(readiness, metrics, "/readyz")
    assert (waiting.status_code, waiting.json()["reason"]) == (503, "starting")
    readiness.ready()
    assert (await ask(readiness, metrics, "/readyz")).status_code == 200
    readiness.not_ready("lags")
    assert (await ask(readiness, metrics, "/readyz")).json()["reason"] == "lags"


@pytest.mark.anyio
async def test_metrics_are_exposed_with_their_help_and_labels(
    readiness: Readiness, metrics: PrometheusMetrics
) -> None:
    metrics.count("cuts_total", 2)
    metrics.gauge("ms", 3.5, topic="events")
    metrics.observe("lag_seconds", 0.02)
    text = (await ask(readiness, metrics, "/metrics")).text
    assert "# HELP cuts_total Cuts closed." in text
    assert "cuts_total 2.0" in text
    assert 'ms{topic="events"} 3.5' in text
    assert 'lag_seconds_bucket{le="0.025"} 1.0' in text


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("host", "status"), [("localhost", 200), ("127.0.0.1:9", 200), ("evil.example", 403)]
)
async def test_the_admin_port_is_not_for_pages_that_make_their_name_lead_here(
    readiness: Readiness, metrics: PrometheusMetrics, host: str, status: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with (
        serving("127.0.0.1", port, routes("gateway-1", readiness, metrics)),
        httpx.AsyncClient() as web,
    ):
        for path in ("/metrics", "/healthz"):
            answer = await web.get(f"http://127.0.0.1:{port}{path}", headers={"host": host})
            assert answer.status_code == status
        moved = await web.get(f"http://127.0.0.1:{port}/metrics/", headers={"host": host})
        assert moved.status_code in {403, 404}


def test_a_metric_without_a_help_text_is_a_bug(metrics: PrometheusMetrics) -> None:
    with pytest.raises(KeyError):
        metrics.count("unheard_of")


@pytest.mark.parametrize("service", ["simulator", "dispatcher", "gateway", "verifier"])
@pytest.mark.parametrize("setting", ["TAXI_ADMIN_PORT=x", "TAXI_DRIVRES=1"])
def test_a_service_with_a_bad_setting_ends_with_2_and_names_it(service: str, setting: str) -> None:
    key, value = setting.split("=")
    command = [sys.executable, "-m", service]
    environ = {**os.environ, key: value}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert key in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_admin_port_is_named_without_a_stack_trace() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environ = {**os.environ, "TAXI_ADMIN_PORT": str(port)}
        command = [sys.executable, "-m", "simulator"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"TAXI_ADMIN_PORT={port}: 127.0.0.1:{port} is in use" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file without room")
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_full_disk_ends_no_service_that_logs(form: str) -> None:
    code = (
        "import logging; from taxi.runtime import log\n"
        f"logger = log.configure(name='x', form={form!r}, level='info')\n"
        "for _ in range(1000): logger.info('lost' * 20); logging.warning('lost')\n"
        "print('alive')"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, check=True)
    assert done.stdout == b"alive\n"
