# SPDX-License-Identifier: Apache-2.0
"""Checks the targets of `batched` on pinned seeds and prints them as a table.

`python bench/evaluate_targets.py [--seeds 1-10] [--rows FILE] [--jobs 2] [--only 0.9,peak]`. A run takes half
a minute of CPU time, and ten seeds need 150 runs. Therefore rows are stored in FILE (JSON lines) and a stored
run is not repeated, unless code or city have changed. Exit code 1 if a target is missed.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dispatcher.decision_config import code_digest, data_digest
from dispatcher.policies.tuning import Tuning
from taxi.roads.network import city_dir
from taxistream.cli.evaluate import numbers
from taxistream.tools.evaluate.report import value
from taxistream.tools.evaluate.runs import Row, Task, run_all
from taxistream.tools.evaluate.scenario import CITY, Scenario

SETTINGS = {
    "0.9": Scenario(load=0.9),
    "0.7": Scenario(load=0.7),
    "1.0": Scenario(load=1.0),
    "1.1": Scenario(load=1.1),
    "peak": Scenario(load=1.0, peak=True, hours=8 / 3, warm_share=1 / 8),
    "0.9 noise": Scenario(load=0.9, noise=0.2, refuse=0.1),
    "1.0 noise": Scenario(load=1.0, noise=0.2, refuse=0.1),
}
POLICIES = dict.fromkeys(SETTINGS, ("greedy", "batched")) | {"0.9": ("greedy", "batched", "fifo")}


class Target(NamedTuple):
    """What `figure` of the rows of a seed (by setting and policy) must be."""

    what: str
    figure: Callable[["Rows"], float]
    at_most: float
    settings: tuple[str, ...]
    of_mean: bool = False
    """Holds for the mean over the seeds, not for each."""


class Rows(dict[tuple[str, str], Row]):
    """(setting, policy) → the row, of one seed."""

    def of(self, setting: str, path: str, policy: str = "batched") -> float:
        """A figure."""
        found = value(self[setting, policy], path)
        assert found is not None, path
        return found

    def ratio(self, setting: str, path: str, policy: str = "greedy") -> float:
        """`batched` as a share of another policy."""
        return self.of(setting, path) / self.of(setting, path, policy)

    def lead(self, setting: str) -> float:
        """By how many points more are served than by `greedy`."""
        return 100 * (self.of(setting, "served_share") - self.of(setting, "served_share", "greedy"))

    def kept(self, setting: str) -> float:
        """How much of the gain over `greedy` is left with noise and refusals."""
        return (1 - self.ratio(f"{setting} noise", MEAN)) / (1 - self.ratio(setting, MEAN))


MEAN, P99, SERVED, SWAPS = "wait_s.mean", "wait_s.p99", "served_share", "swapped_3_share"
REGRET = "hindsight.regret"
TARGETS = (
    Target("0.9: mean wait of greedy's, %", lambda r: 100 * r.ratio("0.9", MEAN), 55, ("0.9",)),
    Target("0.9: mean wait of fifo's, %", lambda r: 100 * r.ratio("0.9", MEAN, "fifo"), 22, ("0.9",)),
    Target("0.9: p99 of greedy's, %", lambda r: 100 * r.ratio("0.9", P99), 55, ("0.9",)),
    Target("0.9: not served, %", lambda r: 100 * (1 - r.of("0.9", SERVED)), 0.1, ("0.9",)),
    Target("0.9: mean wait, s", lambda r: r.of("0.9", MEAN), 200, ("0.9",)),
    Target("0.9: empty km, %", lambda r: 100 * r.of("0.9", "empty_km_share"), 17, ("0.9",), of_mean=True),
    Target("0.9: three swaps or more, %", lambda r: 100 * r.of("0.9", SWAPS), 12, ("0.9",)),
    Target("0.7: mean wait of greedy's, %", lambda r: 100 * r.ratio("0.7", MEAN), 70, ("0.7",)),
    Target("0.7: mean wait, s", lambda r: r.of("0.7", MEAN), 115, ("0.7",)),
    Target("1.0: not served, %", lambda r: 100 * (1 - r.of("1.0", SERVED)), 3, ("1.0",)),
    Target("1.0: points served behind greedy", lambda r: -r.lead("1.0"), -3.5, ("1.0",)),
    Target("1.0: mean wait of greedy's, %", lambda r: 100 * r.ratio("1.0", MEAN), 92, ("1.0",)),
    Target("1.1: not served, %", lambda r: 100 * (1 - r.of("1.1", SERVED)), 8, ("1.1",)),
    Target("1.1: points served behind greedy", lambda r: -r.lead("1.1"), -3.8, ("1.1",)),
    Target("1.1: mean wait of greedy's, %", lambda r: 100 * r.ratio("1.1", MEAN), 100, ("1.1",)),
    Target("peak: not served, %", lambda r: 100 * (1 - r.of("peak", SERVED)), 0.5, ("peak",)),
    Target("peak: mean wait of greedy's, %", lambda r: 100 * r.ratio("peak", MEAN), 62, ("peak",)),
    Target("0.7: regret, %", lambda r: 100 * r.of("0.7", REGRET), 35, ("0.7",)),
    Target("0.9: regret, %", lambda r: 100 * r.of("0.9", REGRET), 45, ("0.9",)),
    Target("1.0: regret, %", lambda r: 100 * r.of("1.0", REGRET), 85, ("1.0",)),
    Target("0.9: gain lost to noise, %", lambda r: 100 * (1 - r.kept("0.9")), 33.4, ("0.9", "0.9 noise")),
    Target("1.0: gain lost to noise, %", lambda r: 100 * (1 - r.kept("1.0")), 33.4, ("1.0", "1.0 noise")),
)


def digest() -> str:
    """A digest of everything that affects a run: the code that decides, simulates and measures; the city."""
    sum_ = blake2b(f"{code_digest('batched')} {data_digest(CITY)}".encode(), digest_size=8)
    sum_.update((city_dir(CITY) / "trips.npz").read_bytes())
    for package in ("evaluate", "simulator"):
        found = [file for file in resources.files(package).iterdir() if file.name.endswith(".py")]
        for file in sorted(found, key=lambda file: file.name):
            sum_.update(file.name.encode() + b"\0" + file.read_bytes())
    return sum_.hexdigest()


class Kept:
    """Rows on disk that this code made."""

    def __init__(self, path: Path) -> None:
        self._path, self._by = path, digest()
        lines = path.read_text().splitlines() if path.exists() else []
        entries = [*map(json.loads, lines)]
        mine = [entry for entry in entries if entry.get("by") == self._by]
        self.rows = {tuple(entry["key"]): entry["row"] for entry in mine}
        if len(mine) < len(entries):
            print(f"{len(entries) - len(mine)} rows of other code are left aside", file=sys.stderr)

    def add(self, key: tuple[str, str, int], row: Row) -> None:
        """Store a row."""
        self.rows[key] = row
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({"key": key, "by": self._by, "row": row}) + "\n")

    def of(self, seed: int) -> Rows:
        """What is known of a seed."""
        return Rows({(key[0], key[1]): row for key, row in self.rows.items() if key[2] == seed})


def wanted(seeds: list[int], only: list[str]) -> Iterator[tuple[str, str, int]]:
    """(setting, policy, seed), seed by seed."""
    for seed in seeds:
        for setting in SETTINGS:
            if not only or setting in only:
                yield from ((setting, policy, seed) for policy in POLICIES[setting])


def figures(target: Target, kept: Kept, seeds: list[int]) -> list[float]:
    """The figure for each seed of which all rows exist."""
    found = []
    for seed in seeds:
        rows = kept.of(seed)
        if all((setting, policy) in rows for setting in target.settings for policy in POLICIES[setting]):
            found.append(target.figure(rows))
    return [float(np.mean(found))] if target.of_mean and found else found


COLUMNS = (
    ("mean wait, s", MEAN, 1, "{:.0f}"),
    ("p99, s", P99, 1, "{:.0f}"),
    ("served, %", SERVED, 100, "{:.2f}"),
    ("empty km, %", "empty_km_share", 100, "{:.1f}"),
    ("≥ 3 swaps, %", SWAPS, 100, "{:.1f}"),
    ("regret, %", REGRET, 100, "{:.0f}"),
)
"""(head, path into a row, times, how it is written)."""


def show_means(kept: Kept, seeds: list[int]) -> None:
    """What the targets are about, as Markdown: means over the seeds that were run."""
    print("| load | policy | seeds | " + " | ".join(head for head, *_ in COLUMNS) + " |")
    print("|---|---|---|" + "---|" * len(COLUMNS))
    for setting, policies in POLICIES.items():
        for policy in policies:
            rows = [kept.rows[key] for seed in seeds if (key := (setting, policy, seed)) in kept.rows]
            if rows:
                cells = [_mean(rows, path, times, form) for _, path, times, form in COLUMNS]
                print(f"| {setting} | `{policy}` | {len(rows)} | " + " | ".join(cells) + " |")


def _mean(rows: list[Row], path: str, times: int, form: str) -> str:
    known = [found for row in rows if (found := value(row, path)) is not None]
    return form.format(times * float(np.mean(known))) if known else "–"


def show(kept: Kept, seeds: list[int]) -> bool:
    """A line for each target; whether all that could be checked are met."""
    fine = True
    print(f"{'target':38} {'at most':>8} {'mean':>8} {'worst':>8}  seeds")
    for target in TARGETS:
        found = figures(target, kept, seeds)
        if not found:
            print(f"{target.what:38} {target.at_most:8.1f} {'–':>8} {'–':>8}  not run")
            continue
        met = max(found) <= target.at_most
        fine &= met
        sign = "met" if met else f"MISSED in {sum(each > target.at_most for each in found)}"
        line = f"{target.what:38} {target.at_most:8.1f} {np.mean(found):8.2f} {max(found):8.2f}"
        print(f"{line}  {len(found)} {sign}{' (mean)' if target.of_mean else ''}")
    return fine


def main() -> int:
    """Run what is missing, then print the targets. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1-10", type=numbers)
    parser.add_argument("--rows", default=Path("build/evaluate_targets.jsonl"), type=Path)
    parser.add_argument("--jobs", default=1, type=int)
    parser.add_argument("--only", default="", help="settings, by comma: " + ", ".join(SETTINGS))
    options: Any = parser.parse_args()
    kept = Kept(options.rows)
    only = [name for name in options.only.split(",") if name]
    todo = [key for key in wanted(options.seeds, only) if key not in kept.rows]
    tasks = [
        Task(SETTINGS[name], policy, seed, Tuning(), bound=policy == "batched") for name, policy, seed in todo
    ]
    keys = iter(todo)

    def keep(_: Task, row: Row) -> None:
        key = next(keys)
        kept.add(key, row)
        print(f"{key} {row['wait_s']['mean']:.0f} s, {row['served_share']:.1%}", file=sys.stderr, flush=True)

    run_all(tasks, options.jobs, keep)
    show_means(kept, options.seeds)
    print()
    return 0 if show(kept, options.seeds) else 1


if __name__ == "__main__":
    sys.exit(main())
