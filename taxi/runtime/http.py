# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 on one connection, with limits of sizes and times.

uvicorn leaves these limits to a proxy, but there may be none. They are checked while bytes arrive, so data
beyond a limit is neither stored nor parsed:

    FRESH ──first byte──► HEAD ──complete──► BODY ──complete──► ANSWER ──answered──► IDLE ──first byte──► HEAD
                            │                  │
                            └──── refused ─────┴──► LINGER: the answer was sent, further data is ignored

Every refusal is a problem document (RFC 9457). The connection is closed after it, but not at once, because
closing a socket with unread data resets the connection, and the client might not read the answer (RFC 9112,
9.6).
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any, Final, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from taxi.runtime.admission import Admission

SAFE_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""Headers of every answer."""
NO_CONTENT_POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy of an answer that must not load or run anything."""


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """Limits of one request: sizes, and time for each phase."""

    target_bytes: int = 8 << 10
    """Above it: 414."""
    head_bytes: int = 16 << 10
    """Request line and headers together, line ends included. Above it: 431."""
    headers: int = 100
    """Above it: 431."""
    body_bytes: int = 64 << 10
    """As sent, including the overhead of chunks. Above it: 413. An endpoint may have a lower limit."""
    head_s: float = 10.0
    """From the connection, or from the first byte of a later request, to the end of the head. Then 408; if
    nothing was sent, the connection is closed without an answer."""
    body_s: float = 10.0
    """From the end of the head to the end of the body. Then 408."""
    answer_s: float = 120.0
    """From the end of the request until the client has received the whole answer. Then the connection is
    aborted."""
    idle_s: float = 75.0
    """Between two requests. It is longer than the minute for which common proxies keep a connection.
    Otherwise they would sometimes send a request on a connection that is just being closed."""
    linger_s: float = 2.0
    """Until the client has read a refusal and closed the connection. Then it is aborted."""


class RequestPhase(Enum):
    """The state of a connection. The module's docstring shows the transitions."""

    FRESH = "fresh"
    """Nothing was received yet."""
    HEAD = "head"
    """The request line and headers are being received."""
    BODY = "body"
    """The body is being received."""
    ANSWER = "answer"
    """The request is complete, its answer is not."""
    IDLE = "idle"
    """The answer is complete, and no further request has begun."""
    LINGER = "linger"
    """A refusal was sent; further data is ignored until the client closes."""
    UPGRADE = "upgrade"
    """A WebSocket handshake is complete and waits to be handed over."""
    GONE = "gone"
    """Closed, or handed over to the WebSocket protocol."""


class Turns:
    """Starts at most `_STARTED_AT_ONCE` callbacks in each round of the event loop, in order.

    Otherwise a hundred requests that arrive together would be served in one round, and all other connections
    would wait for them.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._left = _STARTED_AT_ONCE
        self._is_due = False

    def start(self, what: Callable[[], None]) -> None:
        """Call `what` now if this round has room, otherwise in a later round."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._next_round)
        if self._left and not self._waiting:
            self._left -= 1
            what()
        else:
            self._waiting.append(what)

    def _next_round(self) -> None:
        self._is_due, self._left = False, _STARTED_AT_ONCE
        for _ in range(min(len(self._waiting), _STARTED_AT_ONCE)):
            self._left -= 1
            self._waiting.popleft()()
        if self._waiting:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._next_round)


class BoundedState(ServerState):
    """uvicorn's state of a server, shared by its connections, with limits and admission."""

    def __init__(self, limits: HttpLimits, admission: Admission) -> None:
        super().__init__()
        self.limits = limits
        self.admission = admission
        self.turns = Turns()

    def end_overdue(self, now_s: float) -> None:
        """End connections that exceeded a time limit. Call it once a second with the event loop's time."""
        for connection in list(self.connections):
            if isinstance(connection, BoundedHttp):
                connection.end_if_overdue(now_s)


