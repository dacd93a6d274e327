# SPDX-License-Identifier: Apache-2.0
"""HTTP and WebSocket by hand, byte by byte: a client that may break every rule. For tests and benchmarks.

It knows RFC 6455 from the RFC alone, and shares no code with the server or with a library.
"""

import base64
import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
DEFLATE: Final = "permessage-deflate"
_READ: Final = 1 << 16


@dataclass(frozen=True)
class Frame:
    """As it came."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    mask: bytes = b"\x12\x34\x56\x78",
) -> bytes:
    """The bytes of a frame, as a client sends it."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit, size = (0x80 if masked else 0), len(payload)
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if not masked:
        return head + payload
    key = (mask * (size // 4 + 1))[:size]
    hidden = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
    return head + mask + hidden


def close_payload(code: int, reason: bytes = b"") -> bytes:
    """Of a close frame."""
    return struct.pack("!H", code) + reason


class Raw:
    """A TCP connection."""

    def __init__(self, port: int, *, source: str = "127.0.0.1", timeout_s: float = 5.0) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout_s, source_address=(source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""
        self._at = 0
        """So much of it was taken."""

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """All of it. Raises OSError: the other side has gone."""
        self.sock.sendall(data)

    def send_in_pieces(self, data: bytes, size: int) -> None:
        """Each piece a packet of its own, if the kernel likes."""
        for start in range(0, len(data), size):
            self.send(data[start : start + size])

    def read(self, size: int) -> bytes:
        """Exactly so many bytes. Raises EOFError: there are no more."""
        while len(self._read) - self._at < size:
            self._more()
        self._at += size
        return self._read[self._at - size : self._at]

    def read_until(self, end: bytes) -> bytes:
        """Up to and with `end`. Raises EOFError."""
        while (found := self._read.find(end, self._at)) < 0:
            self._more()
        return self.read(found + len(end) - self._at)

    def rest(self) -> bytes:
        """Everything until the other side closes, or resets."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                self._more()
        return self.read(len(self._read) - self._at)

    def ends_within(self, seconds: float) -> bool:
        """Whether the other side closes by then; what it sends until then is dropped."""
        deadline_s = time.monotonic() + seconds
        try:
            while (left_s := deadline_s - time.monotonic()) > 0:
                self.sock.settimeout(left_s)
                if not self.sock.recv(_READ):
                    return True
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return False

    def answer(self, method: str = "GET") -> Answer:
        """The next HTTP answer. Raises EOFError: the other side closed without one."""
        head = self.read_until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.split("\r\n")[:-2]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        size = 0 if method == "HEAD" else int(headers.get("content-length", 0))
        return Answer(int(first.split()[1]), headers, self.read(size))

    def _more(self) -> None:
        got = self.sock.recv(_READ)
        if not got:
            raise EOFError
        self._read, self._at = self._read[self._at :] + got, 0


class RawWebSocket(Raw):
    """A WebSocket."""

    def __init__(
        self, port: int, *, offer: str = "", source: str = "127.0.0.1", timeout_s: float = 5.0
    ) -> None:
        super().__init__(port, source=source, timeout_s=timeout_s)
        try:
            self.send(handshake(port, offer=offer))
            answer = self.answer()
            assert answer.status == 101, answer
        except BaseException:
            self.sock.close()
            raise
        self.extensions = answer.headers.get("sec-websocket-extensions", "")

    @classmethod
    def adopt(cls, raw: Raw) -> "RawWebSocket":
        """A connection on which the handshake is done."""
        adopted = cls.__new__(cls)
        adopted.__dict__.update(raw.__dict__, extensions="")
        return adopted

    def __enter__(self) -> "RawWebSocket":
        return self

    def say(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        """Send a frame."""
        self.send(frame(opcode, payload, fin=fin, rsv=rsv))

    def hear(self) -> Frame:
        """The next frame. Raises EOFError."""
        first, second = self.read(2)
        assert not second & 0x80, "a server does not mask"
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.read(8))
        return Frame(first & 0x0F, self.read(size), bool(first & 0x80), first >> 4 & 7)

    def end(self) -> tuple[int | None, str]:
        """Code and reason of the close frame; frames before it are dropped. (None, ""): it had none.

        Raises EOFError: the other side closed without one.
        """
        for heard in self.frames():
            if heard.opcode == CLOSE:
                if not heard.payload:
                    return None, ""
                return int.from_bytes(heard.payload[:2], "big"), heard.payload[2:].decode()
        raise EOFError

    def frames(self) -> Iterator[Frame]:
        """All that come."""
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                yield self.hear()


def handshake(port: int, *more: str, offer: str = "", path: str = "/ws") -> bytes:
    """The request that opens a WebSocket; `more` headers follow the usual ones."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        *([f"Sec-WebSocket-Extensions: {offer}"] if offer else []),
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
