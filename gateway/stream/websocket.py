# SPDX-License-Identifier: Apache-2.0
"""A WebSocket connection as a uvicorn protocol, with limits on all kinds of frames (RFC 6455, RFC 7692).

uvicorn encodes and compresses a message for each client. Here the application takes the connection over after
the handshake and writes encoded frames to the transport directly. This bypasses uvicorn's `send`, so closing
is implemented here, too.
"""

import asyncio
import codecs
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import StatusLike

from gateway.access.limits import Gcra, Rate
from gateway.stream.frames import DEFLATE, PLAIN, WINDOW_BITS
from gateway.stream.messages import MESSAGE_BYTES_MAX, Close
from taxi.runtime.env import Connection
from taxi.runtime.http import BoundedState, problem

EXTENSION: Final = "taxi.socket"
_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_NOTSENT_BYTES: Final = 16 << 10
"""Unsent bytes that the kernel may buffer. With more, `backlog` would not show a slow client."""
_CLOSE_S: Final = 2.0
"""How long the client may take to answer a close frame."""
_SLICE: Final = 256
"""Bytes to parse at once, so that at most forty empty frames are parsed before they are counted."""
_CONTROL_BYTES_MAX: Final = 125
_FRAMES: Final = Rate(per_s=20.0, burst=100)
_PONG_S: Final = 0.2
_FLOOD_MS: Final = 1_000
"""A client that sent too many frames must wait for this time in addition to what the rate limit requires."""
_UTF8: Final = codecs.getincrementaldecoder("utf-8")
_COMPRESSION: Final = [
    # Without context takeover in either direction no connection has a window, so all can share a compressed
    # frame.
    ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
]
_log: Final = logging.getLogger("uvicorn.error")


@dataclass(frozen=True, kw_only=True)
class SocketTerms:
    """The limits of a client's frames and messages."""

    message_bytes: int = MESSAGE_BYTES_MAX
    """Size of a message: all fragments, decompressed. Above it: close code 1009."""
    fragments: int = 64
    """Fragments of a message. Above it: close code 1009."""
    frames: Rate = _FRAMES
    """Frames of a connection, of all kinds. Above it: close code 4029. Clients send at most a few messages a
    second, and a ping every twenty seconds, if at all."""
    closed: Callable[[int], None] = field(default=lambda _: None)
    """Called with the close code when a limit or a rule of RFC 6455 ends a connection."""


class _Unused:
    """Replaces an event of uvicorn that a connection does not use after it was taken over."""

    def set(self) -> None: ...
    def clear(self) -> None: ...


_UNUSED: Final = _Unused()


