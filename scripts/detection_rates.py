# SPDX-License-Identifier: Apache-2.0
"""Measures how often each planted bug is found, and compares that with testing/simulation/detection.toml.

`python -m scripts.detection_rates [--bug B ...] [--seeds N] [--first S] [--jobs J] [--json] [--write]`

Prints each rate as it is known, then the sum of what all searches cost. Exit code 1 if a rate is below half
of the table's, and too far below to be luck; or if a search finds something where no bug is planted.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context

from testing.simulation.detection import FIRST_SEED, PATH, Detection, dump, errors_of_the_bug, load
from testing.simulation.run import run_seed
from testing.simulation.search import Search

CHUNK = 4
"""Seeds that a process takes at once."""
CLEAN = 10
"""One world of so many is run without the bug, too."""


def main() -> int:
    """Measure, print, compare; write only if asked."""
    options = _options()
    table = load()
    bugs = options.bug or list(table)
    fallen, false_alarms, measured = [], [], {}
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("forkserver")) as pool:
        seeds = range(options.first, options.first + options.seeds)
        for bug, row, clean in _measure(pool, {bug: table[bug].search for bug in bugs}, seeds):
            measured[bug] = row
            fell = table[bug].has_fallen(row.found, row.seeds)
            fallen += [bug] if fell else []
            false_alarms += [f"{bug}, seed {seed}: {what}" for seed, what in clean]
            if options.write:
                PATH.write_text(dump(table | measured), encoding="utf-8")
            if not options.json:
                print(_line(bug, row, table[bug], fell=fell), flush=True)
    if options.json:
        print(json.dumps({bug: _as_json(row) for bug, row in measured.items()}))
    else:
        expected_s = sum(row.expected_cpu_s for row in measured.values())
        print(f"{len(measured)} bugs; to find each once takes {expected_s:.0f} CPU seconds on average")
    for bug in fallen:
        print(f"{bug} is found less than half as often as {PATH.name} says", file=sys.stderr)
    for alarm in false_alarms:
        print(f"found where nothing is planted, by the search for {alarm}", file=sys.stderr)
    if options.write:
        return 1 if false_alarms else 0
    return 1 if fallen or false_alarms else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.detection_rates", description=__doc__)
    parser.add_argument("--bug", action="append", choices=list(load()), help="only this one; may be repeated")
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--first", type=int, default=FIRST_SEED)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="write the figures into the table")
    return parser.parse_args()


def _measure(
    pool: ProcessPoolExecutor, searches: dict[str, Search], seeds: range
) -> Iterator[tuple[str, Detection, list[tuple[int, str]]]]:
    """Each bug's rate; and what its search found in a few worlds where nothing was planted."""
    running, clean = {}, {}
    for bug, search in searches.items():
        running[bug] = pool.map(partial(_run, bug, search), seeds, chunksize=CHUNK)
        clean[bug] = pool.map(partial(_run, None, search), seeds[: len(seeds) // CLEAN], chunksize=CHUNK)
    for bug, search in searches.items():
        worlds = list(running[bug])
        found, cpu_s = sum(bool(what) for _, what, _ in worlds), sum(each_s for _, _, each_s in worlds)
        row = Detection(search, found, len(worlds), round(cpu_s / len(worlds), 2))
        yield bug, row, [(seed, what) for seed, what, _ in clean[bug] if what]


def _run(bug: str | None, search: Search, seed: int) -> tuple[int, str, float]:
    outcome = run_seed(seed, bug, search=search, until_first=True)
    if errors := errors_of_the_bug(outcome.violations):
        raise RuntimeError(f"the planted bug {bug} does not run: {errors[0]}")
    return seed, repr(outcome.violations[0])[:300] if outcome.violations else "", outcome.cpu_s


def _line(bug: str, row: Detection, before: Detection, *, fell: bool) -> str:
    share = f"{row.found:3} of {row.seeds} ({row.rate:4.0%})"
    cost = f"{row.cpu_s:5.2f} s a world, {row.expected_cpu_s:6.2f} s to find it"
    was = f"was {before.rate:4.0%}" if before.seeds else "new"
    return f"{bug:38} {share}, {cost}, {was}{', FALLEN' if fell else ''}"


def _as_json(row: Detection) -> dict[str, object]:
    return {
        **asdict(row),
        "rate": round(row.rate, 3),
        "seeds_max": row.seeds_max if row.found else None,
        "expected_cpu_s": round(row.expected_cpu_s, 2) if row.found else None,
    }


if __name__ == "__main__":
    sys.exit(main())
