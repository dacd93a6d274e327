# SPDX-License-Identifier: Apache-2.0
"""Every promise, under many seeds. `SEEDS=200` says how many; a failure prints its seed and its story."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.simulation.run import Outcome, first_bad, run_seeds
from tests.simulation.sometimes import ENOUGH_SEEDS, never_seen

SEEDS = int(os.environ.get("SEEDS", "20"))
SHARDS = [range(first, min(first + ENOUGH_SEEDS, SEEDS + 1)) for first in range(1, SEEDS + 1, ENOUGH_SEEDS)]
OF_CITIES = SHARDS[: (len(SHARDS) + 3) // 4]
"""Worlds in which nobody looks get a quarter as many."""

QUICKLY_FOUND = {
    "unknown_is_failure": 40,
    "transactional_id_of_the_instance": 5,
    "producer_rebuilt_on_the_spot": 40,
    "ids_forgotten": 30,
    "a_command_skipped_at_recovery": 5,
    "wall_clock_decides": 5,
    "commands_in_set_order": 40,
    "half_a_chain": 5,
    "ban_forgotten": 5,
    "age_lost": 5,
    "refused_at_any_time": 40,
    "the_late_are_waited_for": 40,
    "the_soon_free_come_first": 40,
    "the_passed_over_are_forgotten": 5,
    "who_drives_ahead_is_busy": 40,
    "half_a_batch_applied": 30,
    "cursor_is_the_position": 3,
    "ghosts": 40,
    "rows_leave_the_tile_they_enter": 5,
    "yesterdays_fixes_count": 80,
    "the_last_fix_wins": 40,
    "the_gone_are_not_told": 5,
    "what_falls_outside_stays": 5,
    "the_first_wish_holds": 5,
    "a_view_without_its_name": 5,
    "mismatches_only_counted": 10,
    "the_late_stay_abreast": 10,
    "tokens_read_once": 5,
    "everyone_leaves_at_once": 40,
    "the_missed_leave_in_a_crowd": 40,
}
"""Planted bug → within how many seeds it must be found."""

FOUND_BY_LOOKING = {
    "unknown_is_success": (20, "down_in_a_transaction"),
    "commit_sent_again": (10, "late_commits"),
    "recovery_before_fencing": (40, "freeze_in_a_transaction"),
    "a_zombie_asks_nobody": (30, "stop"),
    "a_gap_in_the_fixes_not_told": (15, "retention"),
    "a_topic_made_anew_not_noticed": (60, "recreate"),
}
"""Rarer ones, of dispatchers alone → within how many seeds of two cities, if the nemesis has this in mind."""


def told(outcome: Outcome) -> str:
    lines = [f"seed {outcome.seed}", *(repr(v)[:1000] for v in outcome.violations[:6]), *outcome.story]
    return "\n".join(lines)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("seeds", SHARDS, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_every_promise_holds_whatever_happens(seeds: range) -> None:
    batch = run_seeds(seeds)
    print(f"seeds {seeds.start}-{seeds.stop - 1}, trace {batch.trace}, {batch.tally['cuts']} cuts checked")
    assert not batch.bad, "\n\n".join(told(outcome) for outcome in batch.bad[:2])
    if len(seeds) >= ENOUGH_SEEDS:
        assert never_seen(batch.tally) == []


@pytest.mark.sim
@pytest.mark.parametrize("bug", QUICKLY_FOUND)
def test_a_planted_bug_is_found(bug: str) -> None:
    found = first_bad(range(1, QUICKLY_FOUND[bug] + 1), bug)
    assert found is not None, f"{bug} went unnoticed under {QUICKLY_FOUND[bug]} seeds"
    print(f"{bug}: seed {found.seed}: {found.violations[0]!r:.200}")


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("seeds", OF_CITIES, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_two_cities_over_two_dispatchers_keep_every_promise(seeds: range) -> None:
    batch = run_seeds(seeds, kind="cities")
    print(f"cities, seeds {seeds.start}-{seeds.stop - 1}, trace {batch.trace}")
    assert not batch.bad, "\n\n".join(told(outcome) for outcome in batch.bad[:2])
    if len(seeds) >= ENOUGH_SEEDS:
        assert never_seen(batch.tally, "cities") == []


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("bug", FOUND_BY_LOOKING)
def test_a_planted_bug_of_dispatchers_is_found(bug: str) -> None:
    within, focus = FOUND_BY_LOOKING[bug]
    found = first_bad(range(1, within + 1), bug, kind="cities", focus=focus)
    assert found is not None, f"{bug} went unnoticed under {within} seeds"
    print(f"{bug}: seed {found.seed}: {found.violations[0]!r:.200}")


def simulated(hash_seed: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.simulation", "--json", "--jobs", "1", *arguments]
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