class _Rules(ServerProtocol):
    """The RFC 6455 implementation of `websockets`, with three differences: size, refusals, close frames."""

    def __init__(self, message_bytes: int) -> None:
        # The library counts control frames between the fragments of a message as part of the message's size.
        super().__init__(max_size=message_bytes + _CONTROL_BYTES_MAX, logger=_log)
        self.available_extensions = _COMPRESSION

    def reject(self, status: StatusLike, text: str) -> Response:
        """Refuse a handshake with a problem document."""
        known = HTTPStatus(status)
        headers, body = problem(known, text.strip() or "this is no place for a WebSocket")
        return Response(known.value, known.phrase, Headers(headers), body)

    def recv_frame(self, frame: Frame) -> None:
        """Process a frame. A close frame may come between the fragments of a message (RFC 6455, 5.4)."""
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class FramedProtocol(WebSocketsSansIOProtocol):
    """A WebSocket protocol that the application can take over; it is in the scope's extensions.

    Data is parsed in small slices and frames are counted between them. A client that sends only empty frames
    therefore uses no more CPU time than one that sends a few messages.
    """

    taken: Connection | None = None

    def __init__(self, terms: SocketTerms, *, server_state: ServerState, **named: Any) -> None:
        super().__init__(server_state=server_state, **named)
        assert isinstance(server_state, BoundedState)
        self._admission = server_state.admission
        self.conn = _Rules(terms.message_bytes)
        self._terms = terms
        self._frames = Gcra(terms.frames)
        self._is_over = False
        """Further data is ignored, while the connection waits for the client to close."""
        self._message: list[bytes | str] = []
        """The fragments of the current message."""
        self._message_bytes = 0
        self._decoder: codecs.IncrementalDecoder | None = None
        """The decoder of a text message, so that invalid UTF-8 is found in the fragment that contains it."""
        self._pong: bytes | None = None
        """A pong to send when the client has read earlier data."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        held: socket.socket | None = transport.get_extra_info("socket")
        if held is not None and _NOTSENT_LOWAT is not None and held.family != socket.AF_UNIX:
            held.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _NOTSENT_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._admission.socket_left()

    # --- the handshake ----------------------------------------------------------------------------

    async def run_asgi(self) -> None:
        """Run the application.

        If it takes the connection over, the connection lasts longer than this call.
        """
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

    def _shake_hands(self, head: bytes) -> None:
        """Process the handshake. `head` is the complete request head, which `BoundedHttp` has read."""
        self.conn.receive_data(head)
        if self.conn.handshake_exc is not None:
            self.handshake_complete = self.close_sent = True
            self._linger()
            return
        [request] = self.conn.events_received()
        assert isinstance(request, Request)
        self.handle_connect(request)

    def take_over(self, connection: Connection) -> None:
        """Deliver further messages to `connection`, and free the objects of the handshake."""
        self.taken = connection
        self.queue = connection  # type: ignore[assignment]  # uvicorn only ever puts into it from here on
        self.writable = _UNUSED  # type: ignore[assignment]
        self.scope = self.request = self.response = None  # type: ignore[assignment]

    def form(self) -> str:
        """DEFLATE if compression with our window size was negotiated, otherwise PLAIN."""
        for extension in self.conn.extensions:
            if isinstance(extension, PerMessageDeflate) and extension.local_max_window_bits == WINDOW_BITS:
                return DEFLATE
        return PLAIN

    # --- what comes -------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse data in slices, until a limit ends the connection."""
        if not self.handshake_initiated:
            self._shake_hands(data)
        elif not self.handshake_complete:
            self.transport.abort()  # frames may not come before the answer (RFC 6455, 4.1)
        else:
            for start in range(0, len(data), _SLICE):
                if self._is_over:
                    return
                self.conn.receive_data(data[start : start + _SLICE])
                self._handle_frames()

    def _handle_frames(self) -> None:
        now_s = self.loop.time()
        for frame in self.conn.events_received():
            assert isinstance(frame, Frame)
            wait_s = self._frames.take(now_s)
            if wait_s:
                self._end_flood(wait_s)
            elif frame.opcode is Opcode.CLOSE:
                self.handle_close(frame)
            elif frame.opcode not in {Opcode.PING, Opcode.PONG} and not self.close_sent:
                self._take(frame)
            if self._is_over:
                return
        if self.conn.parser_exc is not None:
            self.handle_parser_exception()
            return
        pongs = self.conn.data_to_send()
        if pongs and not self.close_sent:
            self._answer(pongs[-1])

    def _take(self, frame: Frame) -> None:
        """Process a data frame, and deliver the message when it is complete."""
        if frame.opcode is not Opcode.CONT:
            self._message, self._message_bytes = [], 0
            self._decoder = _UTF8() if frame.opcode is Opcode.TEXT else None
        data = bytes(frame.data)
        self._message_bytes += len(data)
        if self._message_bytes > self._terms.message_bytes or len(self._message) >= self._terms.fragments:
            limits = f"{self._terms.message_bytes} bytes and {self._terms.fragments} fragments"
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message has at most {limits}")
            return
        try:
            part = data if self._decoder is None else self._decoder.decode(data, frame.fin)
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, "text is UTF-8")
            return
        self._message.append(part)
        if frame.fin:
            kind = "bytes" if self._decoder is None else "text"
            whole: Any = (b"" if self._decoder is None else "").join(self._message)  # type: ignore[arg-type]
            self._message, self._decoder = [], None
            self.queue.put_nowait({"type": "websocket.receive", kind: whole})  # type: ignore[arg-type]
            if not self.read_paused:
                self.read_paused = True
                self.transport.pause_reading()

    def _answer(self, pong: bytes) -> None:
        """Send a pong. While the client does not read, only the last one is kept (RFC 6455, 5.5.3)."""
        if self._pong is None and not self.transport.get_write_buffer_size():
            self.transport.write(pong)
            return
        if self._pong is None:
            self.loop.call_later(_PONG_S, self._answer_later)
        self._pong = pong

    def _answer_later(self) -> None:
        if self.close_sent or self._is_over or self.transport.is_closing() or self._pong is None:
            return
        if self.transport.get_write_buffer_size():
            self.loop.call_later(_PONG_S, self._answer_later)
            return
        pong, self._pong = self._pong, None
        self.transport.write(pong)

    def go_on_reading(self) -> None:
        """Resume reading, which is paused after each message until the application has received it."""
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    # --- the end ----------------------------------------------------------------------------------

    def is_open(self) -> bool:
        """Whether frames may still be sent."""
        return not (self.close_sent or self.disconnected or self.transport.is_closing())

    def close_now(self, code: int, reason: str) -> None:
        """Send a close frame.

        The connection is closed when the client answers, or aborted after `_CLOSE_S`.
        """
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.go_on_reading()
        # `transport.close` would wait for ever for a client that does not read.
        self.close_timer = self.loop.call_later(_CLOSE_S, self.transport.abort)

    def _end_flood(self, wait_s: float) -> None:
        """End a connection with too many frames. If it is being closed already, abort it."""
        if self.close_sent:
            self._is_over = True
            self.transport.abort()
            return
        self._fail(Close.TOO_MANY, str(int(wait_s * 1000) + _FLOOD_MS))

    def _fail(self, code: int, reason: str) -> None:
        """Close the connection with this code. Further data is ignored."""
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def handle_close(self, event: Frame) -> None:
        """Handle a close frame: the client closes, or answers our close frame."""
        del event
        received = self.conn.close_rcvd
        if not self.close_sent and received is not None:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": received.code, "reason": ""})
        self.close_sent = True
        self._linger()

    def handle_parser_exception(self) -> None:
        """Handle a failed connection, for which the library has prepared a close frame."""
        failed = self.conn.close_sent
        code = CloseCode.ABNORMAL_CLOSURE if failed is None else failed.code
        if not self.close_sent:
            self._terms.closed(code)
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
        self.close_sent = True
        self._linger()

    def _linger(self) -> None:
        """Send what is left, then wait until the client closes the TCP connection (RFC 6455, 7.1.1)."""
        self._is_over = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        self.go_on_reading()
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(_CLOSE_S, self.transport.abort)
