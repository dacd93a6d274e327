# SPDX-License-Identifier: Apache-2.0
"""Which part the proof kills when."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

KINDS: Final = ("gateway", "dispatcher", "simulator", "broker", "verifier")
"""The kinds of parts of a demo."""
AFTER_S_MIN: Final = 1.0
AFTER_S_MAX: Final = 3.0


@dataclass(frozen=True)
class PlannedKill:
    """A SIGKILL."""

    kind: str
    part: str
    after_s: float
    """How long after the recovery from the kill before it."""


def kind_of(part: str) -> str:
    """The kind of a part by its name."""
    kind = part.partition("-")[0]
    return "broker" if kind == "kafka" else kind


def plan_kills(seed: int, parts: Iterable[str]) -> tuple[PlannedKill, ...]:
    """One kill of each kind of part, in random order and at random times. The same for the same arguments.

    Args:
        seed: Of the random choices.
        parts: The names of the demo's parts. Their order does not matter.

    Raises:
        ValueError: A kind is missing.
    """
    dice = random.Random(seed)
    names = sorted(parts)
    members = {kind: [part for part in names if kind_of(part) == kind] for kind in KINDS}
    if missing := [kind for kind in KINDS if not members[kind]]:
        raise ValueError(f"the demo has no {', '.join(missing)}")
    return tuple(
        PlannedKill(kind, dice.choice(members[kind]), round(dice.uniform(AFTER_S_MIN, AFTER_S_MAX), 2))
        for kind in dice.sample(KINDS, len(KINDS))
    )
