# SPDX-License-Identifier: Apache-2.0
"""One assignment over the rides that wait and, if asked, those that are being fetched.

A cost is the drive to the pickup in milliseconds, less for a ride that has waited, more for a drop-off where
drivers then wait long, less for a driver who stands in such a place, and more for each change of drivers.

Drivers who will soon be free take part, at a price. Whatever hangs on one of them is left as it is: the ride
waits, or keeps its driver, and the next batch looks again.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dispatcher.policies.assignment import Pairs, cheapest, nearest
from dispatcher.policies.market import (
    CANDIDATES_SHOWN,
    Cars,
    Chain,
    Choice,
    Considered,
    Fetching,
    Ints,
    Longs,
    Market,
    Move,
    Offer,
    Rides,
    explain,
    joined,
    refusals,
    rows_of,
)


class Problem(NamedTuple):
    """Waiting rides before fetched ones; idle drivers, those under way to a pickup, those soon free."""

    rides: Rides
    cars: Cars
    own: Longs
    """(n_rides,) the column of the driver who comes now, −1 for waiting rides."""
    waiting: int
    """How many rides wait."""
    present: int
    """How many drivers can go now."""
    pairs: Pairs
    eta_s: Ints
    """Of the pairs."""
    own_s: Ints
    """(n_rides,) until the driver who comes now is there, 0 for waiting rides."""


def solve(market: Market, *, rematch: bool) -> Iterator[Offer | Chain]:
    """Offers and chains that are cheapest together."""
    fetching = _eligible(market) if rematch else None
    rides, cars = market.rides, market.cars
    own = np.full(len(rides.names), -1, np.int64)
    if fetching is not None:
        own = np.concatenate((own, len(cars.numbers) + np.arange(len(fetching.rides.names))))
        rides, cars = joined(rides, fetching.rides), joined(cars, fetching.cars)
    present = len(cars.numbers)
    if not len(rides.names) or not present:
        return
    problem = _problem(market, rides, joined(cars, _soon_free(market)), own, present)
    chosen = cheapest(
        problem.pairs, len(rides.names), len(problem.cars.numbers), may_go_without=problem.waiting
    )
    paths = [path for path in _paths(chosen, own) if chosen[path[-1]] < present]
    choices = _choices(problem, chosen, sorted(row for path in paths for row in path))
    for path in paths:
        yield _decision(problem, choices, path)


def _eligible(market: Market) -> Fetching:
    """Those far enough from their pickup to be worth a change."""
    rides, cars = market.fetching
    left_s = market.times.travel_time_s(cars.node, rides.pickup) + cars.rest_s
    keep = np.flatnonzero(left_s * 1000 > market.tuning.rematch_left_ms_min)
    return Fetching(rows_of(rides, keep), rows_of(cars, keep))


def _soon_free(market: Market) -> Cars:
    """Drivers who are about to let a rider out."""
    tuning = market.tuning
    riding = market.find_riding(tuning.ahead_ms)
    left_ms = riding.left_s.astype(np.int64) * 1000
    soon = np.flatnonzero((left_ms < tuning.ahead_ms) & (left_ms > -tuning.ahead_late_ms_max))
    node = riding.dropoff[soon]
    return Cars(
        numbers=riding.numbers[soon],
        node=node,
        rest_s=np.maximum(riding.left_s[soon], 0),
        points_m=market.pickup_m(node),
        bound=np.full(len(soon), -1, np.int32),
    )


def _problem(market: Market, rides: Rides, cars: Cars, own: Longs, present: int) -> Problem:
    tuning, waiting = market.tuning, len(market.rides.names)
    at_most = max(tuning.candidates_min, tuning.pairs_max // len(rides.names))
    row, column = nearest(market.pickup_m(rides.pickup), cars.points_m, at_most)
    row, column = _with_own(row, column, own, len(cars.numbers))
    banned = refusals(rides, cars)
    if banned:
        code = np.array([r * len(cars.numbers) + c for r, c in banned], np.int64)
        keep = ~np.isin(row * len(cars.numbers) + column, code) | (column == own[row])
        row, column = row[keep], column[keep]
    eta_s = market.times.travel_time_s(cars.node[column], rides.pickup[row]) + cars.rest_s[column]
    cost_ms = eta_s.astype(np.int64) * 1000 - tuning.ageing_ms_per_s * rides.waited_s[row].astype(np.int64)
    cost_ms += _value_ms(market, rides, cars, row, column, waiting) + _trip_ms(market, rides, waiting)[row]
    grown = 1000 + tuning.swap_price_growth_permille * rides.swaps[row].astype(np.int64)
    is_own = column == own[row]
    own_s = np.zeros(len(own), np.int32)
    own_s[row[is_own]] = eta_s[is_own]
    changes = (own[row] >= 0) & ~is_own
    cost_ms += np.where(changes, tuning.swap_price_ms * grown // 1000, 0)
    cost_ms += np.where(column >= present, tuning.ahead_price_ms, 0)
    return Problem(rides, cars, own, waiting, present, Pairs(row, column, cost_ms), eta_s, own_s)


def _with_own(row: Longs, column: Longs, own: Longs, n_cars: int) -> tuple[Longs, Longs]:
    """The driver who comes now is always among the candidates."""
    held = np.flatnonzero(own >= 0)
    if not len(held):
        return row, column
    code, owned = row * n_cars + column, held * n_cars + own[held]
    at = np.searchsorted(code, owned)
    lacks = np.append(code, -1)[at] != owned
    code = np.insert(code, at[lacks], owned[lacks])
    return code // n_cars, code % n_cars


def _value_ms(market: Market, rides: Rides, cars: Cars, row: Longs, column: Longs, waiting: int) -> Longs:
    """How much worse the drop-off is for the driver than where the driver is now."""
    zones = market.zones
    if zones is None:
        return np.zeros(len(row), np.int64)
    idle_s = zones.idle_s.astype(np.int64)
    there_s = np.where(row < waiting, idle_s[zones.zone[rides.dropoff[row]]], 0)
    here_s = idle_s[zones.zone[cars.node[column]]]
    return (there_s - here_s) * market.tuning.value_permille


def _trip_ms(market: Market, rides: Rides, waiting: int) -> Longs:
    """(n_rides,) what a ride's own length adds: it decides who goes first where not all can."""
    trip_s = market.times.travel_time_s(rides.pickup, rides.dropoff).astype(np.int64)
    trip_s[waiting:] = 0  # they go in any case
    return trip_s * market.tuning.trip_permille


