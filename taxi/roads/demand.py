# SPDX-License-Identifier: Apache-2.0
"""The demand for trips: counts of (from node, to node) pairs, and sampling from them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from taxi.roads.city import city_dir

Ints: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class TripDemand:
    """How often each pair of nodes was driven: three arrays of one length, each pair once, counts above 0."""

    from_node: Ints
    to_node: Ints
    count: Ints

    def __post_init__(self) -> None:
        """Raise ValueError if there are no pairs, or the arrays are not as described."""
        if not len(self.from_node) == len(self.to_node) == len(self.count) or not (self.count > 0).all():
            message = "trip demand: three arrays of one length, counts above 0"
            raise ValueError(message)
        if not len(self.count):
            message = "trip demand: no pairs"
            raise ValueError(message)

    @classmethod
    def load(cls, city: str | Path = "manhattan") -> Self:
        """Read a city's `trips.npz`. Raises UnknownCityError."""
        with np.load(city_dir(city) / "trips.npz", allow_pickle=False) as file:
            return cls(*(file[name].astype(np.int32) for name in ("from_node", "to_node", "count")))

    @classmethod
    def uniform(cls, n_nodes: int) -> Self:
        """Every pair of different nodes once, for small synthetic cities."""
        origin, destination = np.divmod(np.arange(n_nodes * n_nodes, dtype=np.int32), n_nodes)
        apart = origin != destination
        return cls(origin[apart], destination[apart], np.ones(apart.sum(), np.int32))

    def half(self, which: int) -> Self:
        """One of two halves (0 or 1) of the pairs, split by a hash: one to learn from, one to test with."""
        mixed = (self.from_node.astype(np.uint32) * np.uint32(2_654_435_761)) ^ self.to_node.astype(np.uint32)
        mine = (mixed * np.uint32(2_246_822_519) >> np.uint32(31)) == which
        return type(self)(self.from_node[mine], self.to_node[mine], self.count[mine])

    @property
    def trips(self) -> int:
        """The sum of all counts."""
        return int(self._cumulative[-1])

    def sample(self, u: npt.ArrayLike) -> tuple[Ints, Ints]:
        """Sample pairs in proportion to their counts, by inverting their cumulative distribution.

        Args:
            u: (…) uniform random numbers in [0, 1).

        Returns:
            (…) from nodes and (…) to nodes.

        Raises:
            ValueError: A number is outside of [0, 1).
        """
        share = np.asarray(u, np.float64)
        if not ((share >= 0) & (share < 1)).all():
            message = "draws lie in [0, 1)"
            raise ValueError(message)
        pair = np.searchsorted(self._cumulative, share * self.trips, side="right")
        pair = np.minimum(pair, len(self.count) - 1)  # the product may round up to the total
        return self.from_node[pair], self.to_node[pair]

    @cached_property
    def _cumulative(self) -> npt.NDArray[np.int64]:
        return np.cumsum(self.count, dtype=np.int64)
