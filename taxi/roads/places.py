# SPDX-License-Identifier: Apache-2.0
"""Map matching: finds the arc that a car is on, and how far along, from its position and heading.

A car can't turn before the end of its arc. Its position on a one-way street and its heading decide whether a
rider beyond the junction is ten seconds away or four minutes.
"""

from collections import deque
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from taxi.roads.city import CityInfo
from taxi.roads.projection import LocalPlane

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int32]
Ints64: TypeAlias = npt.NDArray[np.int64]

_SAMPLE_M: Final = 10.0
_TURN_M: Final = 30.0
"""Weight of the heading: a difference of 90° counts as this many metres × √2."""
_NEAR: Final = 20.0
"""Nearly every car is within this distance of a sample; a search with this limit takes a third less time."""
_REMEMBERED: Final = 2
"""How many calls are cached: those of a batch, for idle drivers and for drivers on the way."""
_PROBED: Final = 64
"""How many rows are compared with a cached call before all are."""
_ROUGH_M: Final = 100.0
"""Up to this distance the one to the matched street is returned, although another street may be nearer."""


class Turning(NamedTuple):
    """The node where each of n cars can first turn, and when."""

    node: Ints
    """(n,) the node at the end of the current arc."""
    rest_s: Ints
    """(n,) driving time to that node, in whole seconds."""
    off_m: Floats
    """(n,) distance to the nearest street. The caller decides which distance is too large."""


class StreetGraph(Protocol):
    """What `Places` needs of a street network of m arcs (`taxi.roads.network.RoadNetwork`)."""

    @property
    def city(self) -> CityInfo: ...
    @property
    def n_arcs(self) -> int: ...
    @property
    def plane(self) -> LocalPlane: ...
    @property
    def arc_to(self) -> Ints: ...
    @property
    def arc_length_m(self) -> Floats: ...
    @property
    def arc_time_s(self) -> Floats: ...
    def nearest_nodes(self, points: npt.ArrayLike) -> tuple[Ints, Floats]: ...
    def along(self, arcs: npt.ArrayLike, metres: npt.ArrayLike) -> tuple[Floats, Floats]: ...


