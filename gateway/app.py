# SPDX-License-Identifier: Apache-2.0
"""HTTP around the desk: routes, what a request may look like, and problem documents for all that is wrong."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import openapi, parts
from gateway.desk import BODY_BYTES_MAX, Desk
from gateway.problems import Problem, forbidden
from taxi import __version__

_LOCAL_NAMES: Final = {"localhost", "127.0.0.1", "::1"}
_ANSWER_FIRST_S: Final = 0.1
"""A gateway that is told to kill itself says so first."""

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Site:
    """What is served."""

    desk: Desk
    door: ASGIApp
    """The application behind `/ws`."""
    pid: int
    parts_dir: Path | None
    """Of a local demo: enables the kill button."""
    beside: Sequence[BaseRoute]
    """The page's routes, and those of the admin port."""


def build(site: Site) -> Starlette:
    """The whole application."""
    routes: list[BaseRoute] = [
        WebSocketRoute("/ws", site.door),
        Route("/api/status", _status(site)),
        Route("/api/rides", _request_ride(site.desk), methods=["POST"]),
        Route("/api/rides/{ride}", _ride(site.desk), methods=["GET"]),
        Route("/api/rides/{ride}", _cancel_ride(site.desk), methods=["DELETE"]),
        Route("/openapi.json", _openapi),
    ]
    if site.parts_dir is not None:
        routes.append(Route("/api/parts", _parts(site.parts_dir)))
        routes.append(Route("/api/parts/{name}/kill", _kill(site.parts_dir), methods=["POST"]))
    return Starlette(
        routes=[*routes, *site.beside],
        middleware=[Middleware(SafeHeaders)],
        exception_handlers={Problem: _problem, HTTPException: _http_problem, Exception: _bug},
    )


# --- endpoints -----------------------------------------------------------------------------------------


def _status(site: Site) -> Endpoint:
    async def status(_: Request) -> Response:
        body = site.desk.status()
        body["gateway"]["pid"] = site.pid
        body["version"] = __version__
        if site.parts_dir is not None:
            body["parts"] = [part.name for part in parts.read_parts(site.parts_dir)]
        return JSONResponse(body)

    return status


def _request_ride(desk: Desk) -> Endpoint:
    async def request_ride(request: Request) -> Response:
        media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if media_type != "application/json":
            raise Problem(415, "Unsupported Media Type", "the body is application/json")
        answer = await desk.request_ride(await _body(request), request.headers)
        return JSONResponse(answer, 202, {"Location": answer["status"]})

    return request_ride


def _cancel_ride(desk: Desk) -> Endpoint:
    async def cancel_ride(request: Request) -> Response:
        return JSONResponse(await desk.cancel_ride(request.path_params["ride"], request.headers), 202)

    return cancel_ride


def _ride(desk: Desk) -> Endpoint:
    async def ride(request: Request) -> Response:
        return JSONResponse(desk.ride(request.path_params["ride"]))

    return ride


async def _openapi(_: Request) -> Response:
    return JSONResponse(openapi.document())


def _parts(folder: Path) -> Endpoint:
    async def all_parts(_: Request) -> Response:
        return JSONResponse({"parts": [parts.shown(part) for part in parts.read_parts(folder)]})

    return all_parts


def _kill(folder: Path) -> Endpoint:
    async def kill(request: Request) -> Response:
        _check_local(request)
        part = parts.find_running(folder, request.path_params["name"])

        async def after_the_answer() -> None:
            await asyncio.sleep(_ANSWER_FIRST_S)
            parts.kill(part)

        answer = {"part": part.name, "pid": part.pid}
        return JSONResponse(answer, 202, background=BackgroundTask(after_the_answer))

    return kill


# --- what a request may look like ----------------------------------------------------------------------


async def _body(request: Request) -> bytes:
    """The body, if it is small. Raises Problem."""
    too_large = Problem(413, "Content Too Large", f"at most {BODY_BYTES_MAX} bytes")
    told = request.headers.get("content-length", "0")
    if not told.isdigit() or int(told) > BODY_BYTES_MAX:
        raise too_large
    body = b""
    async with aclosing(request.stream()) as stream:
        async for chunk in stream:
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                raise too_large
    return body


def _check_local(request: Request) -> None:
    """Only this machine's own page may kill: not another site's, however that got its name to lead here."""
    if request.client is None or not ipaddress.ip_address(request.client.host).is_loopback:
        raise forbidden("only from the machine itself")
    host = request.headers.get("host", "")
    if urlsplit(f"//{host}").hostname not in _LOCAL_NAMES:
        raise forbidden("only under a local name")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        raise forbidden("only from the page itself")


class SafeHeaders:
    """Adds what every answer should carry; what a route set itself stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_data = scope["path"].startswith(("/api/", "/openapi.json"))

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "same-origin")
                headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
                if is_data:
                    headers.setdefault(
                        "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"
                    )
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_safely)


# --- problem documents ---------------------------------------------------------------------------------


class _ProblemResponse(JSONResponse):
    media_type = "application/problem+json"


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _ProblemResponse(error.document(), error.status, error.headers())


async def _http_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = Problem(error.status_code, error.detail, _DETAILS.get(error.status_code, error.detail))
    return _ProblemResponse(problem.document(), error.status_code, dict(error.headers or {}))


_DETAILS: Final[dict[int, str]] = {404: "nothing is served here", 405: "not with this method"}


async def _bug(_: Request, __: Exception) -> Response:
    """The exception itself goes to the log, not to whoever asked."""
    problem = Problem(500, "Internal Server Error", "this is a bug of the gateway; its log says more")
    return _ProblemResponse(problem.document(), 500)


def paths(app: Starlette) -> dict[str, set[str]]:
    """Path → methods of everything under `/api`, for the description to be held against."""
    found: dict[str, set[str]] = {}
    for route in app.routes:
        if isinstance(route, Route) and route.path.startswith("/api"):
            found.setdefault(route.path, set()).update((route.methods or set()) - {"HEAD"})
    return found