def _paths(chosen: Longs, own: Longs) -> Iterator[list[int]]:
    """Rows that change together, each taking the driver of the one after it; a lone row, or a ring, too."""
    owner = {int(column): row for row, column in enumerate(own.tolist()) if column >= 0}
    changed = [
        row for row, (new, old) in enumerate(zip(chosen.tolist(), own.tolist(), strict=True)) if new != old
    ]
    follows = {row: owner.get(int(chosen[row])) for row in changed}
    led = {row for row in follows.values() if row is not None}
    seen: set[int] = set()
    for start in [*(row for row in changed if row not in led), *changed]:  # paths first, then rings
        path: list[int] = []
        row: int | None = start
        while row is not None and row not in seen:
            seen.add(row)
            path.append(row)
            row = follows[row]
        if path:
            yield path


def _decision(problem: Problem, choices: dict[int, Choice], path: list[int]) -> Offer | Chain:
    """A ride that waits and takes an idle driver is offered; everything else is an order."""
    names, own = problem.rides.names, problem.own
    if len(path) == 1 and own[path[0]] < 0:
        return Offer(names[path[0]], choices[path[0]])
    moves = tuple(Move(names[row], choices[row]) for row in reversed(path))
    saves_s = sum(int(problem.own_s[row]) - choices[row].eta_s for row in path if own[row] >= 0)
    return Chain(moves, saves_s)


def _choices(problem: Problem, chosen: Longs, rows: list[int]) -> dict[int, Choice]:
    """The driver of each of these rows, and who else could go now and would have been cheap.

    Sorted for all rows in one go: row by row, this took longer than the solver.
    """
    if not rows:
        return {}
    row, column, cost_ms = problem.pairs
    asked = np.isin(row, rows)
    can_go = np.flatnonzero(asked & (column < problem.present))
    can_go = can_go[np.argsort(row[can_go] * (np.ptp(cost_ms) + 1) + cost_ms[can_go], kind="stable")]
    starts = np.searchsorted(row[can_go], np.arange(len(chosen)))
    few = can_go[np.arange(len(can_go)) - starts[row[can_go]] <= CANDIDATES_SHOWN]
    few = few[column[few] != chosen[row[few]]]
    mine = _considered(problem, np.flatnonzero(asked & (column == chosen[row])))
    others, ends = _considered(problem, few), np.searchsorted(row[few], rows, side="right").tolist()
    return {
        row: explain(own, others[start:end])
        for row, own, start, end in zip(rows, mine, [0, *ends[:-1]], ends, strict=True)
    }


def _considered(problem: Problem, pairs: Longs) -> list[Considered]:
    numbers, cost_s = problem.cars.numbers[problem.pairs.column[pairs]], problem.pairs.cost_ms[pairs] // 1000
    return list(map(Considered, cost_s.tolist(), numbers.tolist(), problem.eta_s[pairs].tolist()))
