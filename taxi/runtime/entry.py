# SPDX-License-Identifier: Apache-2.0
"""Checks of every HTTP and WebSocket request before the application gets it.

1. It has exactly one host (RFC 9112, 3.2).
2. If it comes from this machine, the host is a name of this machine. A page of another site can make its own
   name resolve to 127.0.0.1 (DNS rebinding). Its requests then come from this machine and have "the same
   origin".
3. If it opens a WebSocket, the origin of its page is the request's host or an allowed origin. Browsers apply
   the same-origin policy to HTTP but not to WebSockets (RFC 6455, 10.2).
4. If it comes from a trusted proxy, the client's address is the one in X-Forwarded-For.
"""

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from taxi.runtime.checks import is_address, is_loopback, plain_address
from taxi.runtime.http import problem
from taxi.runtime.origins import Origin, Place, parse_origin, parse_place

UNKNOWN: Final = "unknown"
"""The client's address if a trusted proxy does not send it."""
_SHOWN_CHARS_MAX: Final = 200


class RequestRefusal(NamedTuple):
    """Why a request is refused."""

    status: HTTPStatus
    detail: str
    """The text for the client."""
    do: str
    """For the log: what to change if the request is legitimate."""
    facts: tuple[tuple[str, str], ...] = ()
    """For the log: (name, value) of the headers in question."""


class RefusedError(Exception):
    """Ends a request with a refusal."""

    def __init__(self, refusal: RequestRefusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


@dataclass(frozen=True, kw_only=True)
class EntryRules:
    """Which requests a listener accepts."""

    origins: frozenset[Origin] = frozenset()
    """Further origins whose pages may open a WebSocket."""
    proxies: str = ""
    """IP addresses and networks, comma-separated, whose X-Forwarded-For is trusted."""
    names: frozenset[str] = frozenset()
    """Further names of this machine, in lower case."""
    refused: Callable[[RequestRefusal], None] = lambda _: None
    """Called for each refusal."""


def own_names(host: str) -> frozenset[str]:
    """The name of this machine and the host that it listens on, in lower case."""
    return frozenset({host.lower(), socket.gethostname().lower()})


class RequestEntry:
    """ASGI middleware that passes a request to the application or refuses it with a problem document."""

    def __init__(self, app: ASGIApp, rules: EntryRules) -> None:
        self._rules = rules
        self._app = app
        self._proxied: Any = ProxyHeadersMiddleware(self._enter, rules.proxies)  # type: ignore[arg-type]
        self._names = rules.names | {origin.host for origin in rules.origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer, port = scope.get("client") or (UNKNOWN, 0)
        peer = plain_address(peer)
        scope["client"] = (peer, port)
        try:
            is_proxy = self._check(scope, peer)
        except RefusedError as error:
            self._rules.refused(error.refusal)
            await refuse(error.refusal.status, error.refusal.detail, scope, receive, send)
            return
        await (self._proxied if is_proxy else self._enter)(scope, receive, send)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        client, port = scope["client"]
        if not is_address(client):
            scope["client"] = (UNKNOWN, port)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope, peer: str) -> bool:
        """Check a request and return whether its peer is a trusted proxy. Raises RefusedError."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        is_proxy = bool(self._rules.proxies) and peer in self._proxied.trusted_hosts
        if not hosts and scope["http_version"] == "1.0":  # as a load balancer's probe
            if scope["type"] == "websocket":
                raise RefusedError(_no_host())
            return is_proxy
        if len(hosts) != 1:
            raise RefusedError(_no_host())
        place = _read(parse_place, hosts[0], "Host")
        if not is_proxy and is_loopback(peer) and not self._is_ours(place.host):
            raise RefusedError(_foreign_name(place))
        if scope["type"] == "websocket":
            self._check_origin([value for name, value in scope["headers"] if name == b"origin"], place)
        return is_proxy

    def _is_ours(self, host: str) -> bool:
        """Whether no other site can make this name resolve to this machine.

        True for an address, a name without a dot, *.localhost and the configured names.
        """
        return "." not in host or is_address(host) or is_loopback(host) or host in self._names

    def _check_origin(self, values: list[bytes], place: Place) -> None:
        if not values:
            return  # not a browser, as browsers always send it
        if len(values) > 1:
            raise RefusedError(_malformed("Origin", b", ".join(values).decode("latin-1")))
        if values[0] != b"null":
            origin = _read(parse_origin, values[0], "Origin")
            if origin.is_at(place) or origin in self._rules.origins:
                return
        raise RefusedError(_foreign_page(values[0].decode("latin-1"), place))


def _read(parse: Callable[[str], Any], value: bytes, header: str) -> Any:
    text = value.decode("latin-1")
    try:
        return _parsed(parse, text)
    except ValueError:
        raise RefusedError(_malformed(header, text)) from None


@lru_cache(maxsize=256)
def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    """Parse a header, with a cache, because most clients send the same few hosts and origins."""
    if len(text) > _SHOWN_CHARS_MAX + 100:
        message = "too long"
        raise ValueError(message)
    return parse(text)


# --- refusals -------------------------------------------------------------------------------------------


def _no_host() -> RequestRefusal:
    return RequestRefusal(
        HTTPStatus.BAD_REQUEST, "a request has exactly one Host header", "send one Host header"
    )


def _malformed(header: str, text: str) -> RequestRefusal:
    shown = text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…"
    return RequestRefusal(
        HTTPStatus.BAD_REQUEST, f"the {header} header can't be read", f"look at who sends it: {shown!r}"
    )


def _foreign_name(place: Place) -> RequestRefusal:
    return RequestRefusal(
        HTTPStatus.FORBIDDEN,
        "this name is not one of this machine; the gateway's log says what would allow it",
        f"if the name is yours, set TAXI_ALLOWED_ORIGINS=http://{place}; if a proxy on this machine sends it,"
        " set TAXI_TRUSTED_PROXIES=127.0.0.1",
        (("host", str(place)),),
    )


def _foreign_page(origin: str, place: Place) -> RequestRefusal:
    shown = origin[:_SHOWN_CHARS_MAX]
    do = (
        f"if the page is yours, set TAXI_ALLOWED_ORIGINS={shown}, or let the proxy pass the browser's Host on"
    )
    if origin == "null":
        do = "a page in a sandbox, or opened from a file, has no origin that could be allowed"
    return RequestRefusal(
        HTTPStatus.FORBIDDEN,
        "pages of another origin may not open this socket; the gateway's log says what would allow it",
        do,
        (("origin", shown), ("host", str(place))),
    )


async def refuse(status: HTTPStatus, detail: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an HTTP request or a WebSocket handshake with a problem document (RFC 9457)."""
    kind = "http"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        kind = "websocket.http"
    headers, body = problem(status, detail)
    lines: Iterable[tuple[bytes, bytes]] = [
        (name.lower().encode(), value.encode()) for name, value in headers.items()
    ]
    await send({"type": f"{kind}.response.start", "status": status.value, "headers": lines})
    await send({"type": f"{kind}.response.body", "body": body})
