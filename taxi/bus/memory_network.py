# SPDX-License-Identifier: Apache-2.0
"""Between a bus and its broker: latency, lost requests, lost replies, requests that come late."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from taxi.bus import BusError

T = TypeVar("T")
Reply = Callable[[Any], None]
Serve = Callable[[Reply], None]
"""What the broker does with a request: it calls back with a value or a BusError, now or later."""


class World(Protocol):
    """Where things happen that no caller's death can stop."""

    def in_world(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None: ...


class PlainWorld:
    """The running loop."""

    def in_world(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        loop = asyncio.get_running_loop()
        if delay_s > 0:
            loop.call_later(delay_s, callback, *args)
        else:
            loop.call_soon(callback, *args)


@dataclass(kw_only=True)
class Harshness:
    """What goes wrong, and how often. The default: nothing does. A nemesis changes it on the way."""

    down: bool = False
    """The broker answers nobody."""
    loss: float = 0.0
    """Share of requests and of replies that get lost."""
    slow: float = 1.0
    """Factor on every latency."""
    latency_s: float = 0.0
    """Most round trips take about so long; one in thirty takes up to fifty times that."""
    stragglers: float = 0.0
    """Share of requests that arrive up to `straggle_s` late: after their sender gave them up."""
    straggle_s: float = 2.0
    late_ends: float = 0.0
    """Share of EndTxn requests whose connection breaks: one arrives when the next transaction is open."""
    cut_fetches: float = 0.0
    """Share of fetches that bring fewer records than there are, or none."""
    marker_s: float = 0.002
    """After a commit was answered, markers come within this; one in fifty takes up to eighty times that."""


class Timeout(BusError):  # noqa: N818 - an outcome
    """No answer: lost on the way there, or back, or the broker is down. Nobody knows which."""


class Network:
    """Carries requests of one bus to the broker and replies back."""

    def __init__(self, world: World, harshness: Harshness, rng: random.Random) -> None:
        self.world = world
        self.harshness = harshness
        self.random = rng

    async def ask(self, serve: Serve, timeout_s: float) -> Any:
        """One request, one reply. Raises Timeout, or the BusError that the broker replied."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self.world.in_world(self._delay_there(), self._arrive, serve, future)
        timer = loop.call_later(timeout_s, _expire, future)
        try:
            return await future
        finally:
            timer.cancel()

    def _arrive(self, serve: Serve, future: "asyncio.Future[Any]") -> None:
        if self.harshness.down or self._lost():
            return

        def reply(value: Any) -> None:
            if not (self.harshness.down or self._lost()):
                self.world.in_world(self.latency_s(), _settle, future, value)

        try:
            serve(reply)
        except BusError as error:
            reply(error)

    def latency_s(self) -> float:
        """Of one way."""
        base = self.harshness.latency_s * self.harshness.slow
        if not base:
            return 0.0
        luck = self.random.random()
        return base * luck if luck < 0.97 else base * 50 * (luck - 0.97) / 0.03

    def _delay_there(self) -> float:
        late = self.harshness.stragglers and self.random.random() < self.harshness.stragglers
        return self.random.random() * self.harshness.straggle_s if late else self.latency_s()

    def _lost(self) -> bool:
        return bool(self.harshness.loss) and self.random.random() < self.harshness.loss


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
