# SPDX-License-Identifier: Apache-2.0
"""From a fix to the street: on which arc a car is, and how far it has come on it.

A car can't turn before the end of its block. Where it is on a one-way street and which way it faces decides
whether the rider across the junction is ten seconds away or four minutes round the block.
"""

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from taxi.roads import RoadNetwork

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int32]
Ints64: TypeAlias = npt.NDArray[np.int64]

_SAMPLE_M: Final = 10.0
_TURN_M: Final = 30.0
"""A quarter turn counts as this many metres × √2: nearness and heading in one distance."""
_NEAR: Final = 20.0
"""Within this of a street is nearly every car: a search that goes no further is a third cheaper."""
_REMEMBERED: Final = 2
"""Calls of a batch: for the idle, and for those under way."""
_PROBED: Final = 64


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
        self._known: deque[_Known] = deque(maxlen=_REMEMBERED)
        """What was asked last: where many cars stand, few are new."""

    def turning(self, points: Floats, heading: Ints) -> Turning:
        """(n, 2) places, (n,) degrees or below 0 for untold: then the nearest node, at once."""
        key = _key(points, heading)
        node, rest_s = np.empty(len(key), np.int32), np.empty(len(key), np.int32)
        is_new = np.ones(len(key), np.bool_)
        for known in self._known:
            new = np.flatnonzero(is_new)
            at, same = known.match(key[new], points[new], heading[new])
            old = new[same]
            node[old], rest_s[old], is_new[old] = known.node[at[same]], known.rest_s[at[same]], False
        if is_new.any():
            node[is_new], rest_s[is_new] = self._find(points[is_new], heading[is_new])
        self._known.append(_Known.of(key, points, heading, node, rest_s))
        return Turning(node, rest_s)

    def _find(self, points: Floats, heading: Ints) -> tuple[Ints, Ints]:
        node = np.empty(len(points), np.int32)
        rest_s = np.zeros(len(points), np.int32)
        told = heading >= 0
        node[~told], _ = self._roads.nearest_nodes(points[~told])
        metres = self._roads.plane.metres(points[told])
        near = self._nearest(_space(metres, heading[told].astype(np.float64)))
        arc = self._arc[near]
        node[told] = self._roads.arc_to[arc]
        rest_s[told] = np.rint((1 - self._share[near]) * self._roads.arc_time_s[arc])
        return node, rest_s

    def _nearest(self, places: Floats) -> Ints64:
        """(n, 4) → (n,) samples. Who is not near is looked for anew, everywhere."""
        near = np.empty(len(places), np.int64)
        northwards = np.argsort(places[:, 1])  # neighbours one after the other: the tree stays in the cache
        _, near[northwards] = self._tree.query(places[northwards], distance_upper_bound=_NEAR)
        far = np.flatnonzero(near == self._tree.n)
        if len(far):
            _, near[far] = self._tree.query(places[far])
        return near


class _Known(NamedTuple):
    """Rows of one call, by key."""

    key: Ints64
    points: Floats
    heading: Ints
    node: Ints
    rest_s: Ints

    @classmethod
    def of(cls, key: Ints64, *rows: Any) -> Self:
        order = np.argsort(key)
        return cls(key[order], *(row[order] for row in rows))

    def match(self, key: Ints64, points: Floats, heading: Ints) -> tuple[Ints64, npt.NDArray[np.bool_]]:
        """Where each row may stand here, and whether it is the very same; none if hardly one is."""
        if not self._find(key[:: len(key) // _PROBED + 1])[1].any():
            return np.zeros(len(key), np.int64), np.zeros(len(key), np.bool_)
        at, same = self._find(key)
        same &= (self.points[at] == points).all(axis=1) & (self.heading[at] == heading)
        return at, same

    def _find(self, key: Ints64) -> tuple[Ints64, npt.NDArray[np.bool_]]:
        if not len(self.key):
            return np.zeros(len(key), np.int64), np.zeros(len(key), np.bool_)
        at = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return at, self.key[at] == key


def _key(points: Floats, heading: Ints) -> Ints64:
    """(n,) a number for each row: equal rows have equal ones, and few others."""
    bits = np.ascontiguousarray(points).view(np.int64)
    key: Ints64 = (bits[:, 0] * 3 + bits[:, 1]) * 361 + heading
    return key


def _space(metres: Floats, heading: Floats) -> Floats:
    """(n, 2) and (n,) degrees → (n, 4): the nearest neighbour there is near and faces the same way."""
    turn = np.radians(heading)
    return np.column_stack((metres, _TURN_M * np.cos(turn), _TURN_M * np.sin(turn)))
