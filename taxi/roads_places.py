# SPDX-License-Identifier: Apache-2.0
"""From a fix to the street: on which arc a car is, and how far it has come on it.

A car can't turn before the end of its block. Where it is on a one-way street and which way it faces decides
whether the rider across the junction is ten seconds away or four minutes round the block.
"""

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from taxi.roads import RoadNetwork

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int32]

_SAMPLE_M: Final = 10.0
_TURN_M: Final = 30.0
"""A quarter turn counts as this many metres × √2: nearness and heading in one distance."""
_KNOWN_MOST: Final = 50_000


class Turning(NamedTuple):
    """Where cars can first turn, and when."""

    node: Ints
    """(n,) the end of the current arc."""
    rest_s: Ints
    """(n,) driving time until there, in whole seconds."""


class Places:
    """Finds cars on a network by position and heading. Built in some 50 ms."""

    def __init__(self, roads: "RoadNetwork") -> None:
        self._roads = roads
        count = np.maximum(1, np.rint(roads.arc_length_m / _SAMPLE_M).astype(np.int64))
        self._arc = np.repeat(np.arange(roads.n_arcs, dtype=np.int32), count)
        nth = np.arange(len(self._arc)) - np.repeat(np.cumsum(count) - count, count)
        # In the middle of pieces: what ends at a junction is nearer than what goes on straight behind it.
        self._share = (nth + 0.5) / count[self._arc]
        points, heading = roads.along(self._arc, self._share * roads.arc_length_m[self._arc])
        from scipy.spatial import cKDTree  # noqa: PLC0415 - a gateway boots without it

        self._tree = cKDTree(_space(roads.plane.metres(points), heading))
        self._known: dict[tuple[float, float, int], tuple[int, int]] = {}
        """What was asked before: many cars stand."""

    def turning(self, points: Floats, heading: Ints) -> Turning:
        """(n, 2) places, (n,) degrees or below 0 for untold: then the nearest node, at once."""
        seen = [*zip(*points.T.tolist(), heading.tolist(), strict=True)] if len(points) else []
        new = [i for i, each in enumerate(seen) if each not in self._known]
        if new:
            if len(self._known) > _KNOWN_MOST:
                self._known.clear()
                new = [*range(len(seen))]
            found = self._find(points[new], heading[new])
            self._known.update(zip([seen[i] for i in new], zip(*found, strict=True), strict=True))
        pairs = np.array([self._known[each] for each in seen], np.int32).reshape(-1, 2)
        return Turning(pairs[:, 0].copy(), pairs[:, 1].copy())

    def _find(self, points: Floats, heading: Ints) -> tuple[list[int], list[int]]:
        node = np.empty(len(points), np.int32)
        rest_s = np.zeros(len(points), np.int32)
        told = heading >= 0
        node[~told], _ = self._roads.nearest_nodes(points[~told])
        metres = self._roads.plane.metres(points[told])
        _, near = self._tree.query(_space(metres, heading[told].astype(np.float64)))
        arc = self._arc[near]
        node[told] = self._roads.arc_to[arc]
        rest_s[told] = np.rint((1 - self._share[near]) * self._roads.arc_time_s[arc])
        return node.tolist(), rest_s.tolist()


def _space(metres: Floats, heading: Floats) -> Floats:
    """(n, 2) and (n,) degrees → (n, 4): the nearest neighbour there is near and faces the same way."""
    turn = np.radians(heading)
    return np.column_stack((metres, _TURN_M * np.cos(turn), _TURN_M * np.sin(turn)))
