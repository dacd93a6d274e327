# SPDX-License-Identifier: Apache-2.0
"""The real listener: uvicorn, with sockets that take a frame encoded once for everyone.

uvicorn's own path frames every message for every client anew. Here a message is framed once and each
client costs one `transport.write`. That goes past uvicorn's `send`, so closing is looked after here, and
compression must be off.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway.session import MESSAGE_BYTES_MAX
from taxi.stream import SUBPROTOCOL

EXTENSION: Final = "taxi.socket"
_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_NOTSENT_BYTES: Final = 32 << 10
"""What the kernel may hold unsent: more of it would hide a slow client from `backlog`."""
_CLOSE_S: Final = 2.0
"""How long the other side may take to answer a close."""
_BACKLOG: Final = 2048


class FramedProtocol(WebSocketsSansIOProtocol):
    """Offers itself to the application as an extension of the scope."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        held: socket.socket | None = transport.get_extra_info("socket")
        if held is not None and _NOTSENT_LOWAT is not None and held.family != socket.AF_UNIX:
            held.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _NOTSENT_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.when_lost()

    def when_lost(self) -> None:
        """Set by who wants to know that the socket is gone."""

    async def run_asgi(self) -> None:
        self.scope["extensions"][EXTENSION] = {"protocol": self}
        await super().run_asgi()

    def write_framed(self, framed: bytes) -> None:
        """Pass a whole frame on; nothing where the socket is closing."""
        if not (self.close_sent or self.disconnected or self.transport.is_closing()):
            self.transport.write(framed)

    def backlog(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return 0 if self.disconnected else self.transport.get_write_buffer_size()

    def close_now(self, code: int, reason: str) -> None:
        """Send a close frame; the socket goes when the other side answers, or after a while without."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        # A reader that stopped never takes the close frame, so a mere close would wait for it for ever.
        self.close_timer = self.loop.call_later(_CLOSE_S, self.transport.abort)


def framed(message: bytes | str) -> bytes:
    """The message as one unmasked WebSocket frame (RFC 6455, 5.2)."""
    payload, opcode = (message, 0x82) if isinstance(message, bytes) else (message.encode(), 0x81)
    length = len(payload)
    if length < 126:
        return bytes((opcode, length)) + payload
    if length < 1 << 16:
        return bytes((opcode, 126)) + length.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + length.to_bytes(8, "big") + payload


class Framer:
    """Frames a message once, however many clients get it one after another."""

    def __init__(self) -> None:
        self._message: bytes | str = b""
        self._framed = framed(b"")

    def __call__(self, message: bytes | str) -> bytes:
        if message is not self._message:
            self._message, self._framed = message, framed(message)
        return self._framed


class SocketConnection:
    """A client's socket, as `taxi.runtime.env.Connection` has it."""

    def __init__(self, protocol: FramedProtocol, receive: Receive, peer: str, framer: Framer) -> None:
        self.peer = peer
        self.ended = asyncio.Event()
        protocol.when_lost = self.ended.set  # type: ignore[method-assign]
        self._protocol = protocol
        self._receive = receive
        self._framer = framer

    def send(self, message: bytes | str) -> None:
        self._protocol.write_framed(self._framer(message))

    def backlog(self) -> int:
        return self._protocol.backlog()

    async def receive(self) -> bytes | str | None:
        if self.ended.is_set():
            return None
        event: MutableMapping[str, Any] = await self._receive()
        if event["type"] == "websocket.disconnect":
            self.ended.set()
            return None
        message: bytes | str = event["bytes"] if event.get("bytes") is not None else event["text"]
        return message

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._protocol.close_now(code, reason)
        self.ended.set()


def origin_allowed(headers: list[tuple[bytes, bytes]], allowed: tuple[str, ...]) -> bool:
    """Whether a page of this origin may open the socket; other programs send none and may."""
    found = {name.lower(): value.decode("latin-1") for name, value in headers}
    origin = found.get(b"origin")
    if origin is None or origin in allowed:
        return True
    return bool(urlsplit(origin).netloc) and urlsplit(origin).netloc.lower() == found.get(b"host", "").lower()


class SocketDoor:
    """The ASGI application behind `/ws`: checks the origin, then hands the connection to the gateway."""

    def __init__(self, arrived: "asyncio.Queue[SocketConnection]", allowed_origins: tuple[str, ...]) -> None:
        self._arrived = arrived
        self._allowed = allowed_origins
        self._framer = Framer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if not origin_allowed(scope["headers"], self._allowed):
            await _forbid(send)
            return
        chosen = SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        client = scope.get("client")
        connection = SocketConnection(
            scope["extensions"][EXTENSION]["protocol"],
            receive,
            f"{client[0]}:{client[1]}" if client else "?",
            self._framer,
        )
        self._arrived.put_nowait(connection)
        await connection.ended.wait()


async def _forbid(send: Send) -> None:
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
    body = b"pages of another origin may not open this socket\n"
    await send({"type": "websocket.http.response.body", "body": body})


class _Server(uvicorn.Server):
    """Leaves signals to the service."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    """A bound socket that does not listen yet. Raises OSError where the port is taken."""
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


class WebListener:
    """Serves an ASGI application on a bound socket; its `/ws` feeds `accept`."""

    def __init__(self, bound: socket.socket, allowed_origins: tuple[str, ...] = ()) -> None:
        self.port: int = bound.getsockname()[1]
        self._bound = bound
        self._arrived: asyncio.Queue[SocketConnection] = asyncio.Queue()
        self.door = SocketDoor(self._arrived, allowed_origins)
        self._app: ASGIApp | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def is_listening(self) -> bool:
        """Whether connections are accepted now: a moment after `open`."""
        return self._server is not None and self._server.started

    def attach(self, app: ASGIApp) -> None:
        """What is served beside the socket; `door` must be mounted in it."""
        self._app = app

    async def accept(self) -> SocketConnection:
        return await self._arrived.get()

    def open(self) -> None:
        if self._app is None or self._serving is not None:
            message = "a listener opens once, with an application attached"
            raise RuntimeError(message)
        self._server = _Server(_config(self._app))
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._bound]))

    def close(self) -> None:
        for server in getattr(self._server, "servers", ()):
            server.close()

    async def stop(self) -> None:
        """Close everything, and wait until it is closed."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
        self._bound.close()


@contextlib.asynccontextmanager
async def listening(
    bound: socket.socket, allowed_origins: tuple[str, ...] = ()
) -> AsyncIterator[WebListener]:
    """A listener on a bound socket: it listens when opened, and is gone afterwards."""
    listener = WebListener(bound, allowed_origins)
    try:
        yield listener
    finally:
        await listener.stop()


def _config(app: ASGIApp) -> uvicorn.Config:
    protocol: Callable[..., asyncio.Protocol] = FramedProtocol
    return uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws=protocol,  # type: ignore[arg-type]  # a class is fine, says its documentation
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # beats go out every second; what does not take them is closed
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=2,
    )
