# SPDX-License-Identifier: Apache-2.0
"""Minimum-cost assignment over a sparse table: each ride to at most one car, as many as can be, cheapest.

The solver is scipy's LAPJVsp (Jonker, Volgenant 1987) on integers, which floats hold exactly. A dummy column
for each ride that may go without a car keeps the problem feasible.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from dispatcher.policies.market import Floats, Longs

UNSERVED_MS: Final = 100_000_000
"""What it costs to leave a ride without a car: more than any drive, so as many as possible are served."""
_AWAY_MS: Final = 50_000_000
"""Added to every cost: the solver wants weights above 0. Each row pays it once, so it decides nothing."""


class Pairs(NamedTuple):
    """Pairs of a ride (row) and a car (column) that may be, sorted by row then column."""

    row: Longs
    column: Longs
    cost_ms: Longs
    """Above −_AWAY_MS and below UNSERVED_MS."""


def nearest(rides_m: Floats, cars_m: Floats, at_most: int) -> tuple[Longs, Longs]:
    """(row, column) of each ride's nearest cars as the crow flies, sorted."""
    n_rides, n_cars = len(rides_m), len(cars_m)
    if n_cars <= at_most:
        return np.repeat(np.arange(n_rides), n_cars), np.tile(np.arange(n_cars), n_rides)
    _, column = cKDTree(cars_m).query(rides_m, k=at_most)
    column = np.sort(column.reshape(n_rides, at_most), axis=1)
    return np.repeat(np.arange(n_rides), at_most), column.astype(np.int64).ravel()


def cheapest(pairs: Pairs, n_rows: int, n_columns: int, *, may_go_without: int) -> Longs:
    """(n_rows,) the column of each row, −1 for none; only the first `may_go_without` rows may have none.

    The other rows must have a full matching among the pairs, or scipy raises ValueError.
    """
    ends = np.searchsorted(pairs.row, np.arange(n_rows + 1))  # of the rows, a dummy behind those that may
    behind = ends[1 : may_go_without + 1]
    column = np.insert(pairs.column, behind, n_columns + np.arange(may_go_without))
    cost = np.insert(pairs.cost_ms, behind, UNSERVED_MS) + _AWAY_MS
    ends[1:] += np.minimum(np.arange(1, n_rows + 1), may_go_without)
    shape = (n_rows, n_columns + may_go_without)
    table = csr_array((cost.astype(np.float64), column.astype(np.int32), ends.astype(np.int32)), shape=shape)
    rows, columns = min_weight_full_bipartite_matching(table)
    found = np.full(n_rows, -1, np.int64)
    found[rows] = np.where(columns < n_columns, columns, -1)
    return found
