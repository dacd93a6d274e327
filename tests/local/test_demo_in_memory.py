# SPDX-License-Identifier: Apache-2.0
"""`taxi demo --bus memory`: the real services in one process, where neither Java nor Kafka is."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from taxistream.local.ports import PortPool
from testing.live_demo import LiveDemo, live_demo, until
from tests.local.conftest import Taxi

DRIVERS = 150
TIMES_SQUARE, BRYANT_PARK = (-73.98565, 40.75743), (-73.98396, 40.75369)
BEGUN = {"OFFERED", "ASSIGNED", "ARRIVED", "ON_TRIP", "COMPLETED"}


def ask_for_a_ride(city: LiveDemo) -> Any:
    body = json.dumps({"ride": "web-memory", "pickup": TIMES_SQUARE, "dropoff": BRYANT_PARK}).encode()
    request = urllib.request.Request(
        f"{city.url}/api/rides", body, {"content-type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status, json.load(answer)["ride"]


def state_of(city: LiveDemo, ride: str) -> str | None:
    """None until the dispatcher has heard of it."""
    try:
        return str(city.get(f"/api/rides/{ride}")["state"])
    except urllib.error.HTTPError:
        return None


def test_a_city_lives_in_one_process_without_java_and_says_what_it_cannot_show(
    tmp_path: Path, ports: PortPool
) -> None:
    options = ("--bus", "memory", "--drivers", str(DRIVERS))
    with live_demo(tmp_path / "city", ports.take(), *options, PATH="/nonexistent", JAVA_HOME="") as city:
        assert [(name, part["pid"]) for name, part in city.parts().items()] == [("city", city.process.pid)]
        until(lambda: city.get("/api/status")["drivers"]["total"] == DRIVERS, 60, "all drivers on the page")
        assert ask_for_a_ride(city) == (202, "web-memory")
        until(lambda: state_of(city, "web-memory") in BEGUN, 60, "an offer to a driver")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            city.get("/api/parts")  # no kill button: there is nothing to kill
        assert city.stop() == 0
        for words in ("one process, no Kafka", "no data outlives this process", "nothing was kept"):
            assert words in city.printed()
    assert {path.name for path in (tmp_path / "city").iterdir()} == {"taxistream", "lock", "logs"}


@pytest.mark.parametrize(
    ("option", "environ"),
    [
        (("--gateways", "3"), {}),
        (("--dispatchers", "2"), {}),
        (("--kafka-port", "9999"), {}),
        (("--fresh",), {}),
        ((), {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}),
    ],
)
def test_what_needs_kafka_is_refused_and_never_passed_over(
    taxi: Taxi, option: tuple[str, ...], environ: dict[str, str]
) -> None:
    done = taxi("demo", "--no-browser", "--bus", "memory", *option, **environ)
    assert done.returncode == 2
    assert (option[0] if option else "KAFKA_BOOTSTRAP_SERVERS") in done.stderr


def test_a_service_that_fails_ends_the_city_with_its_reason(taxi: Taxi) -> None:
    done = taxi("demo", "--no-browser", "--bus", "memory", TAXI_CITY="atlantis")
    assert done.returncode != 0
    assert "atlantis" in done.stderr
    assert "Traceback" not in done.stderr
