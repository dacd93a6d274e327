# SPDX-License-Identifier: Apache-2.0
"""Runs one seed or many: builds a world, injects faults, heals it and checks the rules."""

import asyncio
import gc
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

from dispatcher import inputs
from taxi.state import folds, snapshots
from testing.simulation import planted
from testing.simulation.faults_of_the_city import within_reach
from testing.simulation.nemesis import Nemesis
from testing.simulation.oracle import Violation
from testing.simulation.scale import COMMANDS_MAX, EXPIRY_MS
from testing.simulation.search import EVERYTHING, Search
from testing.simulation.world import World
from testing.virtual_time import Stuck

SNAPSHOT_MS = 5_000
SNAPSHOT_SLOTS = 8
SCENARIO_LINES = 40


@dataclass
class Outcome:
    """The result of one seed."""

    seed: int
    violations: list[Violation]
    tally: Counter[str]
    trace: str
    steps: int
    cpu_s: float
    scenario: list[str] = field(default_factory=list)


@dataclass
class Batch:
    """The results of many seeds."""

    outcomes: list[Outcome]

    @property
    def bad(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.violations]

    @property
    def tally(self) -> Counter[str]:
        return sum((outcome.tally for outcome in self.outcomes), Counter())

    @property
    def trace(self) -> str:
        """Names the whole batch: the same seeds give the same."""
        text = " ".join(outcome.trace for outcome in self.outcomes)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@contextmanager
def scaled() -> Iterator[None]:
    """Constants of the log that a minute of virtual time would never reach."""
    with (
        patch.object(snapshots, "MINUTE_MS", SNAPSHOT_MS),
        patch.object(snapshots, "SLOTS", SNAPSHOT_SLOTS),
        patch.object(folds, "ENDED_KEPT_MS", EXPIRY_MS + 20_000),
        patch.object(inputs, "COMMANDS_MAX", COMMANDS_MAX),
    ):
        yield


def run_seed(
    seed: int,
    bug: str | None = None,
    nemesis: Callable[[World], Nemesis] = Nemesis,
    *,
    search: Search = EVERYTHING,
    until_first: bool = False,
) -> Outcome:
    """Run one world and check it.

    Args:
        seed: determines the run.
        bug: one of testing.simulation.planted.
        nemesis: what injects the faults.
        search: what the world is directed at.
        until_first: end at the first violation, and report no others.
    """
    began = time.process_time()
    gc.disable()
    _freeze_imports()
    world = World(seed, search)
    try:
        with scaled(), within_reach(world), planted.BUGS[bug]() if bug else nullcontext():
            try:
                run = nemesis(world).run()
                world.loop.run_until_complete(_until_failure(world, run) if until_first else run)
            except Stuck as stuck:
                world.fail("stuck", str(stuck))
            violations = world.judge(until_first=until_first)
        trace, steps = world.trace(), world.loop.steps
        scenario = [_line(*line) for line in list(world.scenario)[-SCENARIO_LINES:]] if violations else []
        return Outcome(seed, violations, world.tally, trace, steps, time.process_time() - began, scenario)
    finally:
        world.shut_down()
        gc.enable()


async def _until_failure(world: World, run: Coroutine[Any, Any, None]) -> None:
    """Run until the end or the first violation."""
    failed = asyncio.create_task(world.failed.wait())
    done, _ = await asyncio.wait({asyncio.create_task(run), failed}, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


@cache
def _freeze_imports() -> None:
    """Once: what was imported by now is not examined each time a world is freed."""
    gc.freeze()


def run_seeds(
    seeds: Iterable[int], *, jobs: int = 1, bug: str | None = None, search: Search = EVERYTHING
) -> Batch:
    """Many worlds, in so many processes; the result does not depend on how many."""
    seeds = list(seeds)
    if jobs == 1:
        return Batch([run_seed(seed, bug, search=search) for seed in seeds])
    with ProcessPoolExecutor(jobs, mp_context=get_context("forkserver")) as pool:
        run = partial(run_seed, bug=bug, search=search)
        return Batch(list(pool.map(run, seeds, chunksize=2)))


def first_bad(seeds: Iterable[int], bug: str, search: Search) -> Outcome | None:
    """The first seed that finds something."""
    outcomes = (run_seed(seed, bug, search=search, until_first=True) for seed in seeds)
    return next((outcome for outcome in outcomes if outcome.violations), None)


def _line(at_s: float, who: str, what: str, fields: dict[str, object]) -> str:
    return f"{at_s:8.3f} {who:13} {what} {' '.join(f'{k}={v}' for k, v in fields.items())}"[:200]
