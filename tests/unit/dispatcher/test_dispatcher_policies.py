# SPDX-License-Identifier: Apache-2.0
"""Which ride goes to which driver."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.policies import POLICIES, Chain, Offer
from dispatcher.policies.market import FAR_S, Market
from testing.core_harness import CoreHarness, request
from testing.dispatcher_markets import Table, market

SIZES = st.tuples(st.integers(1, 6), st.integers(1, 6))
NEVER = int(FAR_S)


def offers(policy: str, eta_s: list[list[int]]) -> list[Offer]:
    made = list(POLICIES[policy].decide(market(eta_s)))
    assert all(isinstance(decision, Offer) for decision in made)
    return [decision for decision in made if isinstance(decision, Offer)]


def pairs(policy: str, eta_s: list[list[int]]) -> list[tuple[str, int]]:
    return [(offer.ride, offer.choice.driver) for offer in offers(policy, eta_s)]


def test_greedy_takes_the_nearest_pair_of_all_first() -> None:
    assert pairs("greedy", [[60, 90], [30, 80]]) == [("r1", 10), ("r0", 11)]


def test_fifo_serves_the_oldest_first() -> None:
    assert pairs("fifo", [[60, 90], [30, 80]]) == [("r0", 10), ("r1", 11)]


def test_ties_fall_to_the_older_ride_and_the_lower_number() -> None:
    assert pairs("greedy", [[50, 50], [50, 50]]) == [("r0", 10), ("r1", 11)]


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_pair_that_must_not_be_never_is(policy: str) -> None:
    assert pairs(policy, [[NEVER, 70]]) == [("r0", 11)]
    assert pairs(policy, [[NEVER]]) == []


@pytest.mark.parametrize("policy", sorted(POLICIES))
@given(data=st.data())
def test_no_driver_is_matched_twice_and_no_ride_waits_beside_a_free_one(
    policy: str, data: st.DataObject
) -> None:
    n_rides, n_drivers = data.draw(SIZES)
    row = st.lists(st.integers(0, 900), min_size=n_drivers, max_size=n_drivers)
    eta_s = data.draw(st.lists(row, min_size=n_rides, max_size=n_rides))
    made = pairs(policy, eta_s)
    assert len(made) == min(n_rides, n_drivers)
    assert len({ride for ride, _ in made}) == len({driver for _, driver in made}) == len(made)


@given(data=st.data())
def test_no_pair_that_greedy_left_is_nearer_than_both_that_it_made(data: st.DataObject) -> None:
    n_rides, n_drivers = data.draw(SIZES)
    row = st.lists(st.integers(0, 900), min_size=n_drivers, max_size=n_drivers)
    eta_s = data.draw(st.lists(row, min_size=n_rides, max_size=n_rides))
    made = offers("greedy", eta_s)
    of_ride = {offer.ride: offer.choice.eta_s for offer in made}
    of_driver = {offer.choice.driver: offer.choice.eta_s for offer in made}
    for i in range(n_rides):
        for j in range(n_drivers):
            made_s = min(of_ride.get(f"r{i}", 10**6), of_driver.get(10 + j, 10**6))
            assert eta_s[i][j] >= made_s


def of_lengths(lengths_s: list[int], n_drivers: int) -> Market:
    """Each ride is so long, and every driver as far from all of them."""
    n = len(lengths_s)
    eta_s = np.full((2 * n, max(n_drivers, 2 * n)), 100, np.int32)
    eta_s[n + np.arange(n), np.arange(n)] = lengths_s  # ride i ends at node n + i
    one = market(eta_s[:n, :n_drivers].tolist(), trip_permille=100)
    rides = one.rides._replace(dropoff=np.arange(n, 2 * n, dtype=np.int32))
    return replace(one, rides=rides, times=Table(eta_s))


def test_where_drivers_are_short_a_ride_that_sets_one_free_sooner_goes_first() -> None:
    [offer] = POLICIES["batched"].decide(of_lengths([900, 200, 400], n_drivers=1))
    assert isinstance(offer, Offer)
    assert offer.ride == "r1"


def test_long_rides_wait_for_short_ones_no_longer_than_a_share_of_their_length() -> None:
    one = of_lengths([900, 200], n_drivers=1)  # 70 s more, and a second of waiting is worth a quarter
    for waited_s, goes in ((270, "r1"), (290, "r0")):
        rides = one.rides._replace(waited_s=np.array([waited_s, 0], np.int32))
        [offer] = POLICIES["batched"].decide(replace(one, rides=rides))
        assert isinstance(offer, Offer)
        assert offer.ride == goes


def test_where_there_are_drivers_for_all_the_length_of_a_ride_changes_nothing() -> None:
    decided = [
        list(POLICIES["batched"].decide(of_lengths(lengths_s, n_drivers=3)))
        for lengths_s in ([900, 200, 400], [1, 1, 1])
    ]
    made = [[(d.ride, d.choice.driver) for d in each if isinstance(d, Offer)] for each in decided]
    assert made[0] == made[1]
    assert len(made[0]) == 3


def test_while_rides_are_few_drivers_are_considered_from_far_away() -> None:
    eta_s = [[500] * 39 + [60]]
    away_m = np.column_stack((np.arange(40.0), np.zeros(40)))  # the last is the farthest, as the crow flies
    for pairs_max, driver in ((40, 49), (39, 10)):
        one = market(eta_s, candidates_min=2, pairs_max=pairs_max)
        [offer] = POLICIES["batched"].decide(replace(one, cars=one.cars._replace(points_m=away_m)))
        assert isinstance(offer, Offer)
        assert offer.choice.driver == driver


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_an_offer_says_who_else_was_considered(policy: str) -> None:
    [offer] = offers(policy, [[40, 20, NEVER, 30, 90]])
    assert [(c.driver, c.eta_s) for c in offer.choice.candidates] == [(11, 20), (13, 30), (10, 40)]
    assert (offer.choice.driver, offer.choice.runner_up) == (11, 13)


def test_the_city_offers_a_ride_to_the_driver_with_the_shortest_way() -> None:
    core = CoreHarness()
    core.drivers(d1=35, d2=7, d3=1)
    offer = core.offered()
    assert offer.driver == 3
    assert [candidate.driver for candidate in offer.candidates] == [3, 2, 1]
    assert offer.eta_s == offer.candidates[0].eta_s > 0


def test_rides_of_one_batch_are_matched_together() -> None:
    core = CoreHarness(policy="greedy")
    core.drivers(d1=0, d2=35)
    core.step(request("a", pickup=1), request("b", pickup=0))
    assert (core.ride("b").driver, core.ride("a").driver) == (1, 2)


@pytest.mark.parametrize(("table", "saves_s"), [([[300, 200], [60, 90]], 30), ([[900, 10], [50, 40]], -10)])
def test_what_a_chain_saves_counts_the_rides_that_had_a_driver(table: list[list[int]], saves_s: int) -> None:
    """The one that waited gets theirs: what it gains is not reported."""
    tuning: dict[str, Any] = {
        "swap_price_ms": 0,
        "rematch_left_ms_min": -1,
        "ageing_ms_per_s": 0,
        "value_permille": 0,
    }
    [chain] = POLICIES["batched"].decide(market(table, fetched=1, rematch=True, **tuning))
    assert isinstance(chain, Chain)
    assert (len(chain.moves), chain.saves_s) == (2, saves_s)
