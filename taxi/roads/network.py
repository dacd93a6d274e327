# SPDX-License-Identifier: Apache-2.0
"""The street network of a city: a directed graph with travel times, routes and positions along streets.

Nodes are junctions. Arcs are one-way pieces of street between two nodes; a two-way street is two arcs. Nodes
and arcs are referred to by index. Places are (longitude, latitude) in degrees, times are in seconds, lengths
in metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from taxi.roads.city import CityInfo, UnknownCityError, city_dir, city_names, load_city
from taxi.roads.demand import TripDemand
from taxi.roads.places import Places
from taxi.roads.projection import Floats, LocalPlane
from taxi.roads.tables import NO_ARC, Links, Tables, compute_tables, default_cache_dir, load_tables
from taxi.roads.zones import Zones

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

__all__ = [
    "CityInfo",
    "LocalPlane",
    "RoadNetwork",
    "TripDemand",
    "UnknownCityError",
    "Zones",
    "city_dir",
    "city_names",
    "load_city",
]

Ints: TypeAlias = npt.NDArray[np.int32]
NEAREST_KEPT_MAX = 50_000
"""Places whose nearest node is cached, and trips whose time is."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RoadNetwork:
    """A strongly connected street network with n nodes, m arcs and k shape points.

    Immutable: the constructor makes its arrays read-only. Trees and tables are computed at first use and
    kept.
    """

    city: CityInfo
    nodes: Floats
    """(n, 2) longitude, latitude."""
    arc_from: Ints
    """(m,) the node where the arc begins."""
    arc_to: Ints
    """(m,) the node where it ends."""
    arc_length_m: Floats
    """(m,) length as driven."""
    arc_time_s: Floats
    """(m,) driving time in the city's traffic: free flow × travel time factor."""
    arc_class: npt.NDArray[np.uint8]
    """(m,) index into `classes`."""
    classes: tuple[str, ...]
    """Values of OpenStreetMap's tag `highway`, such as "primary"."""
    arc_name: Ints
    """(m,) index into `street_names`."""
    street_names: tuple[str, ...]
    """Names of streets; the empty name is for streets without one."""
    shape_start: Ints
    """(m + 1,) arc `a` has the shape points shape_start[a] … shape_start[a + 1] − 1, at least two."""
    shape: Floats
    """(k, 2) longitude, latitude, from the arc's first node to its second."""
    cache_dir: Path | None = None
    """The folder of the all-pairs tables; None: they are kept in memory only."""
    zones: Zones | None = None
    """Demand by zone; None if the city has no such data."""

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    def named(self, name: str) -> Self:
        """A copy with another city name and the same streets."""
        return replace(self, city=msgspec.structs.replace(self.city, name=name))

    @classmethod
    def load(cls, city: str | Path = "manhattan", *, cache_dir: Path | None = None) -> Self:
        """Read a city.

        It takes about 20 ms. The tables are mapped or computed at their first use (see `prepare`).

        Args:
            city: Its name, or its folder.
            cache_dir: The folder of the all-pairs tables; `default_cache_dir()` if None.

        Raises:
            UnknownCityError: There is no such city.
        """
        info = load_city(city)
        with np.load(city_dir(city) / "graph.npz", allow_pickle=False) as graph:
            return cls(
                city=info,
                nodes=graph["node_e7"] / 1e7,
                arc_from=graph["arc_from"].astype(np.int32),
                arc_to=graph["arc_to"].astype(np.int32),
                arc_length_m=graph["length_m"].astype(np.float64),
                arc_time_s=graph["time_s"].astype(np.float64) * info.travel_time_factor,
                arc_class=graph["arc_class"],
                classes=tuple(graph["classes"].tolist()),
                arc_name=graph["arc_name"].astype(np.int32),
                street_names=tuple(graph["street_names"].tolist()),
                shape_start=graph["shape_start"].astype(np.int32),
                shape=graph["shape_e7"] / 1e7,
                cache_dir=cache_dir or default_cache_dir(),
                zones=Zones.load(city),
            )

    def prepare(self) -> Self:
        """Map or compute tables and trees now, so that a ready service does not wait for them.

        Returns self.
        """
        _ = self._tables, self._tree, self.places
        return self

    # --- places -----------------------------------------------------------------------------------

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.nodes)

    @property
    def n_arcs(self) -> int:
        """Number of arcs."""
        return len(self.arc_from)

    @cached_property
    def plane(self) -> LocalPlane:
        """A plane in metres, with its origin in the middle of the network."""
        west_south, east_north = self.nodes.min(axis=0), self.nodes.max(axis=0)
        lng, lat = ((west_south + east_north) / 2).tolist()
        return LocalPlane.around(lng, lat)

    def nearest_node(self, lng: float, lat: float) -> tuple[int, float]:
        """The node nearest to a point, and its distance in metres. Cached. Raises ValueError for NaN."""
        known = self._nearest.get((lng, lat))
        if known is None:
            node, distance_m = self.nearest_nodes(np.array([[lng, lat]]))
            known = self._nearest[lng, lat] = int(node[0]), float(distance_m[0])
            if len(self._nearest) > NEAREST_KEPT_MAX:
                self._nearest.clear()
        return known

    def nodes_of(self, places: Sequence[tuple[float, float]]) -> Ints:
        """(n,) the node nearest to each place. Places that are not cached yet are looked up together."""
        known = self._nearest
        new = list(dict.fromkeys(place for place in places if place not in known))
        if new:
            if len(known) + len(new) > NEAREST_KEPT_MAX:
                known.clear()
                new = list(dict.fromkeys(places))
            node, distance_m = self.nearest_nodes(np.array(new))
            known.update(zip(new, zip(node.tolist(), distance_m.tolist(), strict=True), strict=True))
        return np.fromiter((known[place][0] for place in places), np.int32, len(places))

    def nearest_nodes(self, points: npt.ArrayLike) -> tuple[Ints, Floats]:
        """(…, 2) points → (…) nearest nodes and (…) distances in metres. Raises ValueError for NaN."""
        distance_m, node = self._tree.query(self.plane.metres(points))
        return np.asarray(node, np.int32), np.asarray(distance_m, np.float64)

    def place(self, node: int) -> tuple[float, float]:
        """(longitude, latitude) of a node, rounded to 6 digits, about a decimetre."""
        lng, lat = self.nodes[node].tolist()
        return round(lng, 6), round(lat, 6)

    def contains(self, lng: float, lat: float) -> bool:
        """Whether a ride may begin or end here: in the service area and near enough to a node."""
        return self.city.in_bbox(lng, lat) and self.nearest_node(lng, lat)[1] <= self.city.snap_m_max

    # --- ways -------------------------------------------------------------------------------------

    def travel_time_s(self, from_nodes: npt.ArrayLike, to_nodes: npt.ArrayLike) -> Ints:
        """Shortest driving times in whole seconds, in the arguments' broadcast shape.

        `travel_time_s(drivers[:, None], pickups[None, :])` is an (n_drivers, n_pickups) matrix.
        """
        return self._tables.time_s[_index(to_nodes), _index(from_nodes)].astype(np.int32)

    def trip(self, pickup: tuple[float, float], dropoff: tuple[float, float]) -> tuple[int, int]:
        """(node of the drop-off, driving time from the pickup in seconds).

        Cached, as it is asked repeatedly.
        """
        known = self._trips.get((pickup, dropoff))
        if known is None:
            there = self.nearest_node(*dropoff)[0]
            time_s = int(self.travel_time_s(self.nearest_node(*pickup)[0], there))
            if len(self._trips) > NEAREST_KEPT_MAX:
                self._trips.clear()
            known = self._trips[pickup, dropoff] = there, time_s
        return known

    def next_arc(self, from_nodes: npt.ArrayLike, to_nodes: npt.ArrayLike) -> Ints:
        """The first arc of each fastest route, −1 if the nodes are equal. The arguments broadcast."""
        arc = self._tables.next_arc[_index(to_nodes), _index(from_nodes)].astype(np.int32)
        return np.where(arc == NO_ARC, np.int32(-1), arc)

    def route(self, from_node: int, to_node: int) -> Ints:
        """The arcs of the fastest route, in order; empty if the nodes are equal."""
        next_arc, arcs = self._tables.next_arc[to_node], []
        while from_node != to_node:
            arc = int(next_arc[from_node])
            arcs.append(arc)
            from_node = int(self.arc_to[arc])
        return np.array(arcs, np.int32)

    def length_m(self, arcs: npt.ArrayLike) -> float:
        """The length of a route in metres."""
        return float(self.arc_length_m[np.asarray(arcs, np.int32)].sum())

    def time_s(self, arcs: npt.ArrayLike) -> float:
        """The driving time of a route in seconds."""
        return float(self.arc_time_s[np.asarray(arcs, np.int32)].sum())

    # --- along an arc -----------------------------------------------------------------------------

    def polyline(self, arc: int) -> tuple[Floats, Floats]:
        """An arc's shape: (p, 2) points, and (p,) metres driven at each, from 0 to the arc's length."""
        points = slice(self.shape_start[arc], self.shape_start[arc + 1])
        return self.shape[points], self._shape_m[points] - self._shape_m[self.shape_start[arc]]

    def along(self, arcs: npt.ArrayLike, metres: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Positions after some metres on arcs.

        Args:
            arcs: (…) arcs.
            metres: (…) metres driven on each; clipped to [0, length of the arc].

        Returns:
            (…, 2) points, and (…) headings in degrees clockwise from north, [0, 360).
        """
        arc = np.asarray(arcs, np.int32)
        start, end = self.shape_start[arc], self.shape_start[arc + 1] - 1  # first and last shape point
        # `_shape_m` never decreases over all arcs, so one search finds the piece between two shape points.
        driven = self._shape_m[start] + np.clip(metres, 0, self.arc_length_m[arc])
        piece = np.clip(np.searchsorted(self._shape_m, driven, side="right") - 1, start, end - 1)
        piece_m = self._shape_m[piece + 1] - self._shape_m[piece]
        share = np.clip((driven - self._shape_m[piece]) / np.maximum(piece_m, 1e-9), 0, 1)
        points = self.shape[piece] + share[..., None] * (self.shape[piece + 1] - self.shape[piece])
        return points, self._heading[piece]

    @cached_property
    def _nearest(self) -> dict[tuple[float, float], tuple[int, float]]:
        """Cache of `nearest_node`: place → (node, metres). The places of a ride are asked for repeatedly."""
        return {}

    @cached_property
    def _trips(self) -> dict[tuple[tuple[float, float], tuple[float, float]], tuple[int, int]]:
        return {}

    @cached_property
    def places(self) -> Places:
        """The index that finds cars by position and heading."""
        return Places(self)

    @cached_property
    def _shape_m(self) -> Floats:
        """(k,) metres driven at each shape point if all arcs are joined end to end; it never decreases."""
        steps = np.hypot(*np.diff(self.plane.metres(self.shape), axis=0).T)
        arc_of_step = np.repeat(np.arange(self.n_arcs), np.diff(self.shape_start))[:-1]
        steps[self.shape_start[1:-1] - 1] = 0  # from the end of one arc to the start of the next
        drawn_m = np.bincount(arc_of_step, weights=steps, minlength=self.n_arcs)
        scale = self.arc_length_m / np.maximum(drawn_m, 1e-9)  # the drawn shape is shorter than the arc
        return np.concatenate(([0.0], np.cumsum(steps * scale[arc_of_step])))

    @cached_property
    def _heading(self) -> Floats:
        """(k − 1,) heading from each shape point to the next, in degrees clockwise from north."""
        east, north = np.diff(self.plane.metres(self.shape), axis=0).T
        heading: Floats = np.degrees(np.arctan2(east, north)) % 360
        return heading

    @cached_property
    def _tree(self) -> "cKDTree":
        from scipy.spatial import cKDTree  # noqa: PLC0415 - a gateway starts without it

        return cKDTree(self.plane.metres(self.nodes))

    @cached_property
    def _tables(self) -> Tables:
        links = Links(self.n_nodes, self.arc_from, self.arc_to, self.arc_time_s)
        if self.cache_dir is None:
            return compute_tables(links)
        return load_tables(links, self.city.name, self.cache_dir)


def _index(nodes: npt.ArrayLike) -> npt.NDArray[np.intp]:
    return np.asarray(nodes, np.intp)
