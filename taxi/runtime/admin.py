# SPDX-License-Identifier: Apache-2.0
"""The admin port: /healthz, /readyz, /metrics."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from taxi.runtime.admission import Admission, ConnectionLimits
from taxi.runtime.entry import EntryRules, RequestEntry, own_names
from taxi.runtime.faults import Faults
from taxi.runtime.metrics import PrometheusMetrics
from taxi.runtime.server import Server

_PLACES: Final = ConnectionLimits(idle=64)
"""Enough for health probes and metrics scrapers."""


class Readiness:
    """The state behind /readyz: not ready until the service calls `ready` and no fault blocks it."""

    def __init__(self) -> None:
        self.faults = Faults()
        self._reason: str | None = "starting"

    @property
    def reason(self) -> str | None:
        """Why the process is not ready; None if it is."""
        return self._reason or self.faults.blocking

    def ready(self) -> None:
        self._reason = None

    def not_ready(self, reason: str) -> None:
        self._reason = reason


def routes(name: str, readiness: Readiness, metrics: PrometheusMetrics) -> list[Route]:
    """The routes of /healthz, /readyz and /metrics.

    Args:
        name: The process's name, in the answers.
        readiness: Its state.
        metrics: Its metrics.
    """

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok", "part": name})

    async def readyz(_: Request) -> Response:
        reason = readiness.reason
        ready = reason is None
        body = {"ready": ready, "part": name, "pid": os.getpid()}
        body |= {} if ready else {"reason": reason}
        if faults := readiness.faults.current:
            body["faults"] = [{"code": fault.code, "text": fault.text} for fault in faults]
        return JSONResponse(body, 200 if ready else 503)

    async def exposition(_: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)]


@asynccontextmanager
async def serving(host: str, port: int, app_routes: list[Route]) -> AsyncIterator[None]:
    """Serve `app_routes` while the block runs; nothing if `port` is 0.

    Raises:
        OSError: The address can't be bound.
    """
    if not port:
        yield
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family)
    app = Starlette(routes=app_routes)
    app.router.redirect_slashes = False  # a redirect would go to the host in the Host header
    config = uvicorn.Config(
        RequestEntry(app, EntryRules(names=own_names(host))),
        interface="asgi3",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
    )
    server = Server(config, admission=Admission(_PLACES))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.stop()
        await task
