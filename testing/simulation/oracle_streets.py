# SPDX-License-Identifier: Apache-2.0
"""The oracle's own driving times: over the streets, by day and by night alike (no city here has hours)."""

from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from taxi.roads.network import RoadNetwork


class Streets:
    """Driving times between places, which are those of the junctions nearest to them."""

    def __init__(self, roads: RoadNetwork) -> None:
        self._roads = roads
        self._nodes: dict[tuple[int, int], int] = {}

    def drive_ms(self, start: tuple[int, int], end: tuple[int, int]) -> int:
        """In whole seconds; places are in 1e-5 degrees, longitude first."""
        return round(float(self._times_s[self._node(start), self._node(end)])) * 1000

    def far_m(self, at: tuple[float, float]) -> float:
        """From a place in degrees to the nearest street, within a metre or so."""
        roads = self._roads
        share = np.linspace(0, 1, 101)[:, None, None]
        start, end = (roads.plane.metres(roads.nodes[ends]) for ends in (roads.arc_from, roads.arc_to))
        away = start + share * (end - start) - roads.plane.metres(at)  # straight streets: (101, n_arcs, 2)
        return float(np.hypot(away[..., 0], away[..., 1]).min())

    def _node(self, at: tuple[int, int]) -> int:
        if at not in self._nodes:
            self._nodes[at] = int(np.argmin(np.abs(self._roads.nodes * 1e5 - at).sum(axis=1)))
        return self._nodes[at]

    @cached_property
    def _times_s(self) -> npt.NDArray[np.float64]:
        """(n_nodes, n_nodes) from, to."""
        roads, n = self._roads, self._roads.n_nodes
        arcs = csr_array((roads.arc_time_s, (roads.arc_from, roads.arc_to)), shape=(n, n))
        times: npt.NDArray[np.float64] = dijkstra(arcs)
        return times