class Places:
    """Finds cars on a network by position and heading.

    It holds sample points every 10 m of each arc, in a tree over (x, y, heading). Building takes about 50 ms.
    """

    def __init__(self, roads: StreetGraph) -> None:
        self._roads = roads
        count = np.maximum(1, np.rint(roads.arc_length_m / _SAMPLE_M).astype(np.int64))
        self._arc = np.repeat(np.arange(roads.n_arcs, dtype=np.int32), count)
        nth = np.arange(len(self._arc)) - np.repeat(np.cumsum(count) - count, count)
        # Samples are in the middle of their pieces. So before a junction an arc that ends there is nearer
        # than the arc that continues straight on after it.
        self._share = (nth + 0.5) / count[self._arc]
        points, heading = roads.along(self._arc, self._share * roads.arc_length_m[self._arc])
        from scipy.spatial import cKDTree  # noqa: PLC0415 - a gateway boots without it

        self._tree = cKDTree(_space(roads.plane.metres(points), heading))
        self._known: deque[_Known] = deque(maxlen=_REMEMBERED)
        """The last calls: if many cars do not move, most rows of a call are repeated."""

    def turning(self, points: Floats, heading: Ints) -> Turning:
        """Find where cars can first turn.

        Args:
            points: (n, 2) longitude, latitude.
            heading: (n,) degrees clockwise from north, or below 0 if unknown. Then the result is the nearest
                node with `rest_s` 0.
        """
        key = _key(points, heading)
        node, rest_s = np.empty(len(key), np.int32), np.empty(len(key), np.int32)
        off_m = np.empty(len(key), np.float64)
        is_new = np.ones(len(key), np.bool_)
        for known in self._known:
            new = np.flatnonzero(is_new)
            at, same = known.match(key[new], points[new], heading[new])
            old = new[same]
            node[old], rest_s[old], off_m[old] = (
                known.node[at[same]],
                known.rest_s[at[same]],
                known.off_m[at[same]],
            )
            is_new[old] = False
        if is_new.any():
            node[is_new], rest_s[is_new], off_m[is_new] = self._find(points[is_new], heading[is_new])
        self._known.append(_Known.of(key, points, heading, node, rest_s, off_m))
        return Turning(node, rest_s, off_m)

    def off_m(self, points: npt.ArrayLike) -> Floats:
        """(n, 2) places → (n,) metres to the nearest sample of a street: exact to half a sample (5 m)."""
        distance_m, _ = self._flat_tree.query(self._roads.plane.metres(points))
        return np.asarray(distance_m, np.float64)

    def _find(self, points: Floats, heading: Ints) -> Turning:
        node = np.empty(len(points), np.int32)
        rest_s = np.zeros(len(points), np.int32)
        off_m = np.empty(len(points), np.float64)
        has_heading = heading >= 0
        node[~has_heading], off_m[~has_heading] = self._roads.nearest_nodes(points[~has_heading])
        metres = self._roads.plane.metres(points[has_heading])
        near = self._nearest(_space(metres, heading[has_heading].astype(np.float64)))
        arc = self._arc[near]
        node[has_heading] = self._roads.arc_to[arc]
        rest_s[has_heading] = np.rint((1 - self._share[near]) * self._roads.arc_time_s[arc])
        off_m[has_heading] = np.hypot(*(metres - self._tree.data[near, :2]).T)
        rough_m = min(_ROUGH_M, self._roads.city.snap_m_max)
        far = np.flatnonzero(off_m > rough_m)  # far from the node or the street in the right direction
        if len(far):
            off_m[far] = self.off_m(points[far])
        return Turning(node, rest_s, off_m)

    @cached_property
    def _flat_tree(self) -> "cKDTree":
        from scipy.spatial import cKDTree  # noqa: PLC0415 - a gateway boots without it

        return cKDTree(self._tree.data[:, :2])

    def _nearest(self, places: Floats) -> Ints64:
        """(n, 4) points of `_space` → (n,) nearest samples.

        Those without a near one are searched without limit.
        """
        near = np.empty(len(places), np.int64)
        northwards = np.argsort(places[:, 1])  # sorted by y, so that the tree's nodes stay in the CPU's cache
        _, near[northwards] = self._tree.query(places[northwards], distance_upper_bound=_NEAR)
        far = np.flatnonzero(near == self._tree.n)
        if len(far):
            _, near[far] = self._tree.query(places[far])
        return near


class _Known(NamedTuple):
    """The rows of one call and their results, sorted by key."""

    key: Ints64
    points: Floats
    heading: Ints
    node: Ints
    rest_s: Ints
    off_m: Floats

    @classmethod
    def of(cls, key: Ints64, *rows: Any) -> Self:
        order = np.argsort(key)
        return cls(key[order], *(row[order] for row in rows))

    def match(self, key: Ints64, points: Floats, heading: Ints) -> tuple[Ints64, npt.NDArray[np.bool_]]:
        """The index of the cached row with each row's key, and whether the rows are equal.

        If none of `_PROBED` rows has a cached key, all count as not equal, without a full comparison.
        """
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
    """(n,) a hash of each row: equal rows have equal hashes."""
    bits = np.ascontiguousarray(points).view(np.int64)
    key: Ints64 = (bits[:, 0] * 3 + bits[:, 1]) * 361 + heading
    return key


def _space(metres: Floats, heading: Floats) -> Floats:
    """(n, 2) metres and (n,) degrees → (n, 4) points whose distance combines place and heading."""
    turn = np.radians(heading)
    return np.column_stack((metres, _TURN_M * np.cos(turn), _TURN_M * np.sin(turn)))
