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
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.desk import BODY_BYTES_MAX, Desk
from gateway.guard import Guard
from gateway.problems import Problem, forbidden
from gateway.stream.tokens import Role
from taxi import __version__
from web.page import HEADERS as PAGE_HEADERS

_LOCAL_NAMES: Final = {"localhost", "127.0.0.1", "::1"}
_ANSWER_FIRST_S: Final = 0.1
"""A gateway that is told to kill itself says so first."""

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Site:
    """What is served."""

    desk: Desk
    guard: Guard
    pid: int
    parts_dir: Path | None
    """Of a local demo: enables the kill button."""
    beside: Sequence[BaseRoute]
    """The page's routes, and those of the admin port."""


def build(site: Site) -> Starlette:
    """The whole application."""
    routes: list[BaseRoute] = [
        Route("/api/status", _status(site)),
        Route("/api/rides", _request_ride(site), methods=["POST"]),
        Route("/api/rides/{ride}", _ride(site), methods=["GET"]),
        Route("/api/rides/{ride}", _cancel_ride(site), methods=["DELETE"]),
        Route("/openapi.json", _openapi),
    ]
    if site.parts_dir is not None:
        routes.append(Route("/api/parts", _parts(site, site.parts_dir)))
        routes.append(Route("/api/parts/{name}/kill", _kill(site, site.parts_dir), methods=["POST"]))
    return Starlette(
        routes=[*routes, *(_guarded(route, site.guard) for route in site.beside)],
        middleware=[Middleware(SafeHeaders)],
        exception_handlers={Problem: _problem, HTTPException: _http_problem, Exception: _bug},
    )


# --- endpoints -----------------------------------------------------------------------------------------


def _status(site: Site) -> Endpoint:
    async def status(request: Request) -> Response:
        site.guard.check(request, Role.VIEWER)
        body = site.desk.status()
        body["gateway"]["pid"] = site.pid
        body["version"] = __version__
        if site.parts_dir is not None:
            from gateway import parts  # noqa: PLC0415 - a gateway boots without

            body["parts"] = [part.name for part in parts.read_parts(site.parts_dir)]
        return JSONResponse(body)

    return status


def _request_ride(site: Site) -> Endpoint:
    async def request_ride(request: Request) -> Response:
        site.guard.check(request, Role.RIDER)
        site.guard.check_rate(request)
        media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if media_type != "application/json":
            raise Problem(415, "Unsupported Media Type", "the body is application/json")
        answer = await site.desk.request_ride(await _body(request), request.headers)
        return JSONResponse(answer, 202, {"Location": answer["status"]})

    return request_ride


def _cancel_ride(site: Site) -> Endpoint:
    async def cancel_ride(request: Request) -> Response:
        site.guard.check(request, Role.RIDER)
        return JSONResponse(await site.desk.cancel_ride(request.path_params["ride"], request.headers), 202)

    return cancel_ride


def _ride(site: Site) -> Endpoint:
    async def ride(request: Request) -> Response:
        site.guard.check(request, Role.VIEWER)
        return JSONResponse(site.desk.ride(request.path_params["ride"]))

    return ride


async def _openapi(_: Request) -> Response:
    from gateway import openapi  # noqa: PLC0415 - a gateway boots without

    return JSONResponse(openapi.document())


def _parts(site: Site, folder: Path) -> Endpoint:
    async def all_parts(request: Request) -> Response:
        from gateway import parts  # noqa: PLC0415 - as above

        site.guard.check(request, Role.VIEWER)
        return JSONResponse({"parts": [parts.shown(part) for part in parts.read_parts(folder)]})

    return all_parts


def _kill(site: Site, folder: Path) -> Endpoint:
    async def kill(request: Request) -> Response:
        from gateway import parts  # noqa: PLC0415 - as above

        site.guard.check(request, Role.OPERATOR)
        _check_local(request)
        part = parts.find_running(folder, request.path_params["name"])

        async def after_the_answer() -> None:
            await asyncio.sleep(_ANSWER_FIRST_S)
            part.kill()

        answer = {"part": part.name, "pid": part.pid}
        return JSONResponse(answer, 202, background=BackgroundTask(after_the_answer))

    return kill


def _guarded(route: BaseRoute, guard: Guard) -> BaseRoute:
    """Metrics are for operators; on the admin port they are as open as that."""
    if not isinstance(route, Route) or route.path != "/metrics":
        return route
    inner = route.endpoint

    async def metrics(request: Request) -> Response:
        guard.check(request, Role.OPERATOR)
        answer: Response = await inner(request)
        return answer

    return Route(route.path, metrics)


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


_SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""No answer but the page and its scripts (a worker among them) may load or run anything."""


class SafeHeaders:
    """Adds what every answer should carry; what a route set itself stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SAFE.items():
                    headers.setdefault(name, value)
                is_script = path.startswith("/static/")
                policy = PAGE_HEADERS["Content-Security-Policy"] if is_script else _NOTHING
                headers.setdefault("Content-Security-Policy", policy)
                if not path.startswith(("/static/", "/cities/")):
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
    # Starlette answers for bugs outside of every middleware.
    safe = {**_SAFE, "Content-Security-Policy": _NOTHING, "Cache-Control": "no-store"}
    return _ProblemResponse(problem.document(), 500, safe)


def paths(app: Starlette) -> dict[str, set[str]]:
    """Path → methods of everything under `/api`, for the description to be held against."""
    found: dict[str, set[str]] = {}
    for route in app.routes:
        if isinstance(route, Route) and route.path.startswith("/api"):
            found.setdefault(route.path, set()).update((route.methods or set()) - {"HEAD"})
    return found
