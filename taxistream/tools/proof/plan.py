# SPDX-License-Identifier: Apache-2.0
"""Which part the proof kills or freezes when."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

KINDS: Final = ("gateway", "dispatcher", "simulator", "broker", "verifier")
"""The kinds of parts of a demo."""
AFTER_S_MIN: Final = 1.0
AFTER_S_MAX: Final = 3.0


FROZEN_S_MIN: Final = 0.5
FROZEN_S_MAX: Final = 6.0
"""More than the session of the dispatchers' group (4 s), less than most parts get until replaced."""


@dataclass(frozen=True)
class PlannedKill:
    """A SIGKILL, or a SIGSTOP for a while."""

    kind: str
    part: str
    after_s: float
    """How long after the recovery from the one before it."""
    frozen_s: float = 0.0
    """After this time a stopped process gets SIGCONT, unless it was replaced. 0: it is killed."""


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
    return plan_chaos(seed, parts, len(KINDS))


def plan_chaos(
    seed: int, parts: Iterable[str], kills: int, *, kinds: Sequence[str] = KINDS, freeze: bool = False
) -> tuple[PlannedKill, ...]:
    """So many kills: the kinds in turn, each time in another random order. The same for the same arguments.

    Args:
        seed: Of the random choices.
        parts: The names of the demo's parts. Their order does not matter.
        kills: How many.
        kinds: What kinds of parts are killed.
        freeze: Whether half of the kills, at random, are freezes.

    Raises:
        ValueError: A kind is missing.
    """
    dice = random.Random(seed)
    members = _members(parts, kinds)
    order: list[str] = []
    while len(order) < kills:
        order += dice.sample(kinds, len(kinds))
    return tuple(
        PlannedKill(
            kind,
            dice.choice(members[kind]),
            round(dice.uniform(AFTER_S_MIN, AFTER_S_MAX), 2),
            round(dice.uniform(FROZEN_S_MIN, FROZEN_S_MAX), 2) if freeze and dice.random() < 0.5 else 0.0,
        )
        for kind in order[:kills]
    )


def _members(parts: Iterable[str], kinds: Sequence[str]) -> dict[str, list[str]]:
    """Kind → names of its parts, ascending. Raises ValueError if one has none."""
    names = sorted(parts)
    members = {kind: [part for part in names if kind_of(part) == kind] for kind in kinds}
    if missing := [kind for kind in kinds if not members[kind]]:
        raise ValueError(f"the demo has no {', '.join(missing)}")
    return members
