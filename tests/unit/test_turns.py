# SPDX-License-Identifier: Apache-2.0
"""Requests that arrive together are started a few in each round of the event loop, in order."""

import asyncio
import itertools

from taxi.runtime.http import Turns


def test_what_comes_at_once_is_spread_over_rounds_in_order() -> None:
    async def scenario() -> None:
        turns, begun, rounds = Turns(), list[int](), list[int]()
        for number in range(100):
            turns.start(lambda number=number: begun.append(number))  # type: ignore[misc]
        while len(begun) < 100:
            rounds.append(len(begun))
            await asyncio.sleep(0)
        assert begun == list(range(100))
        steps = [after - before for before, after in itertools.pairwise(rounds)]
        assert rounds[0] == 16
        assert max(steps) <= 16

    asyncio.run(scenario())


def test_one_that_comes_alone_starts_at_once() -> None:
    async def scenario() -> None:
        turns, begun = Turns(), list[int]()
        for number in range(40):
            turns.start(lambda number=number: begun.append(number))  # type: ignore[misc]
            assert begun[-1] == number
            await asyncio.sleep(0)

    asyncio.run(scenario())
