# SPDX-License-Identifier: Apache-2.0
"""The admin port: /healthz, /readyz, /metrics."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from taxi.runtime.metrics import PrometheusMetrics
from taxi.runtime.server import Server


class Readiness:
    """What /readyz says: not ready, and why, until the service says otherwise."""

    def __init__(self) -> None:
        self.reason: str | None = "starting"

    def ready(self) -> None:
        self.reason = None

    def not_ready(self, reason: str) -> None:
        self.reason = reason


def routes(name: str, readiness: Readiness, metrics: PrometheusMetrics) -> list[Route]:
    """The three endpoints, also for mounting beside others."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok", "part": name})

    async def readyz(_: Request) -> Response:
        ready = readiness.reason is None
        body = {"ready": ready, "part": name, "pid": os.getpid()}
        body |= {} if ready else {"reason": readiness.reason}
        return JSONResponse(body, 200 if ready else 503)

    async def exposition(_: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)]


@asynccontextmanager
async def serving(host: str, port: int, app_routes: list[Route]) -> AsyncIterator[None]:
    """Serve `app_routes` while the block runs; nothing where `port` is 0. Raises OSError: it is taken."""
    if not port:
        yield
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family)
    config = uvicorn.Config(Starlette(routes=app_routes), log_config=None, access_log=False, lifespan="off")
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.stop()
        await task
