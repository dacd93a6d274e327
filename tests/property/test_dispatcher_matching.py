# SPDX-License-Identifier: Apache-2.0
"""Matching compared with brute force: it is the cheapest, chains are complete, no driver occurs twice."""

from itertools import permutations
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.policies import POLICIES, Chain, Offer
from dispatcher.policies.assignment import UNSERVED_MS, Pairs, cheapest, nearest
from dispatcher.policies.market import FAR_S, Market
from testing.dispatcher_markets import FIRST_DRIVER, market

NEVER = int(FAR_S)
PLAIN: dict[str, Any] = {"ageing_ms_per_s": 0, "value_permille": 0}
Table = list[list[int]]


@st.composite
def tables(draw: st.DrawFn, *, rides_max: int = 5, cars_max: int = 5, banned: bool = True) -> Table:
    n_rides, n_cars = draw(st.integers(1, rides_max)), draw(st.integers(1, cars_max))
    one = st.one_of(st.integers(0, 900), st.just(NEVER)) if banned else st.integers(0, 900)
    return draw(st.lists(st.lists(one, min_size=n_cars, max_size=n_cars), min_size=n_rides, max_size=n_rides))


@st.composite
def streets(draw: st.DrawFn) -> tuple[Table, int]:
    """A table whose last `fetched` rides and cars belong together, and so are no refusals."""
    table = draw(tables())
    fetched = draw(st.integers(0, min(len(table), len(table[0]))))
    for nth in range(1, fetched + 1):
        if table[-nth][-nth] == NEVER:
            table[-nth][-nth] = 450
    return table, fetched


def brute_force_ms(cost_ms: Table, *, without_ms: int = UNSERVED_MS, keep: int = 0) -> int:
    """The least that an assignment costs; the last `keep` rides must have a car."""
    far = [[UNSERVED_MS * 100 if cost == NEVER else cost for cost in row] for row in cost_ms]
    n_rides, seats = len(far), [*range(len(far[0])), *[-1] * len(far)]
    choices = [c for c in set(permutations(seats, n_rides)) if all(car >= 0 for car in c[n_rides - keep :])]
    return min(
        sum(far[ride][car] if car >= 0 else without_ms for ride, car in enumerate(choice))
        for choice in choices
    )


@given(tables(rides_max=4, cars_max=4))
def test_the_assignment_is_as_cheap_as_the_best_of_all(table: Table) -> None:
    pairs = [(r, c, eta) for r, row in enumerate(table) for c, eta in enumerate(row) if eta != NEVER]
    row, column, cost = (np.array([pair[i] for pair in pairs], np.int64) for i in range(3))
    chosen = cheapest(Pairs(row, column, cost), len(table), len(table[0]), may_go_without=len(table))
    taken = [int(car) for car in chosen if car >= 0]
    assert len(set(taken)) == len(taken)
    made = sum(table[ride][car] if car >= 0 else UNSERVED_MS for ride, car in enumerate(chosen.tolist()))
    assert made == brute_force_ms(table)


def decided(offers: Market, policy: str) -> dict[str, int]:
    """Ride → eta of its offer."""
    made = POLICIES[policy].decide(offers)
    return {one.ride: one.choice.eta_s for one in made if isinstance(one, Offer)}


@given(tables(banned=False))
def test_greedy_never_beats_the_optimal_assignment_in_cost(table: Table) -> None:
    greedy, best = (decided(market(table, **PLAIN), policy) for policy in ("greedy", "batched"))
    assert len(greedy) == len(best) == min(len(table), len(table[0]))
    assert sum(best.values()) <= sum(greedy.values())


@given(tables())
def test_as_many_rides_as_can_be_are_offered_and_never_to_who_refused(table: Table) -> None:
    best = decided(market(table, **PLAIN), "batched")
    fewest_left = brute_force_ms([[0 if e != NEVER else NEVER for e in row] for row in table], without_ms=1)
    assert len(table) - len(best) == fewest_left
    assert all(eta_s < NEVER for eta_s in best.values())
    assert len(best) >= len(decided(market(table, **PLAIN), "greedy"))


@given(streets(), st.sampled_from([0, 60_000]))
def test_a_joint_solution_is_as_cheap_as_the_best_of_all(city: tuple[Table, int], price_ms: int) -> None:
    table, fetched = city
    held = market(
        table, fetched=fetched, rematch=True, swap_price_ms=price_ms, rematch_left_ms_min=-1, **PLAIN
    )
    n_rides, n_cars = len(table), len(table[0])
    waiting, idle = n_rides - fetched, n_cars - fetched
    driver = {f"r{waiting + nth}": FIRST_DRIVER + idle + nth for nth in range(fetched)}
    own = dict(driver)
    for decision in POLICIES["batched"].decide(held):
        assert isinstance(decision, Offer | Chain)
        for move in decision.moves if isinstance(decision, Chain) else [decision]:
            driver[move.ride] = move.choice.driver
    assert len(set(driver.values())) == len(driver)  # a driver that gave a ride away has another, or is idle
    cost_ms = [
        [
            eta
            if eta == NEVER
            else eta * 1000 + price_ms * (own.get(f"r{r}", FIRST_DRIVER + c) != FIRST_DRIVER + c)
            for c, eta in enumerate(row)
        ]
        for r, row in enumerate(table)
    ]
    made = sum(
        cost_ms[r][driver[f"r{r}"] - FIRST_DRIVER] if f"r{r}" in driver else UNSERVED_MS
        for r in range(n_rides)
    )
    assert made == brute_force_ms(cost_ms, keep=fetched)


