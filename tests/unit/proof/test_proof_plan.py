# SPDX-License-Identifier: Apache-2.0
"""The plan of kills: each kind once, the same for the same seed, different for others."""

import pytest

from taxistream.tools.proof.plan import (
    AFTER_S_MAX,
    AFTER_S_MIN,
    FROZEN_S_MAX,
    FROZEN_S_MIN,
    KINDS,
    kind_of,
    plan_chaos,
    plan_kills,
)

PARTS = ("kafka-1", "kafka-2", "kafka-3", "dispatcher-1", "simulator", "gateway-1", "gateway-2", "verifier")
SEEDS = range(200)


def test_each_kind_of_part_is_killed_once() -> None:
    for seed in SEEDS:
        planned = plan_kills(seed, PARTS)
        assert sorted(kill.kind for kill in planned) == sorted(KINDS)
        assert all(kill.part in PARTS and kind_of(kill.part) == kill.kind for kill in planned)
        assert all(AFTER_S_MIN <= kill.after_s <= AFTER_S_MAX for kill in planned)


def test_a_seed_always_gives_the_same_plan_whatever_the_order_of_the_parts() -> None:
    for seed in SEEDS:
        assert plan_kills(seed, PARTS) == plan_kills(seed, reversed(PARTS))


def test_seeds_reach_every_part_every_place_and_many_orders() -> None:
    plans = [plan_kills(seed, PARTS) for seed in SEEDS]
    assert {kill.part for plan in plans for kill in plan} == set(PARTS)
    assert {(place, kill.kind) for plan in plans for place, kill in enumerate(plan)} == {
        (place, kind) for place in range(len(KINDS)) for kind in KINDS
    }
    assert len({tuple(kill.kind for kill in plan) for plan in plans}) > len(SEEDS) / 4


def test_a_demo_without_a_kind_of_part_proves_nothing() -> None:
    with pytest.raises(ValueError, match="no verifier"):
        plan_kills(1, PARTS[:-1])


def test_chaos_takes_the_kinds_in_turn_as_often_as_asked() -> None:
    planned = plan_chaos(5, PARTS, 23, kinds=("gateway", "broker"))
    kinds = [kill.kind for kill in planned]
    assert len(planned) == 23
    assert all(set(kinds[at : at + 2]) == {"gateway", "broker"} for at in range(0, 22, 2))
    assert not any(kill.frozen_s for kill in planned)


def test_about_half_are_freezes_if_those_are_wanted() -> None:
    planned = plan_chaos(5, PARTS, 400, freeze=True)
    frozen = [kill.frozen_s for kill in planned if kill.frozen_s]
    assert 150 < len(frozen) < 250
    assert min(frozen) >= FROZEN_S_MIN
    assert max(frozen) <= FROZEN_S_MAX
    assert planned == plan_chaos(5, PARTS, 400, freeze=True)


def test_parts_can_be_given_once_only() -> None:
    assert plan_kills(3, iter(PARTS)) == plan_kills(3, PARTS)
