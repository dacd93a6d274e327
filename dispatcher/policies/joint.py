# SPDX-License-Identifier: Apache-2.0
"""One assignment over the waiting rides and, if re-matching is due, the rides before their pickup.

Rows are rides: first the waiting ones, then those whose driver is on the way (fetched). Columns are drivers:
first the idle ones, then those on the way to a pickup (column `n_idle + i` belongs to the i-th fetched ride),
then those who will soon be free. Only pairs in `AssignmentProblem.pairs` are permitted: the table is sparse.

The cost of a pair, in milliseconds, is

- the drive to the pickup,
- minus `ageing_ms_per_s` for each second that the ride has waited,
- plus the difference between the idle times expected at the drop-off and at the driver's place,
- plus a share of the ride's own duration,
- plus `swap_price_ms` and its growth if the pair changes the ride's driver,
- plus `ahead_price_ms` if the driver is not free yet.

A ride that is assigned to a driver who is not free yet is not decided: it waits, or keeps its driver, and so
do all rides whose change depends on it. The next batch solves the problem again.
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
    DirectAssignment,
    Fetching,
    Ints,
    Longs,
    Market,
    Offer,
    Rides,
    explain,
    joined,
    refusals,
    rows_of,
)


class AssignmentProblem(NamedTuple):
    """An assignment problem; n_rides rows, n_cars columns, n_pairs permitted pairs."""

    rides: Rides
    """n_rides: the waiting ones, then the fetched ones."""
    cars: Cars
    """n_cars: the idle ones, those on the way to a pickup, those soon free."""
    own: Longs
    """(n_rides,) the column of the ride's current driver, −1 for waiting rides."""
    waiting: int
    """How many rides wait: they are the first rows."""
    present: int
    """How many drivers can go now (idle or on the way to a pickup): they are the first columns."""
    pairs: Pairs
    eta_s: Ints
    """(n_pairs,) driving time to the pickup."""
    own_s: Ints
    """(n_rides,) the current driver's remaining time to the pickup, 0 for waiting rides."""


def solve(market: Market, *, rematch: bool) -> Iterator[Offer | Chain]:
    """Find the cheapest assignment and return its differences from the current one.

    Args:
        market: The market of this batch.
        rematch: Whether rides before their pickup take part.

    Returns:
        An offer for each waiting ride that gets an idle driver, and a chain for every other change.
    """
    fetching = _eligible(market) if rematch else None
    rides, cars = market.rides, market.cars
    own = np.full(len(rides.names), -1, np.int64)
    if fetching is not None:
        own = np.concatenate((own, len(cars.numbers) + np.arange(len(fetching.rides.names))))
        rides, cars = joined(rides, fetching.rides), joined(cars, fetching.cars)
    present = len(cars.numbers)
    if not len(rides.names) or not present:
        return
    problem = _problem(market, rides, joined(cars, soon_free_cars(market)), own, present)
    chosen = cheapest(
        problem.pairs, len(rides.names), len(problem.cars.numbers), may_go_without=problem.waiting
    )
    paths = [path for path in _paths(chosen, own) if chosen[path[-1]] < present]
    choices = _choices(problem, chosen, sorted(row for path in paths for row in path))
    for path in paths:
        yield _decision(problem, choices, path)


def _eligible(market: Market) -> Fetching:
    """The fetched rides whose driver is more than `rematch_left_ms_min` from the pickup."""
    rides, cars = market.fetching
    left_s = market.times.travel_time_s(cars.node, rides.pickup) + cars.rest_s
    keep = np.flatnonzero(left_s * 1000 > market.tuning.rematch_left_ms_min)
    return Fetching(rows_of(rides, keep), rows_of(cars, keep))


def soon_free_cars(market: Market) -> Cars:
    """Drivers who should reach their drop-off within `ahead_ms`; they are at its node after `rest_s`."""
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


