# SPDX-License-Identifier: Apache-2.0
"""The HTTP application: routes, checks of requests, and problem documents for errors."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.tokens import Role
from gateway.http.guard import CANCELS, RIDES, ROUTES, Guard
from gateway.http.problems import HttpProblem, forbidden, not_found
from gateway.http.ride_service import BODY_BYTES_MAX, RideService
from gateway.http.route_service import RouteService
from gateway.http.scenario_service import ScenarioService
from gateway.stream.transport import SOCKET_PATH
from taxi import __version__
from taxi.runtime.checks import is_loopback
from taxi.runtime.http import NO_CONTENT_POLICY, SAFE_HEADERS
from taxi.runtime.origins import parse_origin, parse_place
from web.page import HEADERS as PAGE_HEADERS

_ANSWER_FIRST_S: Final = 0.1
"""A gateway that kills or freezes itself sends its answer first."""
PART_SIGNALS: Final = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "wake": signal.SIGCONT}
"""What the page may do to a part of a local demo. The supervisor replaces a part that stays frozen."""

Endpoint = Callable[[Request], Awaitable[Response]]


class CityApi(NamedTuple):
    """The API of one city."""

    ride_service: RideService
    route_service: RouteService
    guard: Guard
    scenario_service: ScenarioService | None = None
    """None: scenarios cannot be started here."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the application serves."""

    cities: Mapping[str, CityApi]
    """City → its API, at least one. A request without `?city=` is about the first."""
    pid: int
    """This process's id, for the kill button."""
    parts_dir: Path | None
    """The data directory of a local demo, which enables the kill button; None otherwise."""
    now_ms: Callable[[], int]
    """The clock, for the ids of commands."""
    beside: Sequence[BaseRoute]
    """Further routes: those of the page and of the admin port."""

    @property
    def first(self) -> CityApi:
        """The API of the first city. Its guard checks what concerns no city."""
        return next(iter(self.cities.values()))

    def asked(self, request: Request) -> CityApi:
        """The API of the city that a request is about. Raises Problem (404) if there is none."""
        city = request.query_params.get("city")
        api = self.first if city is None else self.cities.get(city)
        if api is None:
            raise not_found(f"no such city here; there are: {', '.join(self.cities)}")
        return api


def build(site: Site) -> Starlette:
    """Build the ASGI application."""
    routes: list[BaseRoute] = [
        Route("/api/status", _status(site)),
        Route("/api/rides", _request_ride(site), methods=["POST"]),
        _by_method("/api/rides/{ride}", GET=_ride(site), DELETE=_cancel_ride(site)),
        Route("/api/drivers/{driver}", _driver(site)),
        Route("/api/route", _route(site)),
        Route("/openapi.json", _openapi),
        Route(SOCKET_PATH, _no_handshake),
    ]
    if site.parts_dir is not None:
        routes.append(Route("/api/parts", _parts(site, site.parts_dir)))
        for action, number in PART_SIGNALS.items():
            endpoint = _signal_part(site, site.parts_dir, number)
            routes.append(Route(f"/api/parts/{{name}}/{action}", endpoint, methods=["POST"]))
    if site.first.scenario_service is not None:
        routes.append(Route("/api/scenarios", _scenarios(site)))
        for action in ("start", "stop"):
            path = f"/api/scenarios/{{name}}/{action}"
            routes.append(Route(path, _change_scenario(site, action), methods=["POST"]))
    app = Starlette(
        routes=[*routes, *(_guarded(route, site.first.guard) for route in site.beside)],
        middleware=[Middleware(SafeHeaders)],
        exception_handlers={
            HttpProblem: _problem,
            HTTPException: _http_problem,
            ClientDisconnect: _gone,
            Exception: _bug,
        },
    )
    # A redirect would go to the host in the Host header.
    app.router.redirect_slashes = False
    return app


