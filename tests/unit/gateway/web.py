# SPDX-License-Identifier: Apache-2.0
"""The gateway's web application in the harness, and a browser's side of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from starlette.routing import BaseRoute

from gateway.access.tokens import Grant, Keys, Role
from gateway.http.app import CityApi, Site, build
from taxi import messages as m
from taxi import topics
from taxi.messages import codec
from testing.gateway_harness import HERE, THERE, GatewayHarness

GOOD = {"ride": "r-1", "pickup": HERE, "dropoff": THERE}


def site(harness: GatewayHarness, parts_dir: Path | None = None, beside: Sequence[BaseRoute] = ()) -> Any:
    gateway = harness.gateways["gateway-1"][0]
    return build(
        Site(
            cities={
                "manhattan": CityApi(
                    gateway.ride_service, gateway.route_service, gateway.guard, gateway.scenario_service
                )
            },
            pid=4711,
            parts_dir=parts_dir,
            now_ms=harness.now_ms,
            beside=beside,
        )
    )


def client(app: Any, peer: str = "127.0.0.1", host: str = "127.0.0.1:8000") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(peer, 50_000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


def commands(harness: GatewayHarness) -> list[m.AnyCommand]:
    place = harness.broker.partition(topics.COMMANDS, 0)
    return [codec.decode(topics.COMMANDS, entry.record) for entry in place.entries]


def assert_problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert "Traceback" not in answer.text
    detail: str = body["detail"]
    assert detail
    return detail


SECRET = "s" * 32


def bearer(
    harness: GatewayHarness, role: Role, *, for_ms: int = 60_000, city: str | None = None
) -> dict[str, str]:
    token = Keys(SECRET).mint(Grant(role, harness.now_ms() + for_ms, city), harness.now_ms())
    return {"Authorization": f"Bearer {token}"}
