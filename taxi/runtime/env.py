# SPDX-License-Identifier: Apache-2.0
"""The interface of a service to its environment: bus, clock, randomness, log, metrics, network.

A service uses nothing else outside of itself, so the simulation can replace all of it, from one seed.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from taxi.bus import Bus
from taxi.runtime.faults import Faults
from taxi.runtime.tracing import NoTracer, Tracer

S = TypeVar("S")
T = TypeVar("T")


class Offload(Protocol):
    """Runs a function that takes long without blocking the event loop."""

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Return or raise what `work` does.

        If the caller is cancelled, `work` runs on and its result is lost.
        """


async def on_the_loop(work: Callable[[], T], /) -> T:
    """An `Offload` without threads, for tests and simulations. It blocks the event loop."""
    return work()


class Log(Protocol):
    """Structured logging: an event name and fields. A structlog logger implements it."""

    def debug(self, event: str, **fields: Any) -> Any: ...
    def info(self, event: str, **fields: Any) -> Any: ...
    def warning(self, event: str, **fields: Any) -> Any: ...
    def error(self, event: str, **fields: Any) -> Any: ...


class Metrics(Protocol):
    """Counters, gauges and histograms by name; labels are keyword arguments."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None: ...
    def gauge(self, name: str, value: float, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...


class Health(Protocol):
    """Sets what /readyz answers. A service is not ready until it calls `ready`."""

    def ready(self) -> None: ...
    def not_ready(self, reason: str) -> None: ...


class Connection(Protocol):
    """The server's side of a WebSocket connection, in whole messages."""

    @property
    def peer(self) -> str:
        """The client's address."""

    @property
    def form(self) -> str:
        """The encoding of messages for `write`. Connections with the same form can share encoded messages."""

    def send(self, message: bytes | str) -> None:
        """Encode and queue a message. It does not wait, and does nothing on a closed connection."""

    def write(self, wire: Any, /) -> None:
        """Queue a message that is already encoded in this connection's `form`."""

    def send_before(self, words: Sequence[str], wire: Any) -> None:
        """`send` each of `words`, then `write` `wire`, in one write, because each write is a system call."""

    def backlog(self) -> int:
        """Queued bytes that the operating system has not taken yet."""

    async def receive(self) -> bytes | str | None:
        """The next message, or None after the connection was closed."""

    def close(self, code: int = 1000, reason: str = "") -> None: ...


class Listener(Protocol):
    """The source of WebSocket connections."""

    async def accept(self) -> Connection: ...

    def open(self) -> None:
        """Start listening. Before that, connections are refused, so that clients try another gateway."""

    def close(self) -> None:
        """Stop listening. Open connections stay open."""


@dataclass(frozen=True)
class Env(Generic[S]):
    """The environment of one service instance."""

    settings: S
    bus: Bus
    now_ms: Callable[[], int]
    """Wall clock in milliseconds since the epoch. Durations are measured with the event loop's time."""
    random: random.Random
    new_id: Callable[[], str]
    """A fresh opaque id, 16 hex digits."""
    log: Log
    metrics: Metrics
    health: Health
    listener: Listener | None = None
    """None in services other than the gateway."""
    tracer: Tracer = field(default_factory=NoTracer)
    offload: Offload = on_the_loop
    """Runs work that takes long; in a real process in a thread."""
    faults: Faults = field(default_factory=Faults)
    """Reports lasting conditions in the log, the metrics, /readyz and on the page."""

    def __post_init__(self) -> None:
        self.faults.attach(self.log, self.metrics)
