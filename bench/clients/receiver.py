# SPDX-License-Identifier: Apache-2.0
"""Many WebSocket clients in one process with little CPU time: they read, and record arrival times.

    python -m bench.clients.receiver PORT CLIENTS MODE

MODE: `taxi` says hello and notes when each cut was complete; `centrifuge` connects to that. Writes a line
when everyone has a first frame; then for each line `SECONDS` it reads, one JSON line of what came.
"""

import base64
import collections
import json
import os
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

_HEAD: Final = struct.Struct("<16xQ8xQ8xQ")
"""Of a cut: previous `loc`, next `loc`, cut time."""
_HELLO: Final = {
    "taxi": {"type": "hello", "v": 1, "city": "manhattan"},
    "centrifuge": {"id": 1, "connect": {}},
}
_BUFFER: Final = bytearray(1 << 20)


@dataclass(eq=False, slots=True)
class Stream:
    """One socket's bytes, cut into frames."""

    socket: socket.socket
    left: int = 0
    """Bytes of the present frame that are still to come."""
    head: bytes = b""
    """The beginning of a frame whose head is not complete."""
    cut: tuple[int, int] | None = None
    frames: int = 0
    bytes: int = 0


@dataclass
class Receivers:
    """All clients."""

    by_fd: dict[int, Stream] = field(default_factory=dict)
    arrivals: dict[tuple[int, int], collections.Counter[int]] = field(default_factory=dict)
    """(previous, next) `loc` → wall clock in ms → how many clients had it then."""
    frames: int = 0
    bytes: int = 0
    lost: int = 0

    def open(self, port: int, clients: int, mode: str) -> None:
        self.poll = select.epoll()
        for _ in range(clients):
            sock = connected(port, json.dumps(_HELLO[mode]).encode())
            self.by_fd[sock.fileno()] = Stream(sock)
            self.poll.register(sock.fileno(), select.EPOLLIN)
            self.read_until(time.monotonic() + 0.001)  # who came early must not count as slow

    def read_until(self, end_s: float) -> None:
        view = memoryview(_BUFFER)
        while (left_s := end_s - time.monotonic()) > 0:
            for fd, _ in self.poll.poll(min(left_s, 0.2)):
                stream = self.by_fd[fd]
                try:
                    size = stream.socket.recv_into(_BUFFER)
                except ConnectionError:
                    size = 0
                if size:
                    self.feed(stream, view[:size])
                else:
                    self.lose(stream)

    def lose(self, stream: Stream) -> None:
        """Handle a closed connection. Clients do not reconnect here."""
        del self.by_fd[stream.socket.fileno()]
        self.poll.unregister(stream.socket)
        stream.socket.close()
        self.lost += 1

    def feed(self, stream: Stream, data: memoryview) -> None:
        size = len(data)
        self.bytes += size
        if size < stream.left:
            stream.left -= size
            return
        at = stream.left
        if at:
            self.complete(stream)
        if stream.head:
            data, at = memoryview(stream.head + bytes(data[at:])), 0
            size, stream.head = len(data), b""
        while at < size:
            length, start = frame_head(data, at)
            if length is None or (length >= 80 and data[at] == 0x82 and size < start + 80):
                stream.head, stream.left = bytes(data[at:]), 0
                return
            if length >= 80 and data[at] == 0x82:
                before, after, _ = _HEAD.unpack_from(data, start)
                stream.cut = before, after
            end = start + length
            if end > size:
                stream.left = end - size
                return
            self.complete(stream)
            at = end
        stream.left = 0

    def complete(self, stream: Stream) -> None:
        stream.frames += 1
        self.frames += 1
        if stream.cut is not None:
            at_ms = time.time_ns() // 1_000_000
            self.arrivals.setdefault(stream.cut, collections.Counter())[at_ms] += 1
            stream.cut = None


def frame_head(data: memoryview, at: int) -> tuple[int, int] | tuple[None, int]:
    """Length of the payload and where it begins; None where the head is not complete."""
    left = len(data) - at
    if left < 2:
        return None, 0
    length = data[at + 1]
    if length < 126:
        return length, at + 2
    width = 2 if length == 126 else 8
    if left < 2 + width:
        return None, 0
    return int.from_bytes(data[at + 2 : at + 2 + width], "big"), at + 2 + width


def connected(port: int, hello: bytes) -> socket.socket:
    """A WebSocket after its handshake, with its first message sent."""
    sock = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += sock.recv(1)  # not a byte of what follows
    if b" 101 " not in answer:
        raise ConnectionError(answer.decode("latin-1"))
    mask = bytes(4)
    length = bytes([0x80 | len(hello)]) if len(hello) < 126 else b"\xfe" + len(hello).to_bytes(2, "big")
    sock.sendall(b"\x81" + length + mask + hello)
    sock.setblocking(False)
    return sock


def main() -> None:
    """Connect, then read for as long as each line says."""
    port, clients, mode = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    receivers = Receivers()
    receivers.open(port, clients, mode)
    while not all(stream.frames > 1 for stream in receivers.by_fd.values()):
        receivers.read_until(time.monotonic() + 0.2)
    print("ready", flush=True)
    for line in iter(lambda: read_line(receivers), ""):
        receivers.frames = receivers.bytes = 0
        receivers.arrivals.clear()
        receivers.read_until(time.monotonic() + float(line))
        print(json.dumps(figures_of(receivers)), flush=True)


def read_line(receivers: Receivers) -> str:
    """The next line of standard input; sockets are read meanwhile, or they would count as slow."""
    while not select.select([sys.stdin], [], [], 0)[0]:
        receivers.read_until(time.monotonic() + 0.05)
    return sys.stdin.readline()


def figures_of(receivers: Receivers) -> dict[str, Any]:
    """The arrivals as JSON."""
    arrivals = [[*cut, sorted(at_ms.items())] for cut, at_ms in receivers.arrivals.items()]
    return {
        "frames": receivers.frames,
        "bytes": receivers.bytes,
        "lost": receivers.lost,
        "arrivals": arrivals,
    }


if __name__ == "__main__":
    main()
