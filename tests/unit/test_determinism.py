# SPDX-License-Identifier: Apache-2.0
"""Cores and shells get clock, chance, ids and connections from `env`, so that one seed rules a whole run."""

from pathlib import Path

import pytest

from tests.unit.determinism import findings, findings_in

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("simulator", "dispatcher", "gateway", "verifier")
# Each of these hands the world to a shell, so it may touch the real one. Nothing else may.
TOUCHES_THE_WORLD: dict[str, str] = {
    "simulator/__main__.py": "builds the real env",
    "dispatcher/__main__.py": "builds the real env",
    "gateway/__main__.py": "builds the real env",
}
SOURCES = sorted(
    path.relative_to(ROOT).as_posix() for service in SERVICES for path in (ROOT / service).rglob("*.py")
)


@pytest.mark.parametrize("name", [name for name in SOURCES if name not in TOUCHES_THE_WORLD])
def test_one_seed_rules_all_that_a_service_does(name: str) -> None:
    found = [f"{name}:{line}: {why}" for line, why in findings(ROOT / name)]
    assert not found, "\n".join(found)


def test_every_exception_is_still_there() -> None:
    assert set(TOUCHES_THE_WORLD) <= set(SOURCES)


@pytest.mark.parametrize(
    "planted",
    [
        "import time",
        "from time import monotonic",
        "import uuid",
        "from concurrent import futures",
        "import random\nx = random.random()",
        "from random import choice",
        "from random import Random\ndice = Random()",
        "import numpy as np\nx = np.random.random()",
        "import numpy as np\ndice = np.random.default_rng()",
        "import datetime\nnow = datetime.datetime.now()",
        "import asyncio\nasync def f(): await asyncio.to_thread(print)",
        "async def f(loop): await loop.run_in_executor(None, print)",
        "import os\nx = os.environ['HOME']",
        "slot = hash('driver-1') % 8",
        "seen = {}",
        "import itertools\nNEXT = itertools.count()",
        "def f():\n    global total\n    total = 1",
        "for x in {'a', 'b'}: print(x)",
        "def f(names: set[str]):\n    return [n for n in names]",
        "def f(names: set[str]):\n    return list(names)",
        "def f(names: frozenset[str]):\n    return ','.join(names)",
        "class A:\n  def f(self):\n    self.live = set()\n  def g(self):\n    for x in self.live: x()",
        "class A:\n    open: set[str]\n\n    def g(self):\n        return [*self.open]",
        "def f(a: set[str], b):\n    for x in a - b: print(x)",
        "def f(a: set[str]):\n    return a.pop()",
    ],
)
def test_a_planted_breach_is_found(planted: str) -> None:
    assert findings_in(planted)


@pytest.mark.parametrize(
    "innocent",
    [
        "import asyncio\nasync def f(): await asyncio.sleep(1)",
        "import random\ndef f(dice: random.Random): return dice.random()",
        "import numpy as np\ndef f(seed): return np.random.default_rng(seed)",
        "SPEEDS = {'avenue': 8}",
        "__all__ = ['f']",
        "def f(names: set[str]):\n    return sorted(names)",
        "def f(names: set[str]):\n    return sorted(n for n in names if n)",
        "def f(names: set[str]):\n    return {n + 'x' for n in names}",
        "def f(names: set[str], all_names: list[str]):\n    return [n for n in all_names if n in names]",
        "def f():\n    names = set()\n    names.add(1)\ndef g(names: list[int]):\n    return list(names)",
        "def f(rides: dict[str, int]):\n    return rides.pop('a')",
    ],
)
def test_what_a_seed_rules_is_let_pass(innocent: str) -> None:
    assert not findings_in(innocent)
