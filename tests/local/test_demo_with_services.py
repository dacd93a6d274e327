# SPDX-License-Identifier: Apache-2.0
"""`taxi demo` as it is: the real services are killed one by one, then everything is stopped and goes on."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from taxistream.local.ports import PortPool
from testing.live_demo import LiveDemo, live_demo, until
from tests.local.conftest import NEEDS_KAFKA, Taxi

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

DRIVERS = 200


def everyone(city: LiveDemo, after: int = 0) -> Any:
    """The city's status once all drivers are in it and its log has passed `after`."""
    try:
        status = city.get("/api/status")
    except OSError:
        return None
    return status if status["drivers"]["total"] == DRIVERS and status["cursor"]["ev"] > after else None


def runs_again(city: LiveDemo, name: str) -> bool:
    part = city.parts()[name]
    return bool(part["restarts"] >= 1 and part["state"] == "ready")


OWN_SERVICE = """
import os, sys, time
print("log at", os.environ["KAFKA_BOOTSTRAP_SERVERS"], *sys.argv[1:], flush=True)
time.sleep(0 if sys.argv[1:] else 600)
"""


def test_every_real_part_heals_and_the_city_goes_on(tmp_path: Path, ports: PortPool, taxi: Taxi) -> None:
    folder, own, kafka_port = tmp_path / "city", tmp_path / "own.py", ports.take()
    own.write_text(OWN_SERVICE)
    options = ("--drivers", str(DRIVERS), "--kafka-port", str(kafka_port), "--with", str(own))
    with live_demo(folder, port := ports.take(), *options) as city:
        before = until(partial(everyone, city), 60, "all drivers")
        processes = [psutil.Process(part["pid"]) for part in city.parts().values()]
        for name in ("gateway-1", "gateway-2", "simulator", "dispatcher-1", "own", "kafka"):
            assert taxi("kill", name, "--data-dir", str(folder)).returncode == 0
            until(partial(runs_again, city, name), 60, f"{name} runs again")
        now = until(partial(everyone, city, after=before["cursor"]["ev"]), 60, "news from the city")
        assert now["cursor"]["epoch"] == before["cursor"]["epoch"]
        said = f"log at 127.0.0.1:{kafka_port}"
        assert (folder / "logs" / "own.log").read_text().splitlines() == [said, said]
        assert taxi("run", "own.py", "x", "--data-dir", "city").stdout == f"{said} x\n"
        processes += [psutil.Process(part["pid"]) for part in city.parts().values()]
        assert city.stop() == 0
    assert [process for process in processes if process.is_running()] == []

    with live_demo(folder, port, *options) as city:
        after = city.get("/api/status")
        assert after["cursor"]["epoch"] == before["cursor"]["epoch"]
        assert after["cursor"]["ev"] >= now["cursor"]["ev"]


@pytest.mark.parametrize("kind", ["simulator", "dispatcher", "gateway"])
def test_a_service_alone_names_a_bad_setting_and_exits_2(taxi: Taxi, kind: str) -> None:
    done = taxi(kind, KAFKA_SECURITY_PROTOCOL="TLS")
    assert done.returncode == 2
    assert "KAFKA_SECURITY_PROTOCOL='TLS'" in done.stderr


def test_a_service_is_the_same_by_either_name(taxi: Taxi) -> None:
    by_command = taxi("simulator", TAXI_DRIVERS="0")
    by_module = psutil.Popen(
        [sys.executable, "-m", "simulator"], env={**os.environ, "TAXI_DRIVERS": "0"}, stderr=-1, text=True
    )
    _, said = by_module.communicate(timeout=60)
    assert (by_command.returncode, by_command.stderr) == (by_module.returncode, said) == (2, said)
    assert "TAXI_DRIVERS='0'" in said
