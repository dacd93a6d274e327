# SPDX-License-Identifier: Apache-2.0
"""Message-level sockets between nodes: latency, order, kernel buffers, cuts, and silence."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from testing.virtual_time import Node, SimLoop, State

KERNEL_BYTES = 2_048
"""What lies between `send` and the other side's `receive` without counting as backlog."""
ABNORMAL = 1006


@dataclass(frozen=True)
class Closed:
    """How a connection ended."""

    code: int
    reason: str = ""


class Socket:
    """One side of a connection. The server's side is a `taxi.runtime.env.Connection`."""

    form = "message"

    def __init__(self, network: "SocketNetwork", node: Node, peer: str) -> None:
        self.peer = peer
        self.node = node
        self.other: Socket
        self.closed: Closed | None = None
        """Set once the other side's close, or a failure, has arrived here; or this side has closed."""
        self.is_kept = False
        """The client that opened it has passed it on."""
        self.expires_ms: int | None = None
        """When the token that was shown from here ends."""
        self.is_deaf = False
        """Everything that is sent from here is lost without an error."""
        self._network = network
        self._inbox: asyncio.Queue[bytes | str | Closed] = asyncio.Queue()
        self._unread_bytes = 0
        self._last_arrival_s = 0.0

    def send(self, message: bytes | str) -> None:
        if self.closed is None and not self.is_deaf and self.node.state is not State.DEAD:
            self._network.watch(self, message)
            self.other._unread_bytes += len(message)
            self._deliver(message)

    def write(self, wire: bytes | str) -> None:
        self.send(wire)

    def send_before(self, words: Sequence[str], wire: bytes | str) -> None:
        for message in (*words, wire):
            self.send(message)

    def backlog(self) -> int:
        return max(0, self.other._unread_bytes - KERNEL_BYTES)

    async def receive(self) -> bytes | str | None:
        if self.closed is not None:
            return None
        message = await self._inbox.get()
        if isinstance(message, Closed):
            self.closed = message
            return None
        self._unread_bytes -= len(message)
        return message

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.closed is None:
            self.closed = Closed(code, reason)
            self._inbox.put_nowait(self.closed)  # for a caller that waits in `receive`
            self._deliver(Closed(code, reason))
            self._network.remove(self)

    def break_off(self) -> None:
        """The connection fails: this side learns of it now, what was under way is lost."""
        if self.closed is None:
            self._inbox = asyncio.Queue()
            self._inbox.put_nowait(Closed(ABNORMAL))

    def _deliver(self, message: bytes | str | Closed) -> None:
        """In order: nothing overtakes what was sent before."""
        loop = self._network.loop
        self._last_arrival_s = max(self._last_arrival_s, loop.now + self._network.latency_s())
        loop.in_world(self._last_arrival_s - loop.now, self.other._arrive, message)

    def _arrive(self, message: bytes | str | Closed) -> None:
        if self.closed is None:
            self._inbox.put_nowait(message)


class SimListener:
    """A gateway's `taxi.runtime.env.Listener`."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.is_open = False
        self.arrivals: asyncio.Queue[Socket] = asyncio.Queue()

    async def accept(self) -> Socket:
        return await self.arrivals.get()

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


@dataclass
class SocketNetwork:
    """All connections of a world."""

    loop: SimLoop
    random: random.Random
    slow: float = 1.0
    listeners: dict[str, SimListener] = field(default_factory=dict)
    watch: Callable[[Socket, bytes | str], None] = lambda *_: None
    """Called with every message when it is sent."""
    _pairs: dict[Socket, None] = field(default_factory=dict)

    def latency_s(self) -> float:
        luck = self.random.random()
        return self.slow * (0.002 * luck if luck < 0.97 else 0.1 * luck)

    def connect(self, node: Node) -> Socket | None:
        """To any gateway that listens, as one shared port gives it. None: refused.

        A frozen gateway's kernel still accepts for it.
        """
        open_ones = [
            listener
            for listener in self.listeners.values()
            if listener.is_open and listener.node.state is not State.DEAD
        ]
        if not open_ones:
            return None
        listener = self.random.choice(open_ones)
        ours, theirs = Socket(self, node, listener.node.name), Socket(self, listener.node, node.name)
        ours.other, theirs.other = theirs, ours
        self._pairs[ours] = self._pairs[theirs] = None
        self.loop.in_world(self.latency_s(), listener.arrivals.put_nowait, theirs)
        return ours

    def remove(self, socket: Socket) -> None:
        self._pairs.pop(socket, None)
        self._pairs.pop(socket.other, None)

    def node_died(self, node: Node) -> None:
        """Its kernel resets its connections; the others learn of it a little later."""
        for socket in [socket for socket in self._pairs if socket.node is node]:
            socket.closed = Closed(ABNORMAL)
            self.loop.in_world(self.latency_s(), socket.other.break_off)
            self.remove(socket)

    def pick(self, wanted: Callable[[Socket], bool] = lambda _: True) -> Socket | None:
        """Any open connection's side."""
        sockets = [socket for socket in self._pairs if socket.closed is None and wanted(socket)]
        return self.random.choice(sockets) if sockets else None