def _by_method(path: str, **endpoints: Endpoint) -> Route:
    """One route for all methods of a path, so that a 405 lists them (RFC 9110, 15.5.6)."""

    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await endpoints[method](request)

    return Route(path, endpoint, methods=list(endpoints))


# --- endpoints -----------------------------------------------------------------------------------------


def _status(site: Site) -> Endpoint:
    async def status(request: Request) -> Response:
        api = site.asked(request)
        api.guard.check(request, Role.VIEWER)
        body = api.ride_service.status()
        body["cities"] = list(site.cities)
        body["gateway"]["pid"] = site.pid
        body["version"] = __version__
        if site.parts_dir is not None:
            from gateway.http import parts  # noqa: PLC0415 - a gateway starts without it

            body["parts"] = [part.name for part in parts.read_parts(site.parts_dir)]
        return JSONResponse(body)

    return status


def _request_ride(site: Site) -> Endpoint:
    async def request_ride(request: Request) -> Response:
        api = site.asked(request)
        api.guard.check(request, Role.RIDER)
        api.guard.check_rate(request, RIDES)
        media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if media_type != "application/json":
            raise HttpProblem(415, "Unsupported Media Type", "the body is application/json")
        answer = await api.ride_service.request_ride(await _body(request), request.headers)
        return JSONResponse(answer, 202, {"Location": answer["status"]})

    return request_ride


def _cancel_ride(site: Site) -> Endpoint:
    async def cancel_ride(request: Request) -> Response:
        api = site.asked(request)
        api.guard.check(request, Role.RIDER)
        api.guard.check_rate(request, CANCELS)
        return JSONResponse(
            await api.ride_service.cancel_ride(request.path_params["ride"], request.headers), 202
        )

    return cancel_ride


def _ride(site: Site) -> Endpoint:
    async def ride(request: Request) -> Response:
        api = site.asked(request)
        api.guard.check(request, Role.VIEWER)
        return JSONResponse(api.ride_service.ride(request.path_params["ride"]))

    return ride


def _driver(site: Site) -> Endpoint:
    async def driver(request: Request) -> Response:
        api = site.asked(request)
        api.guard.check(request, Role.VIEWER)
        return JSONResponse(api.ride_service.driver(request.path_params["driver"]))

    return driver


def _route(site: Site) -> Endpoint:
    async def route(request: Request) -> Response:
        api = site.asked(request)
        api.guard.check(request, Role.VIEWER)
        api.guard.check_rate(request, ROUTES)
        asked = request.query_params
        return JSONResponse(await api.route_service.route(asked.getlist("from"), asked.get("to", "")))

    return route


async def _no_handshake(_: Request) -> Response:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    raise HTTPException(426, headers=headers)


async def _openapi(_: Request) -> Response:
    from gateway.http import openapi  # noqa: PLC0415 - a gateway starts without it

    return Response(openapi.encoded(), media_type="application/json")


def _parts(site: Site, folder: Path) -> Endpoint:
    async def all_parts(request: Request) -> Response:
        from gateway.http import parts  # noqa: PLC0415 - as above

        site.first.guard.check(request, Role.VIEWER)
        return JSONResponse({"parts": [parts.as_json(part) for part in parts.read_parts(folder)]})

    return all_parts


def _signal_part(site: Site, folder: Path, number: signal.Signals) -> Endpoint:
    async def signal_part(request: Request) -> Response:
        from gateway.http import parts  # noqa: PLC0415 - as above

        site.first.guard.check(request, Role.OPERATOR)
        _check_local(request)
        part = parts.find_running(folder, request.path_params["name"])

        async def after_the_answer() -> None:
            await asyncio.sleep(_ANSWER_FIRST_S)
            part.send(number)

        answer = {"part": part.name, "pid": part.pid}
        return JSONResponse(answer, 202, background=BackgroundTask(after_the_answer))

    return signal_part


