# SPDX-License-Identifier: Apache-2.0
"""A cluster with TLS, passwords and rights: every service gets on with those that the documentation names."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from taxistream.local.broker import LocalBroker, prepare
from taxistream.local.ports import PortPool
from testing.live_demo import until
from tests.local.conftest import NEEDS_KAFKA, Taxi
from tests.local.secured import PASSWORD, documented_rights, grant, lock

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

PREFIX = "shared."
DRIVERS = 60


@contextmanager
def service(kind: str, environ: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", kind], env=os.environ | environ, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def status(url: str) -> Any:
    try:
        with urllib.request.urlopen(f"{url}/api/status", timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None


def on_shift(status: Any) -> int:
    """Drivers who are online, with a ride or without."""
    drivers = status["drivers"]
    return int(drivers["total"] - drivers["offline"] - drivers["lost"])


async def test_a_city_lives_on_a_cluster_with_tls_passwords_and_the_documented_rights_alone(
    tmp_path: Path, ports: PortPool, taxi: Taxi
) -> None:
    home = tmp_path / "kafka"
    secure_port, page_port = ports.take(), ports.take()
    plan = prepare(home, port=ports.take(), spoken_for=frozenset({secure_port, page_port}))
    certificate = lock(plan, home, secure_port)
    broker = LocalBroker(plan, home / "kafka.log")
    await broker.start()

    def as_user(user: str, password: str = PASSWORD) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{secure_port}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SSL_CAFILE": str(certificate),
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": password,
            "TAXI_PREFIX": PREFIX,
            "TAXI_DRIVERS": str(DRIVERS),
            "TAXI_PORT": str(page_port),
            "TAXI_GATEWAY_URL": f"http://127.0.0.1:{page_port}",
        }

    try:
        await grant(plan.bootstrap_servers, documented_rights(PREFIX))

        stranger = taxi("topics", **as_user("topics", "guessed"))
        assert stranger.returncode == 1
        assert "Traceback" not in stranger.stderr
        unentitled = taxi("topics", **as_user("gateway"))
        assert unentitled.returncode == 1
        made = taxi("topics", "--replication-factor", "1", "--json", **as_user("topics"))
        assert made.returncode == 0, made.stderr
        assert len(json.loads(made.stdout)["created"]) == 6

        with ExitStack() as stack:
            for kind in ("dispatcher", "simulator", "gateway", "verifier"):
                stack.enter_context(service(kind, as_user(kind), tmp_path / f"{kind}.log"))
            url = f"http://127.0.0.1:{page_port}"
            until(lambda: (s := status(url)) and on_shift(s) >= DRIVERS - 10, 90, "drivers on shift")
            compared = tmp_path / "verifier.log"
            until(
                lambda: "every gateway is compared" in compared.read_text(),
                60,
                "a gateway that is compared with the log",
            )
            for kind in ("dispatcher", "simulator", "gateway", "verifier"):
                said = (tmp_path / f"{kind}.log").read_text()
                assert "AuthorizationFailed" not in said, said
                assert "Traceback" not in said, said
    finally:
        await broker.stop()
