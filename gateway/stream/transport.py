# SPDX-License-Identifier: Apache-2.0
"""The real listener: uvicorn, with sockets that take a frame made once for everyone.

uvicorn's own path frames, and compresses, every message for every client anew. Here the application takes
the socket over once it is accepted, and each message costs it one `transport.write`. That goes past uvicorn's
`send`, so closing is looked after here.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory

from gateway.stream.frames import DEFLATE, PLAIN, WINDOW_BITS, framed
from gateway.stream.messages import MESSAGE_BYTES_MAX, SUBPROTOCOL
from taxi.runtime.server import Server

EXTENSION: Final = "taxi.socket"
SOCKET_PATH: Final = "/ws"
_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_NOTSENT_BYTES: Final = 16 << 10
"""What the kernel may hold unsent: more of it would hide a slow client from `backlog`."""
_CLOSE_S: Final = 2.0
"""How long the other side may take to answer a close."""
_BACKLOG: Final = 2048
_COMPRESSION: Final = [
    # Without context takeover, on either side, no connection keeps a window: a frame is compressed once.
    ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
]
_log: Final = logging.getLogger("uvicorn.error")


class _Unused:
    """Stands where uvicorn keeps what a socket that was taken over has no use for."""

    def set(self) -> None: ...
    def clear(self) -> None: ...


_UNUSED: Final = _Unused()


class FramedProtocol(WebSocketsSansIOProtocol):
    """Offers itself to the application as an extension of the scope, to be taken over by a connection."""

    taken: "SocketConnection | None" = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn.available_extensions = _COMPRESSION

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        held: socket.socket | None = transport.get_extra_info("socket")
        if held is not None and _NOTSENT_LOWAT is not None and held.family != socket.AF_UNIX:
            held.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _NOTSENT_BYTES)

    async def run_asgi(self) -> None:
        """As uvicorn's, but that a socket which was taken over outlives the application's call."""
        self.scope["extensions"][EXTENSION] = {"protocol": self}
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except Exception:  # noqa: BLE001 - as uvicorn: it ends this request, not the server
            _log.exception("the application failed")
            self.send_500_response()
        if self.taken is None and self.close_timer is None:
            self.transport.close()

    def take_over(self, connection: "SocketConnection") -> None:
        """From now on what arrives goes to the connection; what the handshake needed is let go."""
        self.taken = connection
        self.queue = connection  # type: ignore[assignment]  # uvicorn only ever puts into it from here on
        self.writable = _UNUSED  # type: ignore[assignment]
        self.scope = self.request = self.response = None  # type: ignore[assignment]

    def form(self) -> str:
        """What the other side can read. A smaller window than ours it could not."""
        for extension in self.conn.extensions:
            if isinstance(extension, PerMessageDeflate) and extension.local_max_window_bits == WINDOW_BITS:
                return DEFLATE
        return PLAIN

    def is_open(self) -> bool:
        """Whether anything may still be written."""
        return not (self.close_sent or self.disconnected or self.transport.is_closing())

    def go_on_reading(self) -> None:
        """After each message uvicorn stops until it was taken."""
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def close_now(self, code: int, reason: str) -> None:
        """Send a close frame; the socket goes when the other side answers, or after a while without."""
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.go_on_reading()
        # A reader that stopped never takes the close frame, so a mere close would wait for it for ever.
        self.close_timer = self.loop.call_later(_CLOSE_S, self.transport.abort)


def _nothing(_: bytes) -> None:
    """Into the void: the socket is closing."""


class SocketConnection:
    """A client's socket, as `taxi.runtime.env.Connection` has it."""

    __slots__ = ("_inbox", "_is_over", "_protocol", "_waiting", "backlog", "form", "peer", "write")

    def __init__(self, protocol: FramedProtocol, peer: str) -> None:
        self.peer = peer
        self.form = protocol.form()
        # The transport's own methods: between the hub and the socket there is no line of Python.
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
        """What arrives, as uvicorn hands it on."""
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if not origin_allowed(scope["headers"], self._allowed):
            await _forbid(send)
            return
        chosen = SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        client = scope.get("client")
        protocol: FramedProtocol = scope["extensions"][EXTENSION]["protocol"]
        self._arrived.put_nowait(SocketConnection(protocol, client[0] if client else "?"))


async def _forbid(send: Send) -> None:
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
    body = b"pages of another origin may not open this socket\n"
    await send({"type": "websocket.http.response.body", "body": body})


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
    """Serves an ASGI application on a bound socket; beside it is `/ws`, which feeds `accept`."""

    def __init__(
        self, bound: socket.socket, allowed_origins: tuple[str, ...] = (), trusted_proxies: str = ""
    ) -> None:
        """`trusted_proxies`: addresses or networks whose X-Forwarded-For is believed, comma-separated."""
        self.port: int = bound.getsockname()[1]
        self._bound = bound
        self._trusted_proxies = trusted_proxies
        self._arrived: asyncio.Queue[SocketConnection] = asyncio.Queue()
        self._door = SocketDoor(self._arrived, allowed_origins)
        self._app: ASGIApp | None = None
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def is_listening(self) -> bool:
        """Whether connections are accepted now: a moment after `open`."""
        return self._server is not None and self._server.started

    def attach(self, app: ASGIApp) -> None:
        """What is served beside the socket."""
        self._app = app

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A socket goes past the application: when all clients of another gateway come at once, it counts."""
        if scope["type"] == "websocket" and scope["path"] == SOCKET_PATH:
            await self._door(scope, receive, send)
        else:
            assert self._app is not None
            await self._app(scope, receive, send)

    async def accept(self) -> SocketConnection:
        return await self._arrived.get()

    def open(self) -> None:
        if self._app is None or self._serving is not None:
            message = "a listener opens once, with an application attached"
            raise RuntimeError(message)
        self._server = Server(_config(self._serve, self._trusted_proxies))
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._bound]))

    def close(self) -> None:
        for server in getattr(self._server, "servers", ()):
            server.close()

    async def stop(self) -> None:
        """Close everything, and wait until it is closed."""
        if self._server is not None and self._serving is not None:
            self._server.stop()
            await self._serving
        self._bound.close()


@contextlib.asynccontextmanager
async def listening(
    bound: socket.socket, allowed_origins: tuple[str, ...] = (), trusted_proxies: str = ""
) -> AsyncIterator[WebListener]:
    """A listener on a bound socket: it listens when opened, and is gone afterwards."""
    listener = WebListener(bound, allowed_origins, trusted_proxies)
    try:
        yield listener
    finally:
        await listener.stop()


def _config(app: ASGIApp, trusted_proxies: str) -> uvicorn.Config:
    protocol: Callable[..., asyncio.Protocol] = FramedProtocol
    return uvicorn.Config(
        app,
        interface="asgi3",  # a method does not look like one
        loop="none",
        http="httptools",
        ws=protocol,  # type: ignore[arg-type]  # a class is fine, says its documentation
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_per_message_deflate=False,  # uvicorn's own keeps a window for each connection
        ws_ping_interval=None,  # beats go out every second; what does not take them is closed
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=2,
    )
