# SPDX-License-Identifier: Apache-2.0
"""Everything a shell may touch of the world. The simulation hands in another world under one seed."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from taxi.bus import Bus
from taxi.runtime.tracing import NoTracer, Tracer

S = TypeVar("S")


class Log(Protocol):
    """Structured logging: an event name and fields (structlog's bound logger fits)."""

    def debug(self, event: str, **fields: Any) -> Any: ...
    def info(self, event: str, **fields: Any) -> Any: ...
    def warning(self, event: str, **fields: Any) -> Any: ...
    def error(self, event: str, **fields: Any) -> Any: ...


class Metrics(Protocol):
    """Counters, gauges and histograms by name; labels are keyword arguments (prometheus in real life)."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None: ...
    def gauge(self, name: str, value: float, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...


class Health(Protocol):
    """What /readyz says. A service is not ready until it says so."""

    def ready(self) -> None: ...
    def not_ready(self, reason: str) -> None: ...


class Connection(Protocol):
    """A message-level WebSocket connection, server side. One `send` is one message."""

    @property
    def peer(self) -> str:
        """The other side's address."""

    @property
    def form(self) -> str:
        """How `write` wants a message: connections of one form take the same bytes."""

    def send(self, message: bytes | str) -> None:
        """Queue a message. Never waits, never raises on a closed connection."""

    def write(self, wire: Any, /) -> None:
        """As `send`, but of a message already in the connection's form."""

    def send_before(self, words: Sequence[str], wire: Any) -> None:
        """`send` each of `words`, then `write`: at once, for every write costs a system call."""

    def backlog(self) -> int:
        """Bytes accepted by `send` that the transport has not passed on yet."""

    async def receive(self) -> bytes | str | None:
        """The next message, or None when the other side is gone."""

    def close(self, code: int = 1000, reason: str = "") -> None: ...


class Listener(Protocol):
    """Where browsers arrive."""

    async def accept(self) -> Connection: ...

    def open(self) -> None:
        """Start listening: only now are connections accepted, so a refused one tries another gateway."""

    def close(self) -> None:
        """Stop listening; open connections stay."""


@dataclass(frozen=True)
class Env(Generic[S]):
    """The world of one service instance."""

    settings: S
    bus: Bus
    now_ms: Callable[[], int]
    """Wall clock, epoch milliseconds. Durations come from the loop's own time."""
    random: random.Random
    new_id: Callable[[], str]
    """A fresh opaque id, 16 hex digits."""
    log: Log
    metrics: Metrics
    health: Health
    listener: Listener | None = None
    """Only the gateway has one."""
    tracer: Tracer = field(default_factory=NoTracer)