def _problem(market: Market, rides: Rides, cars: Cars, own: Longs, present: int) -> AssignmentProblem:
    """Choose the permitted pairs and compute their costs. All arrays below are (n_pairs,) unless said."""
    tuning, waiting = market.tuning, len(market.rides.names)
    at_most = max(tuning.candidates_min, tuning.pairs_max // len(rides.names))
    row, column = nearest(market.pickup_m(rides.pickup), cars.points_m, at_most)
    row, column = _with_own(row, column, own, len(cars.numbers))
    banned = refusals(rides, cars)
    if banned:  # a pair as one number, row × n_cars + column; a ride's current driver stays permitted
        code = np.array([r * len(cars.numbers) + c for r, c in banned], np.int64)
        keep = ~np.isin(row * len(cars.numbers) + column, code) | (column == own[row])
        row, column = row[keep], column[keep]
    eta_s = market.times.travel_time_s(cars.node[column], rides.pickup[row]) + cars.rest_s[column]
    cost_ms = eta_s.astype(np.int64) * 1000 - tuning.ageing_ms_per_s * rides.waited_s[row].astype(np.int64)
    cost_ms += _value_ms(market, rides, cars, row, column, waiting) + _trip_ms(market, rides, waiting)[row]
    grown = 1000 + tuning.swap_price_growth_permille * rides.swaps[row].astype(np.int64)
    is_own = column == own[row]
    own_s = np.zeros(len(own), np.int32)  # (n_rides,)
    own_s[row[is_own]] = eta_s[is_own]
    changes = (own[row] >= 0) & ~is_own
    cost_ms += np.where(changes, tuning.swap_price_ms * grown // 1000, 0)
    cost_ms += np.where(column >= present, tuning.ahead_price_ms, 0)
    return AssignmentProblem(rides, cars, own, waiting, present, Pairs(row, column, cost_ms), eta_s, own_s)


def _with_own(row: Longs, column: Longs, own: Longs, n_cars: int) -> tuple[Longs, Longs]:
    """The pairs, and each fetched ride with its current driver if that pair is missing; sorted as before."""
    held = np.flatnonzero(own >= 0)  # rows that have a driver
    if not len(held):
        return row, column
    # A pair as one number, row × n_cars + column, sorts like (row, column).
    code, owned = row * n_cars + column, held * n_cars + own[held]
    at = np.searchsorted(code, owned)
    lacks = np.append(code, -1)[at] != owned
    code = np.insert(code, at[lacks], owned[lacks])
    return code // n_cars, code % n_cars


def _value_ms(market: Market, rides: Rides, cars: Cars, row: Longs, column: Longs, waiting: int) -> Longs:
    """(n_pairs,) how much longer a driver waits for the next ride at the drop-off than at the place now.

    For fetched rides the drop-off counts as 0, because they are served in any case.
    """
    zones = market.zones
    if zones is None:
        return np.zeros(len(row), np.int64)
    idle_s = zones.idle_s.astype(np.int64)
    there_s = np.where(row < waiting, idle_s[zones.zone[rides.dropoff[row]]], 0)
    here_s = idle_s[zones.zone[cars.node[column]]]
    return (there_s - here_s) * market.tuning.value_permille


def _trip_ms(market: Market, rides: Rides, waiting: int) -> Longs:
    """(n_rides,) the cost of a ride's own duration: if not all can be served, short rides go first."""
    trip_s = market.times.travel_time_s(rides.pickup, rides.dropoff).astype(np.int64)
    trip_s[waiting:] = 0  # fetched rides are served in any case
    return trip_s * market.tuning.trip_permille


def _paths(chosen: Longs, own: Longs) -> Iterator[list[int]]:
    """Groups of rows whose changes depend on each other.

    Each row of a path takes the current driver of the next row. The last one takes a driver who has no ride,
    or, in a ring, the driver of the first. A path may have one row only.
    """
    owner = {int(column): row for row, column in enumerate(own.tolist()) if column >= 0}
    changed = [
        row for row, (new, old) in enumerate(zip(chosen.tolist(), own.tolist(), strict=True)) if new != old
    ]
    follows = {row: owner.get(int(chosen[row])) for row in changed}
    led = {row for row in follows.values() if row is not None}
    seen: set[int] = set()
    # Rows that no other row leads to begin a path; the rows that are left are rings.
    for start in [*(row for row in changed if row not in led), *changed]:
        path: list[int] = []
        row: int | None = start
        while row is not None and row not in seen:
            seen.add(row)
            path.append(row)
            row = follows[row]
        if path:
            yield path


def _decision(problem: AssignmentProblem, choices: dict[int, Choice], path: list[int]) -> Offer | Chain:
    """An offer for a single waiting ride, otherwise a chain.

    Its moves are in reverse order of the path, so that each driver is free when a move assigns them.
    """
    names, own = problem.rides.names, problem.own
    if len(path) == 1 and own[path[0]] < 0:
        return Offer(names[path[0]], choices[path[0]])
    moves = tuple(DirectAssignment(names[row], choices[row]) for row in reversed(path))
    saves_s = sum(int(problem.own_s[row]) - choices[row].eta_s for row in path if own[row] >= 0)
    return Chain(moves, saves_s)


def _choices(problem: AssignmentProblem, chosen: Longs, rows: list[int]) -> dict[int, Choice]:
    """The chosen driver of each of these rows, with the cheapest other drivers who could go now.

    All rows are sorted at once, because sorting row by row took longer than the solver.

    Args:
        problem: The problem that was solved.
        chosen: (n_rides,) the column of each row.
        rows: The rows to explain, ascending.
    """
    if not rows:
        return {}
    row, column, cost_ms = problem.pairs
    asked = np.isin(row, rows)  # (n_pairs,)
    # Indices of pairs, sorted by row, then cost: the factor is greater than any difference of two costs.
    can_go = np.flatnonzero(asked & (column < problem.present))
    can_go = can_go[np.argsort(row[can_go] * (np.ptp(cost_ms) + 1) + cost_ms[can_go], kind="stable")]
    # starts[r] is where row r begins in `can_go`. One pair more than shown is kept, as the chosen one may be
    # in.
    starts = np.searchsorted(row[can_go], np.arange(len(chosen)))
    few = can_go[np.arange(len(can_go)) - starts[row[can_go]] <= CANDIDATES_SHOWN]
    few = few[column[few] != chosen[row[few]]]
    mine = _considered(problem, np.flatnonzero(asked & (column == chosen[row])))
    others, ends = _considered(problem, few), np.searchsorted(row[few], rows, side="right").tolist()
    return {
        row: explain(own, others[start:end])
        for row, own, start, end in zip(rows, mine, [0, *ends[:-1]], ends, strict=True)
    }


def _considered(problem: AssignmentProblem, pairs: Longs) -> list[Considered]:
    numbers, cost_s = problem.cars.numbers[problem.pairs.column[pairs]], problem.pairs.cost_ms[pairs] // 1000
    return list(map(Considered, cost_s.tolist(), numbers.tolist(), problem.eta_s[pairs].tolist()))