_STARTED_AT_ONCE: Final = 16
_SLICE: Final = 4096
"""The parser gets at most so many bytes at once; the limits are checked after each."""
_HELD_BYTES_MAX: Final = 512 << 10
"""Bytes that may wait while a request is being answered: two reads of a socket."""
_NO_REQUEST: Final = (HTTPStatus.BAD_REQUEST, "this is no HTTP request")
_OFFER: Final = frozenset({b"upgrade", b"connection", b"http2-settings"})
_OPEN: Final = frozenset({RequestPhase.HEAD, RequestPhase.BODY})
_ANSWERED: Final = frozenset({RequestPhase.ANSWER, RequestPhase.IDLE})


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with the limits of `BoundedState`. It reads one request at a time."""

    def __init__(self, config: Config, server_state: ServerState, *arguments: Any, **named: Any) -> None:
        super().__init__(config, server_state, *arguments, **named)
        assert isinstance(server_state, BoundedState)
        self._limits = server_state.limits
        self._admission = server_state.admission
        self._turns = server_state.turns
        self._phase = RequestPhase.FRESH
        self._since_s = self.loop.time()
        """When the phase began (loop time). FRESH and the first HEAD count as one phase."""
        self._read_bytes = 0
        """Bytes received of the current head or body."""
        self._begun = 0
        """Requests that began within the bytes that the parser got last."""
        self._refusal = _NO_REQUEST
        """The answer if the parser fails; a callback sets a more exact one with `_stop`."""
        self._running: RequestResponseCycle | None = None
        """The request that is being answered; `cycle` is the last one that was read."""
        self._held = b""
        """Data received after a request that is not answered yet."""
        self._start_line = b""
        """The start line of a request that offers to upgrade to another protocol."""

    # --- the connection ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read, unless `drop` was called before the transport existed."""
        super().connection_made(cast(asyncio.Transport, transport))
        if self._phase is RequestPhase.GONE:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave `Admission` and stop the requests under way."""
        self._phase = RequestPhase.GONE
        self._held = b""  # the rest of this object may wait for the garbage collector
        self._admission.leave(self)
        self._abandon()
        super().connection_lost(exc)

    def drop(self) -> None:
        """Abort the connection without an answer."""
        self._phase = RequestPhase.GONE
        if self.transport is not None:
            self.transport.abort()

    def end_if_overdue(self, now_s: float) -> None:
        """If the current phase takes longer than its limit, refuse the request or abort the connection."""
        limits = self._limits
        is_unread = self._phase in _ANSWERED and self.transport.get_write_buffer_size() > 0
        limit_s = {
            RequestPhase.FRESH: limits.head_s,
            RequestPhase.HEAD: limits.head_s,
            RequestPhase.BODY: limits.body_s,
            RequestPhase.ANSWER: limits.answer_s,
            RequestPhase.IDLE: limits.answer_s if is_unread else limits.idle_s,
            RequestPhase.LINGER: limits.linger_s,
        }.get(self._phase)
        if limit_s is None or now_s - self._since_s < limit_s:
            return
        if self._phase in _OPEN:
            part = self._phase.value
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, f"the request's {part} took more than {limit_s:g} s")
            return
        if self._phase is RequestPhase.FRESH or is_unread:
            self._admission.note("unread" if is_unread else "silent")
        self.drop()

    def _go(self, phase: RequestPhase) -> None:
        if phase is not RequestPhase.HEAD or self._phase is not RequestPhase.FRESH:
            self._since_s = self.loop.time()
        self._phase = phase

    # --- what comes -------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and stop as soon as a limit is exceeded."""
        self._unset_keepalive_if_required()
        if self._phase is RequestPhase.UPGRADE:
            self.drop()  # frames may not come before the answer (RFC 6455, 4.1)
        elif self._must_wait():
            self._hold(data)
        else:
            self._feed(data)

    def _must_wait(self) -> bool:
        """Whether a request is being answered.

        The next one is read afterwards, so that they don't pile up.
        """
        return bool(self._held or self.pipeline) or self._phase is RequestPhase.ANSWER

    def _hold(self, data: bytes) -> None:
        self._held += data
        self.flow.pause_reading()
        if len(self._held) > _HELD_BYTES_MAX:
            self.drop()

    def _feed(self, data: bytes) -> None:
        start = 0
        while start < len(data) and self._phase not in {RequestPhase.LINGER, RequestPhase.GONE}:
            if self._must_wait():
                self._hold(data[start:])
                return
            end = start + self._room()
            before, self._refusal = self._phase, _NO_REQUEST
            try:
                self.parser.feed_data(data[start:end])
            except httptools.HttpParserUpgrade as upgrade:
                rest = data[start + upgrade.args[0] :]
                if self._should_upgrade():
                    self._upgrade(rest)
                    return
                data, start = self._without_upgrade() + rest, 0
                self._read_bytes = 0
            except httptools.HttpParserError:
                self.refuse(*self._refusal)
                return
            else:
                self._count(before, len(data[start:end]))
                start = end

    def _room(self) -> int:
        """How many bytes the parser may get before the limits are checked again."""
        if self._phase is RequestPhase.BODY:
            return max(1, min(_SLICE, self._limits.body_bytes - self._read_bytes))
        if self._phase is RequestPhase.HEAD:
            return max(1, min(_SLICE, self._limits.head_bytes - self._read_bytes))
        return _SLICE

    def _count(self, before: RequestPhase, size: int) -> None:
        """Count received bytes and refuse the request if a limit is reached.

        If a request began in the middle of these bytes, they are not counted for it.
        """
        if self._begun == 0 and self._phase is before:
            self._read_bytes += size
        elif self._begun == 1 and before in {RequestPhase.FRESH, RequestPhase.IDLE}:
            self._read_bytes = size
        else:
            self._read_bytes = 0
        self._begun = 0
        if self._phase is RequestPhase.HEAD and self._read_bytes >= self._limits.head_bytes:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, self._head_limit())
        elif self._phase is RequestPhase.BODY and self._read_bytes >= self._limits.body_bytes:
            limit = f"the body is at most {self._limits.body_bytes} bytes"
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, limit)

    def _head_limit(self) -> str:
        return f"a request head is at most {self._limits.head_bytes} bytes and {self._limits.headers} headers"

    # --- what the parser finds --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun += 1
        self._go(RequestPhase.HEAD)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._limits.target_bytes:
            limit = f"the target of a request is at most {self._limits.target_bytes} bytes"
            self._stop(HTTPStatus.REQUEST_URI_TOO_LONG, limit)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header. Trailer fields, which follow the body, are ignored (RFC 9110, 6.5.1)."""
        if self._phase is not RequestPhase.HEAD:
            return
        super().on_header(name, value)
        if len(self.headers) > self._limits.headers:
            self._stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, self._head_limit())

    def on_headers_complete(self) -> None:
        if self.parser.get_method() == b"CONNECT":
            self._stop(HTTPStatus.BAD_REQUEST, "this is no proxy")
        if self.parser.should_upgrade():
            if self._should_upgrade():
                self._check_handshake()
                super().on_headers_complete()
            self._start_line = b"%b %b HTTP/1.1\r\n" % (self.parser.get_method(), self.url)
            return
        super().on_headers_complete()
        self._admission.works(self, self.loop.time())
        self._go(RequestPhase.BODY)

    def _check_handshake(self) -> None:
        """A WebSocket handshake is the head of a GET and nothing more (RFC 6455, 4.1)."""
        names = {name for name, value in self.headers if (name, value) != (b"content-length", b"0")}
        if names & {b"content-length", b"transfer-encoding"}:
            self._stop(HTTPStatus.BAD_REQUEST, "a WebSocket handshake has no body")
        if self.parser.get_http_version() != "1.1":
            self._stop(HTTPStatus.BAD_REQUEST, "a WebSocket handshake is HTTP/1.1")

    def on_message_complete(self) -> None:
        if self._phase is not RequestPhase.BODY:
            return  # an upgrade to another protocol
        super().on_message_complete()
        self._go(RequestPhase.ANSWER)
        self._go_on()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._go_on()

    def _go_on(self) -> None:
        """Read the next request if all earlier ones are answered."""
        if self._phase is RequestPhase.ANSWER and self.cycle.response_complete:
            self._go(RequestPhase.IDLE)
            self._admission.rests(self)
        if self._held and not self.pipeline and self._phase is not RequestPhase.ANSWER:
            self.loop.call_soon(self._feed_held)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        start = super()._start_asgi_task

        def begin() -> None:
            if not cycle.disconnected:
                start(cycle, app)

        self._turns.start(begin)

    def _feed_held(self) -> None:
        held, self._held = self._held, b""
        if self._phase in _OPEN:
            self._go(self._phase)  # restart its time limit, because reading was paused
        if self._phase is not RequestPhase.GONE:
            self.flow.resume_reading()
            self._feed(held)

    def _stop(self, status: HTTPStatus, detail: str) -> None:
        """Refuse the request from within a parser callback, by raising an error that ends the parser."""
        self._refusal = (status, detail)
        raise ValueError(detail)

    # --- other protocols --------------------------------------------------------------------------

    def _upgrade(self, rest: bytes) -> None:
        if rest:
            self.refuse(HTTPStatus.BAD_REQUEST, "nothing may follow a handshake before its answer")
            return
        self._phase = RequestPhase.UPGRADE
        self._turns.start(self._hand_over)

    def _hand_over(self) -> None:
        """Pass the connection to the WebSocket protocol, if it is still open."""
        if self._phase is RequestPhase.UPGRADE and not self.transport.is_closing():
            self._phase = RequestPhase.GONE
            self._admission.upgrade(self)
            self.handle_websocket_upgrade()

    def _without_upgrade(self) -> bytes:
        """The head of a request that offers an unsupported protocol, without that offer, for a new parser.

        A server may ignore the offer (RFC 9110, 7.8), but the parser would treat the data after the head as
        the other protocol's.
        """
        self.parser = httptools.HttpRequestParser(self)
        lines = [b"%b: %b\r\n" % header for header in self.headers if header[0] not in _OFFER]
        return self._start_line + b"".join(lines) + b"\r\n"

    # --- what is refused --------------------------------------------------------------------------

    def refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer the request that is being read with a problem document, then close the connection.

        If an earlier request is not answered yet, or this one's answer has begun, no answer is sent.
        """
        if self.transport.is_closing():
            self.drop()
            return
        self._admission.note(str(status.value))
        is_body, may_answer = self._phase is RequestPhase.BODY, not self.pipeline
        for cycle in self._cycles():
            is_own = is_body and cycle is self.cycle
            may_answer &= not cycle.response_started if is_own else cycle.response_complete
        self._abandon()
        if may_answer:
            headers, body = problem(status, detail)
            own_headers = ((name.lower().encode(), value.encode()) for name, value in headers.items())
            lines = [b"%b: %b\r\n" % line for line in (*self.server_state.default_headers, *own_headers)]
            if self.parser.get_method() == b"HEAD":
                body = b""
            self.transport.write(b"".join([STATUS_LINE[status.value], *lines, b"\r\n", body]))
        self._unset_keepalive_if_required()
        self._held = b""
        self._go(RequestPhase.LINGER)
        self.flow.resume_reading()
        self.transport.write_eof()

    def _cycles(self) -> list[RequestResponseCycle]:
        """The request that is being answered and the last one that was read, as far as they exist."""
        return [cycle for cycle in (self._running, self.cycle) if cycle is not None]

    def _abandon(self) -> None:
        """Disconnect the applications' requests: they may run on, but their answers are discarded."""
        self.pipeline.clear()
        for cycle in self._cycles():
            cycle.disconnected = True
            cycle.body = bytearray()
            cycle.message_event.set()


def problem(status: HTTPStatus, detail: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of a problem document (RFC 9457) after which the connection is closed."""
    problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    body = json.dumps(problem).encode()
    headers = {
        **SAFE_HEADERS,
        "Content-Security-Policy": NO_CONTENT_POLICY,
        "Cache-Control": "no-store",
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    return headers, body