@given(streets())
def test_chains_are_whole_and_touch_no_driver_twice(city: tuple[Table, int]) -> None:
    table, fetched = city
    held = market(table, fetched=fetched, rematch=True, swap_price_ms=0, rematch_left_ms_min=-1, **PLAIN)
    owner = {FIRST_DRIVER + len(table[0]) - nth: f"r{len(table) - nth}" for nth in range(1, fetched + 1)}
    rides: list[str] = []
    drivers: list[int] = []
    for decision in POLICIES["batched"].decide(held):
        assert isinstance(decision, Offer | Chain)
        moves = decision.moves if isinstance(decision, Chain) else (decision,)
        rides += [move.ride for move in moves]
        drivers += [move.choice.driver for move in moves]
        inside = {move.ride for move in moves}
        assert all(owner.get(move.choice.driver, move.ride) in inside for move in moves)
    assert len(set(rides)) == len(rides)
    assert len(set(drivers)) == len(drivers)


@given(streets())
def test_a_choice_shows_the_two_cheapest_others_beside_the_driver(city: tuple[Table, int]) -> None:
    table, fetched = city
    about: dict[str, Any] = {"rematch": True, "swap_price_ms": 0, "rematch_left_ms_min": -1}
    for decision in POLICIES["batched"].decide(market(table, fetched=fetched, **about, **PLAIN)):
        assert isinstance(decision, Offer | Chain)
        for move in decision.moves if isinstance(decision, Chain) else (decision,):
            row = table[int(move.ride[1:])]
            can_go = sorted((eta_s, FIRST_DRIVER + car) for car, eta_s in enumerate(row) if eta_s != NEVER)
            choice = move.choice
            others = [(eta_s, driver) for eta_s, driver in can_go if driver != choice.driver][:2]
            shown = sorted([*others, (choice.eta_s, choice.driver)])
            assert [(each.eta_s, each.driver) for each in choice.candidates] == shown
            assert all(each.cost == each.eta_s for each in choice.candidates)
            assert choice.runner_up == (others[0][1] if others else None)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 8), st.integers(0, 99))
def test_the_nearest_cars_are_the_nearest(n_rides: int, n_cars: int, at_most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rides_m, cars_m = rng.random((n_rides, 2)), rng.random((n_cars, 2))
    row, column = nearest(rides_m, cars_m, at_most)
    assert (np.diff(row * n_cars + column) > 0).all()
    away = np.hypot(*np.moveaxis(rides_m[:, None] - cars_m[None], 2, 0))
    few = min(at_most, n_cars)
    for ride in range(n_rides):
        mine = column[row == ride]
        assert np.allclose(np.sort(away[ride, mine]), np.sort(away[ride])[:few])


AHEAD: dict[str, Any] = {"ahead_ms": 30_000, "ahead_price_ms": 30_000, "ahead_late_ms_max": 60_000}


@given(st.integers(0, 900), st.integers(0, 900), st.integers(-90, 60))
def test_a_ride_waits_for_who_is_soon_free_only_where_that_is_sooner(
    idle_s: int, soon_s: int, left_s: int
) -> None:
    made = decided(market([[idle_s, soon_s]], soon_s=(left_s,), **AHEAD, **PLAIN), "batched")
    in_time = -60 < left_s < 30
    if in_time and max(left_s, 0) + soon_s + 30 < idle_s:
        assert not made
    elif not in_time or max(left_s, 0) + soon_s + 30 > idle_s:
        assert made == {"r0": idle_s}


@given(streets(), st.lists(st.integers(-90, 60), min_size=1, max_size=3), st.data())
def test_no_driver_with_a_rider_is_asked_and_chains_stay_whole(
    city: tuple[Table, int], left_s: list[int], data: st.DataObject
) -> None:
    table, fetched = city
    more = st.lists(st.integers(0, 900), min_size=len(left_s), max_size=len(left_s))
    wide = [row + data.draw(more) for row in table]
    about: dict[str, Any] = {
        "fetched": fetched,
        "rematch": True,
        "swap_price_ms": 0,
        "rematch_left_ms_min": -1,
    }
    made = [*POLICIES["batched"].decide(market(wide, soon_s=tuple(left_s), **about, **AHEAD, **PLAIN))]
    owner = {FIRST_DRIVER + len(table[0]) - nth: f"r{len(table) - nth}" for nth in range(1, fetched + 1)}
    drivers: list[int] = []
    for decision in made:
        assert isinstance(decision, Offer | Chain)
        moves = decision.moves if isinstance(decision, Chain) else (decision,)
        drivers += [move.choice.driver for move in moves]
        inside = {move.ride for move in moves}
        assert all(owner.get(move.choice.driver, move.ride) in inside for move in moves)
        shown = {each.driver for move in moves for each in move.choice.candidates}
        assert max(shown) < FIRST_DRIVER + len(table[0])
    assert all(driver < FIRST_DRIVER + len(table[0]) for driver in drivers)
    assert len(set(drivers)) == len(drivers)
    if not any(-60 < each < 30 for each in left_s):
        assert made == [*POLICIES["batched"].decide(market(table, **about, **PLAIN))]


def test_a_ride_keeps_its_driver_until_the_nearer_one_is_free() -> None:
    about: dict[str, Any] = {"fetched": 1, "rematch": True, "swap_price_ms": 0, **AHEAD, **PLAIN}
    assert not [*POLICIES["batched"].decide(market([[500, 20]], soon_s=(10,), **about))]
    [chain] = POLICIES["batched"].decide(market([[20, 500]], **about))
    assert isinstance(chain, Chain)
