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

from gateway.http import openapi
from gateway.http.app import paths
from taxi import __version__
from taxi import messages as m
from taxi.cities import parse
from testing.gateway_harness import EPOCH, HERE, THERE, GatewayHarness
from tests.unit.gateway.web import assert_problem, client, site
from web import page

DOCUMENT = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_status_tells_rows_and_rides_at_the_last_cut(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(
            partial(m.DriverCameOnline, driver=1),
            partial(m.RideRequested, ride="r-1", rider="x", pickup=HERE, dropoff=THERE),
        )
        for driver in (1, 2):
            harness.fix(driver)
        await harness.gateway()
        async with client(site(harness)) as web:
            status = (await web.get("/api/status")).json()
        assert status["city"] == "grid"
        assert status["version"] == __version__
        assert status["gateway"] == {"id": "gateway-1", "pid": 4711}
        assert status["cursor"] == {"epoch": EPOCH, "loc": 2, "ev": harness.end.ev}
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

    harness.run(scenario())


def test_before_the_log_is_read_there_is_no_status(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.start()
        async with client(site(harness)) as web:
            assert_problem(await web.get("/api/status"), 503)
            assert_problem(await web.get("/api/rides/r-1"), 503)

    harness.run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PUT", "/api/rides", 405), ("GET", "/api/parts", 404)],
)
def test_what_is_not_there_is_a_problem_too(
    harness: GatewayHarness, method: str, path: str, status: int
) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        async with client(site(harness)) as web:
            assert_problem(await web.request(method, path), status)

    harness.run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/rides/r-1", {"GET", "HEAD", "DELETE"}),
        ("TRACE", "/api/rides", {"POST"}),
        ("OPTIONS", "/api/status", {"GET", "HEAD"}),
        ("DELETE", "/", {"GET", "HEAD"}),
    ],
)
def test_a_method_that_is_not_allowed_is_answered_with_all_that_are(
    harness: GatewayHarness, method: str, path: str, allowed: set[str]
) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        async with client(site(harness, beside=page.routes(parse("manhattan")))) as web:
            answer = await web.request(method, path)
            assert_problem(answer, 405)
            assert set(answer.headers["allow"].split(", ")) == allowed

    harness.run(scenario())


@pytest.mark.parametrize("path", ["/api/status/", "/api/rides/", "/ws/", "//api/status", "/static"])
def test_nothing_redirects_to_what_the_host_header_says(harness: GatewayHarness, path: str) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        async with client(site(harness, beside=page.routes(parse("manhattan"))), host="evil.example") as web:
            assert_problem(await web.get(path), 404)

    harness.run(scenario())


@pytest.mark.parametrize("path", ["/static/none.js", "/cities/manhattan/none.json", "/cities/atlantis/x"])
def test_a_file_that_is_not_there_is_a_problem_that_is_not_cached(harness: GatewayHarness, path: str) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        async with client(site(harness, beside=page.routes(parse("manhattan")))) as web:
            answer = await web.get(path)
            assert_problem(answer, 404)
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")

    harness.run(scenario())


def test_a_socket_that_is_asked_for_without_a_handshake_says_so(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        async with client(site(harness)) as web:
            answer = await web.get("/ws")
            assert "handshake" in assert_problem(answer, 426)
            assert answer.headers["upgrade"] == "websocket"

    harness.run(scenario())


def test_a_bug_is_not_shown_to_the_world(harness: GatewayHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        harness.batch()
        gateway = await harness.gateway()
        monkeypatch.setattr(gateway.ride_service, "status", lambda: 1 / 0)
        async with client(site(harness)) as web:
            answer = await web.get("/api/status")
            assert "division" not in assert_problem(answer, 500)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")

    harness.run(scenario())


def test_every_answer_carries_safe_headers_and_a_strict_policy(
    harness: GatewayHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(call: Callable[..., object], *arguments: object) -> object:
        return call(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", at_once)  # the harness's loop knows no threads

    async def ok(_: Request) -> Response:
        return Response("x")

    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        beside = [Route(path, ok) for path in ("/healthz", "/metrics", "/static/worker.js", "/cities/x.json")]
        app = site(harness, tmp_path, [*beside, *page.routes(parse("manhattan"))])
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

    harness.run(scenario())


def test_the_description_is_valid_written_down_and_names_every_route(
    harness: GatewayHarness, tmp_path: Path
) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway(scenarios_dir=str(tmp_path))
        described = openapi.document()
        validate(described)
        methods = {"get", "post", "put", "delete", "patch"}
        expected = {
            path: {verb.upper() for verb in item if verb in methods}
            for path, item in described["paths"].items()
        }
        assert paths(site(harness, tmp_path)) == expected
        assert json.loads(DOCUMENT.read_text(encoding="utf-8")) == described
        async with client(site(harness)) as web:
            assert (await web.get("/openapi.json")).json() == described

    harness.run(scenario())
