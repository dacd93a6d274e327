# SPDX-License-Identifier: Apache-2.0
"""One seed, or many: worlds built, hurt, healed and judged."""

import gc
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from unittest.mock import patch

from taxi import snapshots
from taxi.city import folds
from tests.simulation import planted
from tests.simulation.faults_of_the_town import within_reach
from tests.simulation.loop import Stuck
from tests.simulation.nemesis import Nemesis
from tests.simulation.oracle import Violation
from tests.simulation.scale import EXPIRY_MS
from tests.simulation.world import World

SNAPSHOT_MS = 5_000
SNAPSHOT_SLOTS = 8
STORY_LINES = 40


@dataclass
class Outcome:
    """What a seed came to."""

    seed: int
    violations: list[Violation]
    tally: Counter[str]
    trace: str
    steps: int
    cpu_s: float
    story: list[str] = field(default_factory=list)


@dataclass
class Batch:
    """What many seeds came to."""

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
    ):
        yield


def run_seed(
    seed: int, bug: str | None = None, nemesis: Callable[[World], Nemesis] = Nemesis, *, kind: str = "whole"
) -> Outcome:
    """One world from birth to judgement; `bug`: one of tests.simulation.planted, `kind`: of world.KINDS."""
    began = time.process_time()
    gc.disable()
    gc.freeze()  # what was imported is not looked at when the world is buried
    world = World(seed, kind)
    try:
        with scaled(), within_reach(world), planted.BUGS[bug]() if bug else nullcontext():
            try:
                world.loop.run_until_complete(nemesis(world).run())
            except Stuck as stuck:
                world.fail("stuck", str(stuck))
            violations = world.judge()
        trace, steps = world.trace(), world.loop.steps
        story = [_line(*line) for line in list(world.story)[-STORY_LINES:]] if violations else []
        return Outcome(seed, violations, world.tally, trace, steps, time.process_time() - began, story)
    finally:
        world.bury()
        gc.enable()


def run_seeds(seeds: Iterable[int], *, jobs: int = 1, bug: str | None = None, kind: str = "whole") -> Batch:
    """Many worlds, in so many processes; the result does not depend on how many."""
    seeds = list(seeds)
    if jobs == 1:
        return Batch([run_seed(seed, bug, kind=kind) for seed in seeds])
    with ProcessPoolExecutor(jobs, mp_context=get_context("forkserver")) as pool:
        run = partial(run_seed, bug=bug, kind=kind)
        return Batch(list(pool.map(run, seeds, chunksize=2)))


def first_bad(
    seeds: Iterable[int], bug: str | None = None, *, kind: str = "whole", focus: str = ""
) -> Outcome | None:
    """The first seed that finds something. `focus`: a fault to be drawn much more often."""
    nemesis = partial(Nemesis, focus=focus)
    outcomes = (run_seed(seed, bug, nemesis, kind=kind) for seed in seeds)
    return next((outcome for outcome in outcomes if outcome.violations), None)


def _line(at_s: float, who: str, what: str, fields: dict[str, object]) -> str:
    return f"{at_s:8.3f} {who:13} {what} {' '.join(f'{k}={v}' for k, v in fields.items())}"[:200]
