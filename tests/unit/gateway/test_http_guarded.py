# SPDX-License-Identifier: Apache-2.0
"""Who may do what over HTTP, and how often."""

import asyncio
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.tokens import Role
from taxi.runtime.parts import Demo as DemoPart
from taxi.runtime.parts import Parts
from taxi.runtime.parts import write as write_parts
from testing.gateway_harness import GatewayHarness
from tests.unit.gateway.web import GOOD, SECRET, assert_problem, bearer, client, site


def test_where_tokens_are_asked_for_each_role_may_do_what_is_written(
    harness: GatewayHarness, tmp_path: Path
) -> None:
    no_demo = DemoPart(pid=0, created=0.0, started_ms=0, url="", bootstrap_servers="")
    write_parts(tmp_path, Parts(demo=no_demo, parts=[]))

    async def ok(_: Request) -> Response:
        return Response("x")

    async def scenario() -> None:
        harness.batch()
        await harness.gateway(token_secret=SECRET)
        asked = [
            ("GET", "/api/status", Role.VIEWER, 200),
            ("GET", "/api/rides/none", Role.VIEWER, 404),
            ("GET", "/api/parts", Role.VIEWER, 200),
            ("POST", "/api/rides", Role.RIDER, 202),
            ("DELETE", "/api/rides/r-1", Role.RIDER, 202),
            ("POST", "/api/parts/gateway-9/kill", Role.OPERATOR, 404),
            ("POST", "/api/parts/gateway-9/freeze", Role.OPERATOR, 404),
            ("POST", "/api/parts/gateway-9/wake", Role.OPERATOR, 404),
            ("GET", "/metrics", Role.OPERATOR, 200),
        ]
        app = site(harness, tmp_path, [Route("/metrics", ok), Route("/healthz", ok)])
        async with client(app) as web:
            for method, path, needed, status in asked:
                body: dict[str, Any] = {"json": GOOD} if method == "POST" else {}
                naked = await web.request(method, path, **body)
                assert_problem(naked, 401)
                assert naked.headers["www-authenticate"].startswith("Bearer")
                for role in Role:
                    answer = await web.request(method, path, headers=bearer(harness, role), **body)
                    assert answer.status_code == (status if role >= needed else 403), (path, role)
                    if role < needed:
                        assert_problem(answer, 403)
            for path in ("/healthz", "/openapi.json"):
                assert (await web.get(path)).status_code == 200

    harness.run(scenario())


def test_tokens_that_do_not_count(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway(token_secret=SECRET)
        async with client(site(harness)) as web:
            for headers in (
                {"Authorization": "Basic dTpw"},
                {"Authorization": "Bearer nonsense"},
                bearer(harness, Role.OPERATOR, for_ms=0),
            ):
                assert_problem(await web.get("/api/status", headers=headers), 401)
            elsewhere = bearer(harness, Role.OPERATOR, city="atlantis")
            assert_problem(await web.get("/api/status", headers=elsewhere), 403)
            here = bearer(harness, Role.VIEWER, city="grid")
            assert (await web.get("/api/status", headers=here)).status_code == 200
        assert harness.spy().counts["gateway_refused_total 401"] == 3
        assert harness.spy().counts["gateway_refused_total 403"] == 1

    harness.run(scenario())


def test_one_address_may_cancel_so_many_rides_and_learns_when_to_ask_again(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway(address_rides_per_minute=3)
        async with client(site(harness), peer="203.0.113.9") as web, client(site(harness)) as at_home:
            for number in range(3):
                assert (await web.post("/api/rides", json=GOOD | {"ride": f"r-{number}"})).status_code == 202
                assert (await web.delete(f"/api/rides/r-{number}")).status_code == 202
            refused = await web.delete("/api/rides/r-9")
            assert "cancellations" in assert_problem(refused, 429)
            await asyncio.sleep(int(refused.headers["retry-after"]))
            assert (await web.delete("/api/rides/r-9")).status_code == 202
            for number in range(10, 30):
                assert (await at_home.delete(f"/api/rides/r-{number}")).status_code == 202

    harness.run(scenario())


def test_an_address_of_which_nothing_is_known_is_limited_too(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway(address_rides_per_minute=1)
        async with client(site(harness), peer="unknown") as web:
            assert (await web.delete("/api/rides/r-1")).status_code == 202
            assert_problem(await web.delete("/api/rides/r-2"), 429)

    harness.run(scenario())


def test_one_address_may_ask_for_so_many_rides_and_learns_when_to_ask_again(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway(address_rides_per_minute=3)
        async with client(site(harness), peer="203.0.113.9") as web, client(site(harness)) as at_home:
            for number in range(3):
                assert (await web.post("/api/rides", json=GOOD | {"ride": f"r-{number}"})).status_code == 202
            refused = await web.post("/api/rides", json=GOOD | {"ride": "r-9"})
            assert_problem(refused, 429)
            await asyncio.sleep(int(refused.headers["retry-after"]))
            assert (await web.post("/api/rides", json=GOOD | {"ride": "r-9"})).status_code == 202
            for number in range(10, 30):
                answer = await at_home.post("/api/rides", json=GOOD | {"ride": f"r-{number}"})
                assert answer.status_code == 202

    harness.run(scenario())
