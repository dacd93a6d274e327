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
CITIES = "manhattan,helsinki"
PLACES = {
    "manhattan": ((-73.98565, 40.75743), (-73.98396, 40.75369)),
    "helsinki": ((24.9452, 60.1675), (24.9440, 60.1705)),
}
BEGUN = {"OFFERED", "ASSIGNED", "ARRIVED", "ON_TRIP", "COMPLETED"}


def ask_for_a_ride(city: LiveDemo, name: str) -> Any:
    pickup, dropoff = PLACES[name]
    body = json.dumps({"ride": f"web-{name}", "pickup": pickup, "dropoff": dropoff}).encode()
    request = urllib.request.Request(
        f"{city.url}/api/rides?city={name}", body, {"content-type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status, json.load(answer)["ride"]


def state_of(city: LiveDemo, name: str) -> str | None:
    """None until the dispatcher has heard of it."""
    try:
        return str(city.get(f"/api/rides/web-{name}?city={name}")["state"])
    except urllib.error.HTTPError:
        return None


def test_cities_live_in_one_process_without_java_and_says_what_it_cannot_show(
    tmp_path: Path, ports: PortPool, taxi: Taxi
) -> None:
    options = ("--bus", "memory", "--drivers", str(DRIVERS), "--cities", CITIES)
    with live_demo(tmp_path / "city", ports.take(), *options, PATH="/nonexistent", JAVA_HOME="") as city:
        assert [(name, part["pid"]) for name, part in city.parts().items()] == [("city", city.process.pid)]
        for name in PLACES:
            status = f"/api/status?city={name}"
            until(lambda: city.get(status)["drivers"]["total"] == DRIVERS, 60, f"all drivers of {name}")  # noqa: B023
            assert ask_for_a_ride(city, name) == (202, f"web-{name}")
        for name in PLACES:
            until(lambda: state_of(city, name) in BEGUN, 60, f"an offer to a driver in {name}")  # noqa: B023
        with pytest.raises(urllib.error.HTTPError, match="404"):
            city.get("/api/rides/web-helsinki?city=manhattan")
        said = taxi("status", "--json", "--data-dir", str(tmp_path / "city"))
        first = json.loads(said.stdout)
        assert [first["city"], *(other["city"] for other in first["other_cities"])] == CITIES.split(",")
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
