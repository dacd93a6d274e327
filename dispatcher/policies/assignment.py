# SPDX-License-Identifier: Apache-2.0
"""Sparse minimum-cost assignment of rides (rows) to cars (columns).

Among the assignments that serve the most rides it finds the cheapest. The solver is scipy's
`min_weight_full_bipartite_matching`: LAPJVsp, the sparse variant of R. Jonker, A. Volgenant, "A shortest
augmenting path algorithm for dense and sparse linear assignment problems", Computing 38, 1987. It needs a
full matching, so each ride that may stay unserved gets a dummy column of its own. The costs are integers
below 2^53, which float64 represents exactly.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from dispatcher.policies.market import Floats, Longs

UNSERVED_MS: Final = 100_000_000
"""Cost of a dummy column. It is greater than that of any drive, so as many rides as possible are served."""
_AWAY_MS: Final = 50_000_000
"""Added to every cost, because the solver requires weights above 0. Each row pays it exactly once, so it does
not change the result."""


class Pairs(NamedTuple):
    """The permitted pairs of a ride (row) and a car (column), sorted by row, then column.

    Three arrays of shape (n_pairs,).
    """

    row: Longs
    """Index into the rides."""
    column: Longs
    """Index into the cars."""
    cost_ms: Longs
    """Greater than −_AWAY_MS and less than UNSERVED_MS."""


def nearest(rides_m: Floats, cars_m: Floats, at_most: int) -> tuple[Longs, Longs]:
    """Each ride's nearest cars by straight-line distance.

    Args:
        rides_m: (n_rides, 2) pickups on the plane, metres.
        cars_m: (n_cars, 2) cars on the plane, metres.
        at_most: Cars for each ride; all if there are not more.

    Returns:
        Rows and columns of the pairs, sorted by row, then column.
    """
    n_rides, n_cars = len(rides_m), len(cars_m)
    if n_cars <= at_most:
        return np.repeat(np.arange(n_rides), n_cars), np.tile(np.arange(n_cars), n_rides)
    _, column = cKDTree(cars_m).query(rides_m, k=at_most)
    column = np.sort(column.reshape(n_rides, at_most), axis=1)
    return np.repeat(np.arange(n_rides), at_most), column.astype(np.int64).ravel()


def cheapest(pairs: Pairs, n_rows: int, n_columns: int, *, may_go_without: int) -> Longs:
    """Solve the assignment problem.

    Args:
        pairs: The permitted pairs with their costs.
        n_rows: Number of rides.
        n_columns: Number of cars.
        may_go_without: Only the first so many rows may stay without a car.

    Returns:
        (n_rows,) the column of each row, or −1.

    Raises:
        ValueError: The other rows have no full matching among the pairs.
    """
    # A CSR matrix: row r has the entries ends[r] … ends[r + 1] − 1 (its `indptr`). Rows that may stay without
    # a car get one more entry at their end: the dummy column n_columns + r.
    ends = np.searchsorted(pairs.row, np.arange(n_rows + 1))
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
