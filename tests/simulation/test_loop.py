# SPDX-License-Identifier: Apache-2.0
"""The loop keeps what it promises: one seed one run, kill -9 without a finally, freeze, fuse."""

import asyncio
from collections.abc import Iterator

import pytest

from testing.virtual_time import Node, SimLoop, State, Stuck


@pytest.fixture
def loop() -> Iterator[SimLoop]:
    loop = SimLoop(1)
    yield loop
    loop.shut_down()


def test_time_moves_only_when_no_task_runs(loop: SimLoop) -> None:
    async def sleeper() -> float:
        await asyncio.sleep(3600)
        return loop.time()

    assert loop.run_until_complete(sleeper()) == 3600


def test_a_world_in_which_nothing_will_ever_happen_says_so(loop: SimLoop) -> None:
    async def forever() -> None:
        await loop.create_future()

    with pytest.raises(Stuck):
        loop.run_until_complete(forever())


def test_a_killed_node_runs_nothing_more_not_even_finally(loop: SimLoop) -> None:
    said: list[str] = []
    node = Node("a")

    async def main() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(1))
                await asyncio.sleep(2)
        finally:
            said.append("finally")

    async def nemesis() -> None:
        loop.spawn(node, main())
        await asyncio.sleep(0.5)
        loop.kill(node)
        await asyncio.sleep(10)

    loop.run_until_complete(nemesis())
    loop.shut_down()
    assert said == []


def test_a_fuse_kills_after_so_many_callbacks(loop: SimLoop) -> None:
    node, turns = Node("a"), 0

    async def main() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def nemesis() -> None:
        loop.spawn(node, main())
        node.light(10)
        await asyncio.sleep(1)

    loop.run_until_complete(nemesis())
    assert node.state is State.DEAD
    assert turns == 10


def test_a_frozen_node_keeps_its_timers_and_runs_them_when_it_thaws(loop: SimLoop) -> None:
    node, woke = Node("a"), list[float]()

    async def main() -> None:
        await asyncio.sleep(1)
        woke.append(loop.time())

    async def nemesis() -> None:
        loop.spawn(node, main())
        await asyncio.sleep(0.5)
        loop.freeze(node)
        await asyncio.sleep(5)
        assert woke == []
        loop.thaw(node)
        await asyncio.sleep(0.1)

    loop.run_until_complete(nemesis())
    assert woke == [5.5]


def interleaving(seed: int) -> list[str]:
    loop, order = SimLoop(seed), list[str]()

    async def steps(name: str) -> None:
        for _ in range(10):
            order.append(name)
            await asyncio.sleep(0)

    async def world() -> None:
        await asyncio.gather(*[loop.spawn(Node(name), steps(name)) for name in "abc"])

    loop.run_until_complete(world())
    loop.shut_down()
    return order


def test_the_seed_decides_who_runs_and_nothing_else_does() -> None:
    assert interleaving(1) == interleaving(1)
    assert len({tuple(interleaving(seed)) for seed in range(8)}) > 4
