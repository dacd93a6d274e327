# SPDX-License-Identifier: Apache-2.0
"""Markets made by hand: a test gives only a table of driving times."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dispatcher.policies.market import FAR_S, Cars, Fetching, Floats, Ints, Market, Rides, Riding
from dispatcher.policies.tuning import Tuning

FIRST_DRIVER = 10
BEFORE_MS, NOW_MS = 1_750_000_001_000, 1_750_000_002_000
"""A multiple of 2 s is between them, and no multiple of 4 s."""


class Table:
    """Driving times made by hand: car i is at node i, the pickup of ride j is node j; 0 if not given."""

    def __init__(self, eta_s: Ints) -> None:
        size = max(eta_s.shape)
        self._eta_s = np.zeros((size, size), np.int32)
        self._eta_s[: eta_s.shape[0], : eta_s.shape[1]] = eta_s

    def travel_time_s(self, from_nodes: npt.ArrayLike, to_nodes: npt.ArrayLike) -> Ints:
        found: Ints = self._eta_s[np.asarray(to_nodes), np.asarray(from_nodes)]
        return found


def rides(n: int, *, first: int = 0, refused: tuple[list[int], ...] | None = None, swaps: int = 0) -> Rides:
    """r0, r1, …, oldest first; the pickup of each is its node."""
    nodes = np.arange(first, first + n, dtype=np.int32)
    return Rides(
        names=tuple(f"r{i}" for i in nodes.tolist()),
        waited_s=np.arange(n, 0, -1, dtype=np.int32),
        pickup=nodes,
        dropoff=nodes,
        refused=refused or tuple([] for _ in range(n)),
        swaps=np.full(n, swaps, np.int32),
    )


def cars(n: int, *, first: int = 0) -> Cars:
    """Drivers from FIRST_DRIVER on, each at a node of their own."""
    nodes = np.arange(first, first + n, dtype=np.int32)
    return Cars(
        numbers=FIRST_DRIVER + nodes.astype(np.int64),
        node=nodes,
        rest_s=np.zeros(n, np.int32),
        points_m=np.zeros((n, 2)),
        bound=np.full(n, -1, np.int32),
    )


def market(
    eta_s: list[list[int]],
    *,
    fetched: int = 0,
    soon_s: tuple[int, ...] = (),
    rematch: bool = False,
    **tuning: Any,
) -> Market:
    """(rides, cars): the last `fetched` of both belong together, ride by car; FAR_S is a refusal.

    The cars in the very last columns have a rider for `soon_s` more seconds each. How long the rides are does
    not count: where they end is not said.
    """
    table = np.array(eta_s, np.int32)
    n_rides, n_cars = table.shape
    refused = tuple([FIRST_DRIVER + i for i in np.flatnonzero(row == FAR_S).tolist()] for row in table)
    waiting, soon = n_rides - fetched, n_cars - len(soon_s)
    idle = soon - fetched
    return Market(
        rides=rides(waiting, refused=refused[:waiting]),
        cars=cars(idle),
        times=Table(table),
        now_ms=NOW_MS + 2_000 * rematch,
        before_ms=BEFORE_MS,
        pickup_m=_nowhere,
        tuning=Tuning(**{"trip_permille": 0} | tuning),
        find_fetching=lambda: Fetching(
            rides(fetched, first=waiting, refused=refused[waiting:]), cars(fetched, first=idle)
        ),
        find_riding=lambda _: Riding(
            FIRST_DRIVER + np.arange(soon, n_cars, dtype=np.int64),
            np.arange(soon, n_cars, dtype=np.int32),
            np.array(soon_s, np.int32),
        ),
    )


def _nowhere(nodes: Ints) -> Floats:
    return np.zeros((len(nodes), 2))
