# SPDX-License-Identifier: Apache-2.0
"""The listener on uvicorn, with WebSocket connections that accept frames encoded once for all clients."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.stream.frames import framed
from gateway.stream.messages import SUBPROTOCOL
from gateway.stream.websocket import EXTENSION, FramedProtocol, SocketTerms
from taxi.runtime.admission import Admission
from taxi.runtime.entry import EntryRules, RequestEntry, refuse
from taxi.runtime.http import HttpLimits
from taxi.runtime.server import Server

SOCKET_PATH: Final = "/ws"
_BACKLOG: Final = 4096


def _nothing(_: bytes) -> None:
    """Discard a write, because the socket is closing."""


class SocketConnection:
    """A client's WebSocket; implements `taxi.runtime.env.Connection`."""

    __slots__ = ("_inbox", "_is_over", "_protocol", "_waiting", "backlog", "form", "peer", "write")

    def __init__(self, protocol: FramedProtocol, peer: str) -> None:
        self.peer = peer
        self.form = protocol.form()
        # The transport's own methods, so that no Python code runs between the hub and the socket.
        self.write: Callable[[bytes], None] = protocol.transport.write
        self.backlog: Callable[[], int] = protocol.transport.get_write_buffer_size
        self._protocol = protocol
        self._inbox: list[bytes | str] = []
        self._waiting: asyncio.Future[None] | None = None
        self._is_over = False
        protocol.take_over(self)
        if not protocol.is_open():
            self._end()

    def send(self, message: bytes | str) -> None:
        self.write(framed(message))

    def send_before(self, words: Sequence[str], wire: bytes) -> None:
        self.write(b"".join((*(framed(word) for word in words), wire)))

    async def receive(self) -> bytes | str | None:
        while not self._inbox:
            if self._is_over:
                return None
            self._waiting = self._protocol.loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        message = self._inbox.pop(0)
        if not self._inbox:
            self._protocol.go_on_reading()
        return message

    def close(self, code: int = 1000, reason: str = "") -> None:
        if not self._is_over:
            is_open = self._protocol.is_open()
            self._inbox.clear()
            self._end()
            if is_open:
                self._protocol.close_now(code, reason)

    def put_nowait(self, event: Mapping[str, Any]) -> None:
        """Take an ASGI event of uvicorn: a message, or the end of the connection."""
        if event["type"] == "websocket.disconnect":
            self._end()
        elif not self._is_over:
            text = event.get("text")
            self._inbox.append(event["bytes"] if text is None else text)
            self._wake()

    def _end(self) -> None:
        self._is_over = True
        self.write, self.backlog = _nothing, int
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class SocketDoor:
    """The ASGI application of `/ws`: accepts the handshake and passes the connection to the gateway."""

    def __init__(self, arrived: "asyncio.Queue[SocketConnection]") -> None:
        self._arrived = arrived

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        chosen = SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        client = scope.get("client")
        protocol: FramedProtocol = scope["extensions"][EXTENSION]["protocol"]
        self._arrived.put_nowait(SocketConnection(protocol, client[0] if client else "?"))


def bind(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    """A bound socket that does not listen yet.

    Args:
        host: An address or a name.
        port: 0 for any free port.
        reuse_port: Set SO_REUSEPORT, so that several gateways can share the port.

    Raises:
        OSError: The address can't be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The limits of a listener's clients."""

    http: HttpLimits = field(default_factory=HttpLimits)
    socket: SocketTerms = field(default_factory=SocketTerms)
    admission: Admission | None = None
    """None: limits of `Admission`'s defaults."""


class WebListener:
    """Serves an ASGI application on a bound socket, and `/ws`, whose connections `accept` returns."""

    def __init__(
        self, bound: socket.socket, rules: EntryRules | None = None, bounds: "Bounds | None" = None
    ) -> None:
        self.port: int = bound.getsockname()[1]
        self._bounds = bounds or Bounds()
        self._bound = bound
        self._entry = RequestEntry(self._serve, rules or EntryRules())
        self._arrived: asyncio.Queue[SocketConnection] = asyncio.Queue()
        self._door = SocketDoor(self._arrived)
        self._app: ASGIApp | None = None
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def is_listening(self) -> bool:
        """Whether connections are accepted; that begins a moment after `open`."""
        return self._server is not None and self._server.started

    def attach(self, app: ASGIApp) -> None:
        """Set the application that serves everything except `/ws`. Call it before `open`."""
        self._app = app

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route a request.

        WebSockets bypass the application, which saves time when many reconnect at once.
        """
        if scope["type"] != "websocket":
            assert self._app is not None
            await self._app(scope, receive, send)
        elif scope["path"] == SOCKET_PATH:
            await self._door(scope, receive, send)
        else:
            await refuse(HTTPStatus.NOT_FOUND, "no WebSocket is served here", scope, receive, send)

    async def accept(self) -> SocketConnection:
        return await self._arrived.get()

    def open(self) -> None:
        if self._app is None or self._serving is not None:
            message = "a listener opens once, with an application attached"
            raise RuntimeError(message)
        bounds = self._bounds
        self._server = Server(_config(self._entry, bounds), bounds.http, bounds.admission)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._bound]))

    def close(self) -> None:
        for server in getattr(self._server, "servers", ()):
            server.close()

    async def stop(self) -> None:
        """Close all connections and wait until they are closed."""
        if self._server is not None and self._serving is not None:
            self._server.stop()
            await self._serving
        self._bound.close()


@contextlib.asynccontextmanager
async def listening(
    bound: socket.socket, rules: EntryRules | None = None, bounds: Bounds | None = None
) -> AsyncIterator[WebListener]:
    """A listener on a bound socket for an `async with` block. `open` makes it listen; the end closes it."""
    listener = WebListener(bound, rules, bounds)
    try:
        yield listener
    finally:
        await listener.stop()


def _config(app: ASGIApp, bounds: Bounds) -> uvicorn.Config:
    protocol: Callable[..., asyncio.Protocol] = partial(FramedProtocol, bounds.socket)
    return uvicorn.Config(
        app,
        interface="asgi3",  # uvicorn does not detect it for a method
        loop="none",
        http="httptools",
        ws=protocol,  # type: ignore[arg-type]  # a factory works, too
        ws_per_message_deflate=False,  # uvicorn's keeps a compression window for each connection
        ws_ping_interval=None,  # updates are sent every second, and clients that do not read are closed
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # `RequestEntry` handles them
        backlog=_BACKLOG,
        timeout_keep_alive=int(bounds.http.idle_s),
        timeout_graceful_shutdown=2,
    )
