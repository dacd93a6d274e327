# SPDX-License-Identifier: Apache-2.0
"""Summaries of rows: means over the seeds, a table, and the regret of each policy."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rich.table import Table

Row = dict[str, Any]

BASELINE = "greedy"
AGAINST = "wait_of_baseline"
"""Path: the mean wait as a share of the baseline's in the same city, demand and seeds."""
FIGURES: tuple[tuple[str, str, str], ...] = (
    ("wait", "wait_s.mean", "{:.0f} s"),
    (f"of {BASELINE}'s", AGAINST, "{:.1%}"),
    ("p50", "wait_s.p50", "{:.0f} s"),
    ("p90", "wait_s.p90", "{:.0f} s"),
    ("p99", "wait_s.p99", "{:.0f} s"),
    ("served", "served_share", "{:.2%}"),
    ("long wait", "long_trips.wait_s", "{:.0f} s"),
    ("long served", "long_trips.served_share", "{:.2%}"),
    ("empty km", "empty_km_share", "{:.1%}"),
    ("busy", "utilisation", "{:.1%}"),
    ("gini", "fairness_gini", "{:.3f}"),
    ("≥ 3 swaps", "swapped_3_share", "{:.1%}"),
    ("ETA off", "eta_error_s.mean", "{:.1f} s"),
    ("CPU a batch", "cpu_ms_per_batch", "{:.1f} ms"),
    ("regret", "hindsight.regret", "{:.0%}"),
)
"""(heading, path into a row, format)."""


def value(row: Row, path: str) -> float | None:
    """The value at a path such as `a.b` in a row; None if there is none."""
    found: Any = row
    for name in path.split("."):
        if name not in found:
            return None
        found = found[name]
    return float(found)


def summary(rows: Sequence[Row]) -> list[Row]:
    """A row for each policy: path → mean over the seeds."""
    policies = dict.fromkeys(row["policy"] for row in rows)
    means = [
        {"policy": policy, **_means([row for row in rows if row["policy"] == policy])} for policy in policies
    ]
    [baseline_s] = [row["wait_s.mean"] for row in means if row["policy"] == BASELINE] or [0.0]
    for row in means:
        if baseline_s and row["policy"] != BASELINE:
            row[AGAINST] = round(row["wait_s.mean"] / baseline_s, 4)
    return means


def _means(rows: Sequence[Row]) -> Row:
    means: Row = {"seeds": len(rows)}
    for _, path, _ in FIGURES:
        known = [found for row in rows if (found := value(row, path)) is not None]
        if known:
            means[path] = round(float(np.mean(known)), 5)
    return means


def bound(rows: Iterable[Row]) -> Row:
    """The bound of each run, and the mean regret of each policy."""
    known = [row for row in rows if "hindsight" in row]
    regrets: dict[str, list[float]] = {}
    for row in known:
        regrets.setdefault(row["policy"], []).append(row["hindsight"]["regret"])
    return {
        "rows": [
            {name: row[name] for name in ("policy", "load", "seed")} | row["hindsight"] for row in known
        ],
        "regret": {policy: round(float(np.mean(values)), 4) for policy, values in regrets.items()},
    }


def table(rows: Sequence[Row], title: str) -> Table:
    """A table of the means over the seeds, one figure in each line so that it fits into any terminal."""
    means = summary(rows)
    made = Table(title=title, title_justify="left")
    made.add_column("")
    for row in means:
        made.add_column(row["policy"], justify="right")
    for head, path, form in FIGURES:
        if any(path in row for row in means):
            made.add_row(head, *(form.format(row[path]) if path in row else "" for row in means))
    return made
