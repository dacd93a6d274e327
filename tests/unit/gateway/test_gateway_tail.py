# SPDX-License-Identifier: Apache-2.0
"""Fetches and cuts keep one fetch_all: a cut closes with what its own fetch brought."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

from gateway.follower.tail import Tail, fetch_all
from taxi.bus import Record, Unavailable
from testing.gateway_harness import Spy
from testing.virtual_time import SimLoop


class Broker:
    """A reader whose every fetch takes a while."""

    def __init__(self, takes_s: float) -> None:
        self.takes_s = takes_s
        self.brings = True
        self.is_there = True
        self.asked_s: list[float] = []
        self.position = self.withheld = 0
        self.end: int | None = None

    async def fetch(self, *, max_records: int = 1000, wait_ms: int = 100) -> list[Record]:
        self.asked_s.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes_s if self.brings else wait_ms / 1000)
        if not self.is_there:
            raise Unavailable("gone")
        self.position += 1
        return [Record(self.position, 0, b"", b"", ())] if self.brings else []

    def seek(self, offset: int) -> None: ...

    async def close(self) -> None: ...


def run(scenario: Coroutine[Any, Any, None]) -> None:
    loop = SimLoop(1)
    loop.run_until_complete(scenario)
    loop.shut_down()


async def cuts(broker: Broker, n: int) -> list[tuple[float, int]]:
    """When each cut closed, and how many fetches' records it got."""
    tail = Tail(broker, "t", random.Random(1), Spy())
    running = asyncio.create_task(tail.run())
    loop, closed = asyncio.get_running_loop(), []
    await asyncio.sleep(0.05)
    for number in range(1, n + 1):
        await asyncio.sleep(0.1 * number - loop.time())
        await fetch_all((tail,), 0.1)
        closed.append((round(loop.time() - 0.1 * number, 4), len(tail.take())))
    running.cancel()
    return closed


def test_a_cut_shows_what_the_fetch_of_its_own_beat_brought() -> None:
    async def scenario() -> None:
        broker = Broker(0.02)
        closed = await cuts(broker, 10)
        assert all(late_s == 0.02 for late_s, _ in closed[2:])
        assert sum(n for _, n in closed) in {10, 11}
        assert all(n == 1 for _, n in closed[2:])
        assert [round(at_s % 0.1, 4) % 0.1 for at_s in broker.asked_s[1:]] == [0.0] * 10

    run(scenario())


def test_a_late_fetch_holds_a_cut_up_but_not_for_long() -> None:
    async def scenario() -> None:
        closed = await cuts(Broker(0.08), 20)
        assert all(late_s <= 0.05 for late_s, _ in closed)
        assert sum(n for _, n in closed) >= 10

    run(scenario())


def test_a_topic_on_which_nothing_comes_is_not_waited_for() -> None:
    async def scenario() -> None:
        broker = Broker(0.01)
        broker.brings = False
        assert all(late_s == 0 for late_s, _ in await cuts(broker, 12))
        assert len(broker.asked_s) <= 4

    run(scenario())


def test_a_broker_that_is_gone_does_not_hold_the_cuts_up() -> None:
    async def scenario() -> None:
        broker = Broker(0.01)
        broker.is_there = False
        closed = await cuts(broker, 12)
        assert all(late_s == 0 for late_s, _ in closed[2:])

    run(scenario())
