# SPDX-License-Identifier: Apache-2.0
"""The simulated network between a bus and its broker: latency, lost and late requests, lost replies."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from taxi.bus import BusError

T = TypeVar("T")
Reply = Callable[[Any], None]
Serve = Callable[[Reply], None]
"""The broker's handler of a request: it calls back with a value or a BusError, now or later."""


class Scheduler(Protocol):
    """A scheduler whose callbacks run even if the process that scheduled them is killed."""

    def in_world(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None: ...


class PlainScheduler:
    """A World on the running event loop."""

    def in_world(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        loop = asyncio.get_running_loop()
        if delay_s > 0:
            loop.call_later(delay_s, callback, *args)
        else:
            loop.call_soon(callback, *args)


@dataclass(kw_only=True)
class Harshness:
    """The faults to inject and their rates; by default none. A test may change them at any time."""

    down: bool = False
    """The broker does not answer."""
    loss: float = 0.0
    """Share of requests and of replies that are lost."""
    slow: float = 1.0
    """Factor on every latency."""
    latency_s: float = 0.0
    """The maximum of most one-way delays; one in thirty is up to fifty times as long."""
    stragglers: float = 0.0
    """Share of requests that arrive up to `straggle_s` late, perhaps after their sender's timeout."""
    straggle_s: float = 2.0
    late_ends: float = 0.0
    """Share of EndTxn requests whose connection breaks; they arrive when the next transaction is open."""
    cut_fetches: float = 0.0
    """Share of fetches that are limited to one to eleven records."""
    marker_s: float = 0.002
    """The usual delay of a marker after the commit was acknowledged; one in fifty takes up to eighty times
    that."""


class Timeout(BusError):  # noqa: N818 - an outcome
    """No answer came: the request or the reply was lost, or the broker is down."""


class Network:
    """The network between one process and the broker."""

    def __init__(self, world: Scheduler, harshness: Harshness, rng: random.Random) -> None:
        self.world = world
        self.harshness = harshness
        self.random = rng
        self.strandings = 0
        """How often `strand` was called."""

    def strand(self) -> None:
        """Make all open connections dead without closing them: requests are accepted and never answered."""
        self.strandings += 1

    def latency_s(self) -> float:
        """A random delay of one direction, in seconds."""
        base = self.harshness.latency_s * self.harshness.slow
        if not base:
            return 0.0
        luck = self.random.random()
        return base * luck if luck < 0.97 else base * 50 * (luck - 0.97) / 0.03

    def delay_there_s(self) -> float:
        """A random delay of a request, in seconds; `stragglers` of them are late."""
        late = self.harshness.stragglers and self.random.random() < self.harshness.stragglers
        return self.random.random() * self.harshness.straggle_s if late else self.latency_s()

    def loses(self) -> bool:
        """Whether to lose this request or reply."""
        harshness = self.harshness
        return harshness.down or (bool(harshness.loss) and self.random.random() < harshness.loss)


class MemoryConnection:
    """A connection to the broker. After a timeout or a cancelled request it is replaced."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._opened = network.strandings
        """`Network.strandings` when it was opened. If that is greater now, the connection is dead."""

    async def ask(self, serve: Serve, timeout_s: float) -> Any:
        """Send one request and return its reply. Raises Timeout, or the BusError that the broker replied."""
        loop, network = asyncio.get_running_loop(), self._network
        future: asyncio.Future[Any] = loop.create_future()
        network.world.in_world(network.delay_there_s(), self._arrive, serve, future, self._opened)
        timer = loop.call_later(timeout_s, _expire, future)
        try:
            return await future
        except (Timeout, asyncio.CancelledError):
            self.replace()
            raise
        finally:
            timer.cancel()

    def replace(self) -> None:
        """Open another connection for the next request."""
        self._opened = self._network.strandings

    def _arrive(self, serve: Serve, future: "asyncio.Future[Any]", opened: int) -> None:
        network = self._network
        if opened < network.strandings or network.loses():
            return

        def reply(value: Any) -> None:
            if opened == network.strandings and not network.loses():
                network.world.in_world(network.latency_s(), _settle, future, value)

        try:
            serve(reply)
        except BusError as error:
            reply(error)


def _settle(future: "asyncio.Future[Any]", value: Any) -> None:
    if future.done():
        return
    if isinstance(value, BusError):
        future.set_exception(value)
    else:
        future.set_result(value)


def _expire(future: "asyncio.Future[Any]") -> None:
    if not future.done():
        future.set_exception(Timeout())
