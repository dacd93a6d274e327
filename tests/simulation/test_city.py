# SPDX-License-Identifier: Apache-2.0
"""Every promise, under many seeds. `SEEDS=200` says how many; a failure prints its seed and its story."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from testing.simulation.detection import errors_of_the_bug, load
from testing.simulation.run import Outcome, first_bad, run_seed, run_seeds
from testing.simulation.search import Search
from testing.simulation.sometimes import ENOUGH_SEEDS, never_seen

SEEDS = int(os.environ.get("SEEDS", "20"))
SHARDS = [range(first, min(first + ENOUGH_SEEDS, SEEDS + 1)) for first in range(1, SEEDS + 1, ENOUGH_SEEDS)]
OF_CITIES = SHARDS[: (len(SHARDS) + 3) // 4]
"""Worlds without clients get a quarter as many."""

DETECTION = load()
LONGEST_FIRST = sorted(DETECTION, key=lambda bug: -DETECTION[bug].expected_cpu_s)
"""Planted bugs; with the longest searches begun first, two workers end at nearly the same time."""


def describe(outcome: Outcome) -> str:
    lines = [f"seed {outcome.seed}", *(repr(v)[:1000] for v in outcome.violations[:6]), *outcome.scenario]
    return "\n".join(lines)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("seeds", SHARDS, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_every_promise_holds_whatever_happens(seeds: range) -> None:
    batch = run_seeds(seeds)
    print(f"seeds {seeds.start}-{seeds.stop - 1}, trace {batch.trace}, {batch.tally['cuts']} cuts checked")
    assert not batch.bad, "\n\n".join(describe(outcome) for outcome in batch.bad[:2])
    if len(seeds) >= ENOUGH_SEEDS:
        assert never_seen(batch.tally) == []


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("seeds", OF_CITIES, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_two_cities_over_two_dispatchers_keep_every_promise(seeds: range) -> None:
    batch = run_seeds(seeds, search=Search("cities"))
    print(f"cities, seeds {seeds.start}-{seeds.stop - 1}, trace {batch.trace}")
    assert not batch.bad, "\n\n".join(describe(outcome) for outcome in batch.bad[:2])
    if len(seeds) >= ENOUGH_SEEDS:
        assert never_seen(batch.tally, "cities") == []


@pytest.mark.sim
@pytest.mark.parametrize("bug", LONGEST_FIRST)
def test_a_planted_bug_is_found_as_often_as_measured(bug: str) -> None:
    row = DETECTION[bug]
    found = first_bad(range(1, row.seeds_max + 1), bug, row.search)
    rate = f"{row.found} of {row.seeds}"
    assert found is not None, f"not found in {row.seeds_max} worlds; when it was measured, {rate} found it"
    assert not errors_of_the_bug(found.violations), describe(found)
    print(f"{bug}: seed {found.seed}: {found.violations[0]!r:.200}")
    clean = run_seed(found.seed, search=row.search)
    assert not clean.violations, f"found without the bug, too:\n{describe(clean)}"


def simulated(hash_seed: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "testing.simulation", "--json", "--jobs", "1", *arguments]
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.sim
def test_the_same_seeds_give_the_same_run_whatever_the_hashes_of_strings() -> None:
    one, two = (simulated(hash_seed, "--seeds", "3") for hash_seed in ("1", "2"))
    assert one["trace"] == two["trace"]


@pytest.mark.sim
def test_an_order_that_hangs_on_hashes_shows_as_another_run() -> None:
    planted = ("--seeds", "4", "--bug", "commands_in_set_order")
    one, two = (simulated(hash_seed, *planted) for hash_seed in ("1", "2"))
    assert one["trace"] != two["trace"]
