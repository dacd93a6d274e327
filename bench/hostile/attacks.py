# SPDX-License-Identifier: Apache-2.0
"""Attacks of a hostile client, each as fast as possible, for some seconds. Each runs in a process of its own.

    python -m bench.hostile.attacks NAME PORT SECONDS

It connects from 127.0.0.9 and only to this machine, and reconnects whenever it was disconnected.
"""

import contextlib
import json
import os
import random
import selectors
import socket
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from testing.raw_sockets import BINARY, CONT, DEFLATE, PING, PONG, TEXT, Raw, RawWebSocket, frame, handshake

SOURCE: Final = "127.0.0.9"
_GONE: Final = (OSError, EOFError, AssertionError)
_GET: Final = b"GET /api/status HTTP/1.1\r\nHost: here\r\n\r\n"
_HELLO: Final = json.dumps({"type": "hello", "v": 1, "city": "manhattan"}).encode()
_SILENT: Final = 900
"""Sockets of one process: three processes open 2,700."""


class Attack:
    """Where, and until when."""

    def __init__(self, port: int, seconds: float) -> None:
        self.port = port
        self._end_s = time.monotonic() + seconds

    def rounds(self) -> Iterator[None]:
        """Again and again, until the time is over."""
        while time.monotonic() < self._end_s:
            try:
                yield
            finally:
                time.sleep(0)

    # --- frames -----------------------------------------------------------------------------------

    def flood(self, data: bytes, mb_per_s: float, *, first: bytes = b"", offer: str = "") -> None:
        """Frames at so many megabytes a second; what comes back is not read."""
        piece = data * max(1, 30_000 // len(data))
        for _ in self.rounds():
            with contextlib.suppress(*_GONE), RawWebSocket(self.port, source=SOURCE, offer=offer) as line:
                line.send(frame(TEXT, _HELLO) + first)
                began_s, sent = time.monotonic(), 0
                for _ in self.rounds():
                    line.send(piece)
                    sent += len(piece)
                    time.sleep(max(0.0, sent / mb_per_s / 1e6 - (time.monotonic() - began_s)))

    def empty_continuations(self) -> None:
        self.flood(frame(CONT, fin=False), 3.0, first=frame(TEXT, fin=False))

    def empty_pongs(self) -> None:
        self.flood(frame(PONG), 1.0)

    def unread_pings(self) -> None:
        self.flood(frame(PING, b"x" * 125), 20.0)

    def messages(self) -> None:
        self.flood(frame(TEXT, b'{"type":"view","generation":1,"bbox":null}'), 5.0)

    def nested_messages(self) -> None:
        self.flood(frame(TEXT, b'{"type":"view","generation":1,"x":' + b"[" * 2_000), 5.0)

    def bombs(self) -> None:
        deflate = zlib.compressobj(9, wbits=-15)
        bomb = (deflate.compress(bytes(3 << 20)) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
        self.flood(frame(BINARY, bomb, rsv=4), 5.0, offer=DEFLATE)

    def images(self) -> None:
        """Request images of the whole city repeatedly."""
        for _ in self.rounds():
            with contextlib.suppress(*_GONE), RawWebSocket(self.port, source=SOURCE, offer=DEFLATE) as line:
                line.say(TEXT, _HELLO)
                while line.hear().opcode != BINARY:
                    pass

    # --- requests ---------------------------------------------------------------------------------

    def requests(self, *pieces: bytes, pause_s: float = 0.0) -> None:
        """One request a connection, in pieces."""
        for _ in self.rounds():
            with contextlib.suppress(*_GONE), Raw(self.port, source=SOURCE) as line:
                for piece in pieces:
                    line.send(piece)
                    time.sleep(pause_s)
                line.rest()

    def huge_header(self) -> None:
        self.requests(b"GET / HTTP/1.1\r\nHost: here\r\nBig: ", *[b"x" * (1 << 20)] * 60)

    def many_headers(self) -> None:
        self.requests(b"GET / HTTP/1.1\r\nHost: here\r\n" + b"a: b\r\n" * 10_000 + b"\r\n")

    def huge_bodies(self) -> None:
        head = b"POST /api/rides HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        self.requests(head + b"Content-Length: 60000000\r\n\r\n", *[b"x" * (1 << 20)] * 60)

    def tiny_chunks(self) -> None:
        head = b"POST /api/rides HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        self.requests(head + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n" * 10_000] * 100)

    def requests_ahead(self) -> None:
        """Send pipelined requests without reading the answers."""
        self.requests(*[_GET * 5_000] * 20)

    def churn(self) -> None:
        for _ in self.rounds():
            with contextlib.suppress(*_GONE), Raw(self.port, source=SOURCE) as line:
                line.send(handshake(self.port))

    # --- connections that are held ----------------------------------------------------------------

    def held(self, begun: Callable[[], bytes], drip: bytes = b"") -> None:
        """As many as one may have, with the beginning of something on each, and a byte now and then."""
        lines: list[socket.socket] = []
        with selectors.DefaultSelector() as ended:
            for _ in self.rounds():
                with contextlib.suppress(OSError):
                    while len(lines) < _SILENT:
                        lines.append(self._begun(begun()))
                        ended.register(lines[-1], selectors.EVENT_READ)
                for key, _ in ended.select(0.2):
                    assert isinstance(key.fileobj, socket.socket)
                    ended.unregister(key.fileobj)
                    lines.remove(key.fileobj)
                    key.fileobj.close()
                if drip and lines:
                    with contextlib.suppress(OSError):
                        random.choice(lines).send(drip)
        for line in lines:
            line.close()

    def _begun(self, begun: bytes) -> socket.socket:
        line = Raw(self.port, source=SOURCE).sock
        if begun:
            line.send(begun)
        return line

    def silent_sockets(self) -> None:
        self.held(bytes)

    def half_handshakes(self) -> None:
        self.held(lambda: handshake(self.port)[: random.randrange(1, 150)], b"x")

    def slow_bodies(self) -> None:
        head = b"POST /api/rides HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        self.held(lambda: head + b"Content-Length: 9000\r\n\r\n{", b" ")

    def unread_answers(self) -> None:
        self.held(lambda: b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n" * 20)

    def silent_websockets(self) -> None:
        self.held(lambda: handshake(self.port))


NAMES: Final = (
    *("empty_continuations", "empty_pongs", "unread_pings", "messages", "nested_messages", "bombs", "images"),
    *("huge_header", "many_headers", "huge_bodies", "tiny_chunks", "requests_ahead", "churn"),
    *("silent_sockets", "half_handshakes", "slow_bodies", "unread_answers", "silent_websockets"),
)

if __name__ == "__main__":
    os.nice(10)  # it would not take the gateway's processor from another machine
    getattr(Attack(int(sys.argv[2]), float(sys.argv[3])), sys.argv[1])()
