# SPDX-License-Identifier: Apache-2.0
"""`taxi demo --speed`: only dispatchers get it, and what is no speed is refused before anything starts."""

from pathlib import Path

import pytest

from taxistream.local.demo import DemoOptions, batch_interval_ms, service_parts
from tests.local.conftest import Taxi


def variables_of(kind: str, tmp_path: Path, speed: int) -> dict[str, str]:
    options = DemoOptions(
        drivers=10,
        seed=7,
        load=0.8,
        speed=speed,
        gateways=1,
        dispatchers=1,
        host="127.0.0.1",
        port=8000,
        data_dir=tmp_path,
    )
    part = next(part for part in service_parts(options, {}) if part.name.startswith(kind))
    return dict(part.env(0))


@pytest.mark.parametrize(("speed", "interval_ms"), [(2, "1000"), (10, "400"), (30, "400")])
def test_a_dispatcher_of_a_city_that_lives_faster_decides_more_often(
    tmp_path: Path, speed: int, interval_ms: str
) -> None:
    variables = variables_of("dispatcher", tmp_path, speed)
    assert (variables["TAXI_SPEED"], variables["TAXI_BATCH_INTERVAL_MS"]) == (str(speed), interval_ms)


def test_in_real_time_the_interval_is_the_default() -> None:
    assert batch_interval_ms(1) == 2_000


def test_the_environment_says_how_often_is_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_BATCH_INTERVAL_MS", "700")
    assert variables_of("dispatcher", tmp_path, 10)["TAXI_BATCH_INTERVAL_MS"] == "700"


@pytest.mark.parametrize("kind", ["simulator", "gateway"])
def test_the_others_take_the_speed_from_the_log(tmp_path: Path, kind: str) -> None:
    assert "TAXI_SPEED" not in variables_of(kind, tmp_path, 10)


@pytest.mark.parametrize("speed", ["0", "31", "1.5", "fast"])
def test_what_is_no_speed_is_refused(taxi: Taxi, speed: str) -> None:
    for done in (
        taxi("demo", "--speed", speed),
        taxi("demo", TAXI_SPEED=speed),
        taxi("dispatcher", TAXI_SPEED=speed),
    ):
        assert done.returncode == 2
        assert "speed" in done.stderr.lower()
