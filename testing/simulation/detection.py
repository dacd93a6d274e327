# SPDX-License-Identifier: Apache-2.0
"""How each planted bug is searched for, and how often that finds it: `detection.toml`, measured."""

import math
import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final

from scipy.stats import beta, binom

from testing.simulation.oracle import Violation
from testing.simulation.search import Search

PATH: Final = Path(__file__).with_name("detection.toml")
FIRST_SEED: Final = 1001
"""Rates are measured from this seed on. Tests look at the seeds from 1 on, so the two are disjoint."""
MISSED: Final = 1e-4
"""The chance that a test misses a bug although it is found as often as the table says."""
SURE: Final = 0.95
"""Confidence of the lower bound of a rate."""
BY_LUCK: Final = 1e-3
"""A measurement that would be rarer than this by luck shows that a rate fell."""
HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# Planted bug → how it is searched for (testing/simulation/search.py), in how many of how many worlds that
# found it, and the CPU seconds a world took. The search is written by hand. The figures are measured:
# `make rates` compares, `python -m scripts.detection_rates --write` writes.
"""


@dataclass(frozen=True)
class Detection:
    """A search for one planted bug, and its measured rate."""

    search: Search
    found: int = 0
    """Worlds in which the bug was found, of `seeds`."""
    seeds: int = 0
    cpu_s: float = 0.0
    """Mean CPU seconds of a world, which ends at its first violation."""

    @property
    def rate(self) -> float:
        """The share of worlds that find the bug."""
        return self.found / self.seeds if self.seeds else 0.0

    @property
    def rate_min(self) -> float:
        """The lower bound of the rate (Clopper and Pearson 1934, one-sided)."""
        return float(beta.ppf(1 - SURE, self.found, self.seeds - self.found + 1)) if self.found else 0.0

    @property
    def seeds_max(self) -> int:
        """In so many worlds the bug is found, but for a chance of `MISSED`."""
        if not self.found:
            raise ValueError("never found: give it another search")
        return math.ceil(math.log(MISSED) / math.log1p(-self.rate_min))

    @property
    def expected_cpu_s(self) -> float:
        """What it takes to find the bug once, in CPU seconds, on average."""
        return self.cpu_s / self.rate if self.rate else math.inf

    def has_fallen(self, found: int, seeds: int) -> bool:
        """Whether a new measurement lies below half of this rate, and not by luck."""
        return found < self.rate / 2 * seeds and float(binom.cdf(found, seeds, self.rate)) < BY_LUCK


@cache
def load() -> dict[str, Detection]:
    """The table, by planted bug."""
    rows: dict[str, dict[str, Any]] = tomllib.loads(PATH.read_text(encoding="utf-8"))
    names = {field.name for field in fields(Search)}
    table = {}
    for bug, row in rows.items():
        kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        search = Search(**{key: kept.pop(key) for key in row if key in names})
        table[bug] = Detection(search, **kept)
    return table


def dump(table: dict[str, Detection]) -> str:
    """The table as TOML; what a search leaves as it is by default is left out."""
    lines = [HEAD]
    for bug, row in table.items():
        values = {field.name: (getattr(row.search, field.name), field.default) for field in fields(Search)}
        chosen = {name: value for name, (value, usual) in values.items() if value != usual}
        measured = {"found": row.found, "seeds": row.seeds, "cpu_s": row.cpu_s}
        lines += [f"[{bug}]", *(f"{key} = {_toml(value)}" for key, value in (chosen | measured).items()), ""]
    return "\n".join(lines)


def errors_of_the_bug(violations: list[Violation]) -> list[str]:
    """Violations that only say that the planted code itself does not run."""
    own = ("AttributeError", "ImportError", "NameError", "TypeError")
    return [text for text in map(repr, violations) if any(name in text for name in own)]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
