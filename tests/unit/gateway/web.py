# SPDX-License-Identifier: Apache-2.0
"""The gateway's web application in the lab, and a browser's side of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from starlette.routing import BaseRoute

from gateway.app import Site, build
from gateway.stream.tokens import Grant, Keys, Role
from taxi import codec, topics
from taxi import messages as m
from tests.unit.gateway.lab import HERE, THERE, Lab

GOOD = {"ride": "r-1", "pickup": HERE, "dropoff": THERE}


def site(lab: Lab, parts_dir: Path | None = None, beside: Sequence[BaseRoute] = ()) -> Any:
    gateway = lab.gateways["gateway-1"][0]
    return build(
        Site(
            desk=gateway.desk,
            guard=gateway.guard,
            pid=4711,
            parts_dir=parts_dir,
            beside=beside,
        )
    )


def client(app: Any, peer: str = "127.0.0.1", host: str = "127.0.0.1:8000") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(peer, 50_000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


def commands(lab: Lab) -> list[m.AnyCommand]:
    place = lab.broker.partition(topics.COMMANDS, 0)
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


def bearer(lab: Lab, role: Role, *, for_ms: int = 60_000, city: str | None = None) -> dict[str, str]:
    token = Keys(SECRET).mint(Grant(role, lab.now_ms() + for_ms, city), lab.now_ms())
    return {"Authorization": f"Bearer {token}"}
