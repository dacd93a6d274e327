# SPDX-License-Identifier: Apache-2.0
"""What else is answered over HTTP: the status, the description, and a problem for all that is not there."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from openapi_spec_validator import validate
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import openapi
from gateway.app import paths
from taxi import __version__
from taxi import messages as m
from tests.unit.gateway.lab import EPOCH, HERE, THERE, Lab
from tests.unit.gateway.web import assert_problem, client, site
from web import page

DOCUMENT = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_status_tells_rows_and_rides_at_the_last_cut(lab: Lab) -> None:
    async def story() -> None:
        lab.batch(
            partial(m.DriverCameOnline, driver=1),
            partial(m.RideRequested, ride="r-1", rider="x", pickup=HERE, dropoff=THERE),
        )
        for driver in (1, 2):
            lab.fix(driver)
        await lab.gateway()
        async with client(site(lab)) as web:
            status = (await web.get("/api/status")).json()
        assert status["city"] == "grid"
        assert status["version"] == __version__
        assert status["gateway"] == {"id": "gateway-1", "pid": 4711}
        assert status["cursor"] == {"epoch": EPOCH, "loc": 2, "ev": lab.end.ev}
        wanted = {
            "total": 2,
            "idle": 1,
            "to_pickup": 0,
            "at_pickup": 0,
            "on_trip": 0,
            "offline": 1,
            "lost": 0,
        }
        assert wanted.items() <= status["drivers"].items()
        assert {"waiting": 1, "active": 0, "completed": 0}.items() <= status["rides"].items()

    lab.run(story())


def test_before_the_log_is_read_there_is_no_status(lab: Lab) -> None:
    async def story() -> None:
        lab.start()
        async with client(site(lab)) as web:
            assert_problem(await web.get("/api/status"), 503)
            assert_problem(await web.get("/api/rides/r-1"), 503)

    lab.run(story())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PUT", "/api/rides", 405), ("GET", "/api/parts", 404)],
)
def test_what_is_not_there_is_a_problem_too(lab: Lab, method: str, path: str, status: int) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        async with client(site(lab)) as web:
            assert_problem(await web.request(method, path), status)

    lab.run(story())


def test_a_bug_is_not_shown_to_the_world(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        lab.batch()
        gateway = await lab.gateway()
        monkeypatch.setattr(gateway.desk, "status", lambda: 1 / 0)
        async with client(site(lab)) as web:
            answer = await web.get("/api/status")
            assert "division" not in assert_problem(answer, 500)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")

    lab.run(story())


def test_every_answer_carries_safe_headers_and_a_strict_policy(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(call: Callable[..., object], *arguments: object) -> object:
        return call(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", at_once)  # the lab's loop knows no threads

    async def ok(_: Request) -> Response:
        return Response("x")

    async def story() -> None:
        lab.batch()
        await lab.gateway()
        beside = [Route(path, ok) for path in ("/healthz", "/metrics", "/static/worker.js", "/cities/x.json")]
        app = site(lab, tmp_path, [*beside, *page.routes("manhattan")])
        async with client(app) as web:
            for path in (
                *(
                    "/",
                    "/api/status",
                    "/api/rides",
                    "/api/rides/x",
                    "/api/parts",
                    "/nowhere",
                    "/openapi.json",
                ),
                *("/healthz", "/metrics", "/static/worker.js", "/cities/x.json", "/static/none.js"),
            ):
                headers = (await web.get(path)).headers
                assert headers["x-content-type-options"] == "nosniff", path
                assert headers["x-frame-options"] == "DENY", path
                assert headers["referrer-policy"] == "same-origin", path
                assert headers["cross-origin-resource-policy"] == "same-origin", path
                assert headers["cross-origin-opener-policy"] == "same-origin", path
                assert "geolocation=()" in headers["permissions-policy"], path
                policy = dict(
                    part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";")
                )
                assert policy["default-src"] == "'none'", path
                assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'", (
                    path
                )
                assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "http:", "https:"} & set(
                    " ".join(policy.values()).split()
                )
            assert "script-src" not in (await web.get("/api/status")).headers["content-security-policy"]

    lab.run(story())


def test_the_description_is_valid_written_down_and_names_every_route(lab: Lab, tmp_path: Path) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        described = openapi.document()
        validate(described)
        methods = {"get", "post", "put", "delete", "patch"}
        told = {
            path: {verb.upper() for verb in item if verb in methods}
            for path, item in described["paths"].items()
        }
        assert paths(site(lab, tmp_path)) == told
        assert json.loads(DOCUMENT.read_text(encoding="utf-8")) == described
        async with client(site(lab)) as web:
            assert (await web.get("/openapi.json")).json() == described

    lab.run(story())
