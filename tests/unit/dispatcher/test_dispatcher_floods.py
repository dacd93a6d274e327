# SPDX-License-Identifier: Apache-2.0
"""Where thousands of rides wait, a batch looks at the oldest, and everybody has a turn."""

import numpy as np
import pytest

from dispatcher.policies import POLICIES
from dispatcher.policies.greedy import Greedy
from dispatcher.policies.market import FAR_S, Market
from dispatcher.policies.tuning import Tuning
from taxi import messages as m
from testing.core_harness import CoreHarness, answer, online, report, request
from testing.dispatcher_markets import market


def plainly(market: Market) -> list[tuple[str, int]]:
    """The nearest pair of all, again and again, as the definition says."""
    eta_s, pairs = market.eta_s.copy(), []
    for _ in range(min(eta_s.shape)):
        ride, car = divmod(int(np.argmin(eta_s)), eta_s.shape[1])
        if eta_s[ride, car] >= FAR_S:
            break
        pairs.append((market.rides.names[ride], market.numbers[car]))
        eta_s[ride, :] = eta_s[:, car] = FAR_S
    return pairs


@pytest.mark.parametrize("seed", range(20))
def test_greedy_takes_the_nearest_pair_again_and_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 1 + seed % 5 * 20, rng.integers(1, 25, 2))  # few values: many ties
    table[rng.random(table.shape) < 0.2] = FAR_S
    one = market(table.tolist())
    assert [(offer.ride, offer.choice.driver) for offer in Greedy().decide(one)] == plainly(one)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_batch_matches_the_rides_that_have_waited_longest(policy: str) -> None:
    core = CoreHarness(policy=policy, tuning=Tuning(waiting_max=3))
    for name, node in (("r5", 14), ("r4", 20), ("r3", 26), ("r2", 1), ("r1", 2)):
        core.step(request(name, pickup=node))
    core.where[1] = 0
    offers = [event for event in core.step(online(1)) if isinstance(event, m.RideOffered)]
    assert [(offer.ride, offer.market_rides) for offer in offers] == [("r5", 3)]


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_no_ride_is_passed_over_for_ever(policy: str) -> None:
    """One driver for twelve rides: it is always one of the three oldest that is served."""
    core = CoreHarness(policy=policy, tuning=Tuning(waiting_max=3))
    names = [f"r{number:02}" for number in range(12)]
    core.step(*(request(name, pickup=1 + number, dropoff=35) for number, name in enumerate(names)))
    core.where[1] = 0
    core.step(online(1))
    waiting = list(names)
    for _ in names:
        core.wait(4_000)
        [ride] = [ride for ride in core.city.rides.values() if ride.driver == 1 and not ride.ended_ms]
        assert ride.ride in waiting[:3]
        waiting.remove(ride.ride)
        offer = core.log_offer(ride.ride)
        core.step(answer(offer))
        for stage in ("arrived", "picked_up", "dropped_off"):
            core.step(report(offer, stage))
    assert not waiting


def test_a_table_of_all_pairs_is_bounded() -> None:
    whole = market([[5] * 4] * 6, table_max=12)
    assert whole.for_a_table().eta_s.shape == (3, 4)
    assert [offer.ride for offer in Greedy().decide(whole)] == ["r0", "r1", "r2"]
    assert market([[5] * 4] * 3, table_max=12).for_a_table().eta_s.shape == (3, 4)
