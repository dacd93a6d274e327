# SPDX-License-Identifier: Apache-2.0
"""The control of scenarios over HTTP: what it lists, what it writes, and for which roles it works."""

from functools import partial
from pathlib import Path

import pytest

from gateway.access.tokens import Role
from taxi import messages as m
from testing.gateway_harness import GatewayHarness
from tests.unit.gateway.web import SECRET, assert_problem, bearer, client, commands, site

RAIN = """
title = "Rain"
about = "It rains."
lasts_s = 60
assumptions = ["a"]
sources = ["s"]
drive_percent = 120
"""
HERE = """
[areas.grid]
title = "Here"
lng = 1.5
lat = 2.5
radius_m = 300
"""
ELSEWHERE = HERE.replace("grid", "atlantis")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rain.toml").write_text(RAIN)
    (tmp_path / "here.toml").write_text(RAIN + HERE)
    (tmp_path / "elsewhere.toml").write_text(RAIN + ELSEWHERE)
    return tmp_path


STARTED = partial(m.ScenarioStarted, scenario="rain", title="Rain", lasts_s=60)


def under_way(harness: GatewayHarness) -> list[str]:
    city_view = harness.gateways["gateway-1"][0].city_view
    return [scenario.name for scenario in city_view.scenarios] if city_view else []


def test_scenarios_are_listed_started_and_stopped(harness: GatewayHarness, folder: Path) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway(scenarios_dir=str(folder))
        async with client(site(harness)) as web:
            rows = (await web.get("/api/scenarios")).json()["scenarios"]
            assert [(row["name"], row["since_ms"]) for row in rows] == [("here", None), ("rain", None)]
            assert (rows[0]["place"], rows[0]["area"]) == ("Here", [1.5, 2.5, 300])
            assert (rows[1]["title"], rows[1]["about"]) == ("Rain", "It rains.")
            assert (rows[1]["assumptions"], rows[1]["sources"]) == (["a"], ["s"])
            answer = await web.post("/api/scenarios/here/start")
            assert (answer.status_code, answer.json()) == (202, {"scenario": "here", "city": "grid"})
            [start] = commands(harness)
            assert isinstance(start, m.StartScenario)
            assert (start.scenario, start.title, start.lasts_s) == ("here", "Rain", 60)
            assert start.area == m.Disc(1.5, 2.5, 300)
            assert_problem(await web.post("/api/scenarios/snow/start"), 404)
            assert_problem(await web.post("/api/scenarios/elsewhere/start"), 422)
            assert_problem(await web.post("/api/scenarios/rain/stop"), 409)
            harness.batch(STARTED)
            await harness.until(lambda: under_way(harness) == ["rain"])
            [row] = [
                row for row in (await web.get("/api/scenarios")).json()["scenarios"] if row["name"] == "rain"
            ]
            assert row["since_ms"] > 0
            assert (await web.get("/api/status")).json()["scenarios"] == ["rain"]
            assert_problem(await web.post("/api/scenarios/rain/start"), 409)
            assert (await web.post("/api/scenarios/rain/stop")).status_code == 202
            stop = commands(harness)[-1]
            assert isinstance(stop, m.StopScenario)
            assert stop.scenario == "rain"

    harness.run(scenario())


def test_a_wrong_file_is_said(harness: GatewayHarness, folder: Path) -> None:
    (folder / "rain.toml").write_text("title =")

    async def scenario() -> None:
        harness.batch()
        await harness.gateway(scenarios_dir=str(folder))
        async with client(site(harness)) as web:
            assert "rain.toml" in assert_problem(await web.get("/api/scenarios"), 500)

    harness.run(scenario())


def test_without_a_folder_there_is_no_control(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        async with client(site(harness)) as web:
            assert_problem(await web.get("/api/scenarios"), 404)
            assert_problem(await web.post("/api/scenarios/rain/start"), 404)

    harness.run(scenario())


@pytest.mark.parametrize(
    ("peer", "host", "origin"),
    [
        ("192.0.2.7", "127.0.0.1:8000", None),
        ("127.0.0.1", "127.0.0.1:8000", "http://evil.example"),
        ("127.0.0.1", "notlocalhost:8000", None),
    ],
)
@pytest.mark.parametrize("action", ["start", "stop"])
def test_scenarios_are_changed_from_the_own_page_alone(
    harness: GatewayHarness, folder: Path, peer: str, host: str, origin: str | None, action: str
) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway(scenarios_dir=str(folder))
        async with client(site(harness), peer, host) as web:
            headers = {} if origin is None else {"origin": origin}
            assert_problem(await web.post(f"/api/scenarios/rain/{action}", headers=headers), 403)
        assert commands(harness) == []

    harness.run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "needed", "status"),
    [
        ("GET", "/api/scenarios", Role.VIEWER, 200),
        ("POST", "/api/scenarios/rain/start", Role.OPERATOR, 202),
        ("POST", "/api/scenarios/rain/stop", Role.OPERATOR, 409),
    ],
)
def test_where_tokens_are_asked_for_each_role_may_do_what_is_written(
    harness: GatewayHarness, folder: Path, method: str, path: str, needed: Role, status: int
) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway(scenarios_dir=str(folder), token_secret=SECRET)
        async with client(site(harness)) as web:
            assert_problem(await web.request(method, path), 401)
            for role in Role:
                answer = await web.request(method, path, headers=bearer(harness, role))
                assert answer.status_code == (status if role >= needed else 403)

    harness.run(scenario())
