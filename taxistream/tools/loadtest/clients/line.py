# SPDX-License-Identifier: Apache-2.0
"""A WebSocket client connection that receives cheaply.

The sans-I/O core of `websockets` does the handshake and sends; received frames are parsed here, because a
gateway sends unfragmented, unmasked, uncompressed messages. CPU time for a message of 2 kB with 300
connections: 26 µs with the library's client, 15 µs with its core alone, 7 µs here (docs/load-test.md).
"""

import asyncio
import time
from typing import Final, Protocol, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

_BINARY, _TEXT, _CLOSE, _PING = 0x82, 0x81, 0x88, 0x89
_LOST: Final = 1006
_NO_STATUS: Final = 1005


class Hearer(Protocol):
    """Gets the events of a connection. `at_ms` is the wall clock in epoch milliseconds."""

    def opened(self, line: "Line") -> None: ...
    def heard_update(self, line: "Line", message: bytes, at_ms: int) -> None: ...
    def heard_text(self, line: "Line", text: str, at_ms: int) -> None: ...
    def lost(self, line: "Line", code: int, reason: str) -> None: ...
    def misframed(self, line: "Line", why: str) -> None:
        """The gateway sent a frame that the protocol does not permit."""


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, url: str, hearer: Hearer) -> None:
        self._hearer = hearer
        self._url = url
        self._core: ClientProtocol  # made once connected, as most attempts fail while a gateway is down
        self._transport: asyncio.Transport | None = None
        self._open = False
        self._rest = b""
        self._close = (_LOST, "")
        self._left = False
        self.silent_s = 0.0
        """The loop time at which the owner counts the connection as dead; set by the owner."""

    # --- what an owner does -----------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Send a message if the connection is open."""
        if self._transport is not None and self._open and not self._left:
            self._core.send_text(text.encode())
            self._flush()

    def leave(self) -> None:
        """Close the connection. No further events are delivered."""
        self._left = True
        self._say_goodbye()

    def pause(self) -> None:
        """Stop reading."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Resume reading."""
        if self._transport is not None:
            self._transport.resume_reading()

    def failed(self) -> None:
        """Report that the connection could not be opened."""
        if not self._left:
            self._hearer.lost(self, _LOST, "")

    # --- callbacks of asyncio ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from asyncio's
        if self._left:
            self._transport.abort()
            return
        self._core = ClientProtocol(
            parse_uri(self._url), subprotocols=[Subprotocol("taxi.v1")], max_size=None
        )
        self._core.send_request(self._core.connect())
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self._left:
            self._left = True
            self._hearer.lost(self, *self._close)

    def data_received(self, data: bytes) -> None:
        if self._left:
            return
        at_ms = time.time_ns() // 1_000_000
        if not self._open:
            data = self._shake_hands(data)
            if not self._open:
                return
        if self._rest:
            data = self._rest + data
        self._rest = self._cut_up(data, at_ms)

    def _shake_hands(self, data: bytes) -> bytes:
        """Process the answer to the handshake, and return the data after it."""
        self._rest += data
        head, end, rest = self._rest.partition(b"\r\n\r\n")
        if not end:
            return b""
        self._rest = b""
        self._core.receive_data(head + end)
        if isinstance(self._core.handshake_exc, InvalidHandshake) or not self._core.events_received():
            assert self._transport is not None
            self._transport.close()
            return b""
        self._open = True
        self._hearer.opened(self)
        return rest

    def _cut_up(self, data: bytes, at_ms: int) -> bytes:
        """Deliver each complete message, and return the data that is left."""
        at, size = 0, len(data)
        while size - at >= 2 and not self._left:
            length, head = data[at + 1], 2
            if length == 126:
                length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            elif length == 127:
                length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
            elif length > 127:
                self._hearer.misframed(self, "a masked frame from a gateway")
                return b""
            end = at + head + length
            if size < end:
                break
            self._tell(data[at], data[at + head : end], at_ms)
            at = end
        return data[at:]

    def _tell(self, kind: int, payload: bytes, at_ms: int) -> None:
        if kind == _BINARY:
            self._hearer.heard_update(self, payload, at_ms)
        elif kind == _TEXT:
            self._hearer.heard_text(self, payload.decode(errors="replace"), at_ms)
        elif kind == _CLOSE:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else _NO_STATUS
            self._close = code, payload[2:].decode(errors="replace")
            self._say_goodbye()
        elif kind == _PING:
            self._core.send_pong(payload)
            self._flush()
        else:
            self._hearer.misframed(self, f"a frame that begins with {kind:#x}")

    def _say_goodbye(self) -> None:
        if self._transport is None:
            return
        if self._core.state is State.OPEN:
            self._core.send_close(1000)
            self._flush()
        self._transport.close()

    def _flush(self) -> None:
        assert self._transport is not None
        self._transport.write(b"".join(self._core.data_to_send()))


class LineOpener:
    """Opens connections to one gateway address in the background.

    Args:
        url: The address, as `ws://HOST:PORT/ws`.
    """

    def __init__(self, url: str) -> None:
        host, _, port = url.split("/")[2].rpartition(":")
        self._url, self._host, self._port = url, host, int(port)
        self._opening: set[asyncio.Task[None]] = set()

    def open(self, hearer: Hearer) -> Line:
        """Begin to open a connection. A failure is reported as a lost connection."""
        line = Line(self._url, hearer)
        task = asyncio.create_task(self._connect(line))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return line

    async def _connect(self, line: Line) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: line, self._host, self._port)
        except OSError:
            line.failed()