def _scenarios(site: Site) -> Endpoint:
    async def scenarios(request: Request) -> Response:
        api = site.asked(request)
        api.guard.check(request, Role.VIEWER)
        assert api.scenario_service is not None  # this route exists
        return JSONResponse({"scenarios": api.scenario_service.all()})

    return scenarios


def _change_scenario(site: Site, action: str) -> Endpoint:
    async def change_scenario(request: Request) -> Response:
        api = site.asked(request)
        api.guard.check(request, Role.OPERATOR)
        _check_local(request)
        service, name = api.scenario_service, request.path_params["name"]
        assert service is not None  # this route exists
        change = service.start if action == "start" else service.stop
        return JSONResponse(await change(name, site.now_ms(), request.headers), 202)

    return change_scenario


def _guarded(route: BaseRoute, guard: Guard) -> BaseRoute:
    """Require the role OPERATOR for /metrics on this port; other routes are returned unchanged."""
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
    """Read the body. Raises Problem if it is larger than BODY_BYTES_MAX."""
    too_large = HttpProblem(413, "Content Too Large", f"at most {BODY_BYTES_MAX} bytes")
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > BODY_BYTES_MAX:
        raise too_large
    body = b""
    async with aclosing(request.stream()) as stream:
        async for chunk in stream:
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                raise too_large
    return body


def _check_local(request: Request) -> None:
    """Raise Problem unless the request is from this machine's own page.

    A page of another site is refused even if its name resolves to this machine (DNS rebinding).
    """
    if request.client is None or not is_loopback(request.client.host):
        raise forbidden("only from the machine itself")
    origin = request.headers.get("origin")
    try:
        place = parse_place(request.headers.get("host", ""))
        is_own = origin is None or parse_origin(origin).is_at(place)
    except ValueError as error:
        raise forbidden(str(error)) from None
    if not is_loopback(place.host):
        raise forbidden("only under a local name")
    if not is_own:
        raise forbidden("only from the page itself")


class SafeHeaders:
    """ASGI middleware that adds security headers to every answer, unless the route has set them."""

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
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
                is_file = path.startswith(("/static/", "/cities/")) and message["status"] < 400
                is_script = is_file and path.startswith("/static/")
                policy = PAGE_HEADERS["Content-Security-Policy"] if is_script else NO_CONTENT_POLICY
                headers.setdefault("Content-Security-Policy", policy)
                if not is_file:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_safely)


# --- problem documents ---------------------------------------------------------------------------------


class _ProblemResponse(JSONResponse):
    media_type = "application/problem+json"


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HttpProblem)
    return _ProblemResponse(error.document(), error.status, error.headers())


async def _http_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = HttpProblem(error.status_code, error.detail, _DETAILS.get(error.status_code, error.detail))
    return _ProblemResponse(problem.document(), error.status_code, dict(error.headers or {}))


_DETAILS: Final[dict[int, str]] = {
    404: "nothing is served here",
    405: "not with this method",
    426: "a WebSocket is served here: ask for it by its handshake",
}


async def _gone(_: Request, __: Exception) -> Response:
    """The client disconnected before its request was complete. This answer is not sent."""
    return Response(status_code=400)


async def _bug(_: Request, __: Exception) -> Response:
    """The answer to an unexpected exception, which is only logged and not sent."""
    problem = HttpProblem(500, "Internal Server Error", "this is a bug of the gateway; its log says more")
    # Starlette calls this handler outside of all middleware, so the headers are set here.
    safe = {**SAFE_HEADERS, "Content-Security-Policy": NO_CONTENT_POLICY, "Cache-Control": "no-store"}
    return _ProblemResponse(problem.document(), 500, safe)


def paths(app: Starlette) -> dict[str, set[str]]:
    """Path → methods of all routes under `/api`, for a test of the OpenAPI description."""
    found: dict[str, set[str]] = {}
    for route in app.routes:
        if isinstance(route, Route) and route.path.startswith("/api"):
            found.setdefault(route.path, set()).update((route.methods or set()) - {"HEAD"})
    return found
