# SPDX-License-Identifier: Apache-2.0
"""The street network of a city: where one can drive, how long it takes, which way one goes.

A directed graph. Nodes are junctions, arcs are one-way pieces of street between two of them; a two-way
street is two arcs. Places are (longitude, latitude) in degrees, times are seconds, lengths metres.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from taxi.roads_city import CityInfo, UnknownCityError, city_dir, city_names, load_city
from taxi.roads_demand import TripDemand
from taxi.roads_places import Places
from taxi.roads_projection import Floats, LocalPlane
from taxi.roads_tables import NO_ARC, Links, Tables, compute_tables, default_cache_dir, load_tables
from taxi.roads_zones import Zones

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
_NEAREST_KEPT = 50_000


@dataclass(frozen=True, eq=False, kw_only=True)
class RoadNetwork:
    """A strongly connected street network; n nodes, m arcs. Its arrays become read-only."""

    city: CityInfo
    nodes: Floats
    """(n, 2) longitude, latitude."""
    arc_from: Ints
    arc_to: Ints
    arc_length_m: Floats
    arc_time_s: Floats
    """Driving time in the city's traffic: free flow × travel time factor."""
    arc_class: npt.NDArray[np.uint8]
    """Index into `classes`."""
    classes: tuple[str, ...]
    """OpenStreetMap's `highway`, such as "primary"."""
    arc_name: Ints
    """Index into `street_names`."""
    street_names: tuple[str, ...]
    """The empty name is a street without one."""
    shape_start: Ints
    """(m + 1): arc `a` has the shape points shape_start[a] … shape_start[a + 1] − 1, at least two."""
    shape: Floats
    """(k, 2) longitude, latitude, from the arc's first node to its second."""
    cache_dir: Path | None = None
    """Where the all-pairs tables are kept; None: in memory only."""
    zones: Zones | None = None
    """None: nobody knows where riders are to be expected."""

    def __post_init__(self) -> None:
        """Freeze the arrays."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    def named(self, name: str) -> Self:
        """The same streets under another city's name."""
        return replace(self, city=msgspec.structs.replace(self.city, name=name))

    @classmethod
    def load(cls, city: str | Path = "manhattan", *, cache_dir: Path | None = None) -> Self:
        """Read a city by name, or from its folder. `cache_dir`: as `default_cache_dir` if None.

        Takes some 20 ms; the tables are mapped or computed when first asked for (see `prepare`).
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
        """Map or compute the tables now, before a service says that it is ready."""
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
        """Metres around the middle of the network."""
        west_south, east_north = self.nodes.min(axis=0), self.nodes.max(axis=0)
        lng, lat = ((west_south + east_north) / 2).tolist()
        return LocalPlane.around(lng, lat)

    def nearest_node(self, lng: float, lat: float) -> tuple[int, float]:
        """The node nearest to a point, and how far it is in metres. Raises ValueError for NaN."""
        known = self._nearest.get((lng, lat))
        if known is None:
            node, distance_m = self.nearest_nodes(np.array([[lng, lat]]))
            known = self._nearest[lng, lat] = int(node[0]), float(distance_m[0])
            if len(self._nearest) > _NEAREST_KEPT:
                self._nearest.clear()
        return known

    def nearest_nodes(self, points: npt.ArrayLike) -> tuple[Ints, Floats]:
        """(…, 2) points → nodes (…) and distances in metres (…). Raises ValueError for NaN."""
        distance_m, node = self._tree.query(self.plane.metres(points))
        return np.asarray(node, np.int32), np.asarray(distance_m, np.float64)

    def place(self, node: int) -> tuple[float, float]:
        """(longitude, latitude) of a node, to a decimetre."""
        lng, lat = self.nodes[node].tolist()
        return round(lng, 6), round(lat, 6)

    def contains(self, lng: float, lat: float) -> bool:
        """Whether a ride may start or end here: in the service area and near a street."""
        return self.city.in_bbox(lng, lat) and self.nearest_node(lng, lat)[1] <= self.city.snap_m_max

    # --- ways -------------------------------------------------------------------------------------

    def travel_time_s(self, from_nodes: npt.ArrayLike, to_nodes: npt.ArrayLike) -> Ints:
        """Shortest driving times; the arguments broadcast: `(drivers[:, None], pickups)` is a matrix."""
        return self._tables.time_s[_index(to_nodes), _index(from_nodes)].astype(np.int32)

    def trip(self, pickup: tuple[float, float], dropoff: tuple[float, float]) -> tuple[int, int]:
        """(node of the drop-off, driving time from the pickup in seconds). Remembered: trips are long."""
        known = self._trips.get((pickup, dropoff))
        if known is None:
            there = self.nearest_node(*dropoff)[0]
            time_s = int(self.travel_time_s(self.nearest_node(*pickup)[0], there))
            if len(self._trips) > _NEAREST_KEPT:
                self._trips.clear()
            known = self._trips[pickup, dropoff] = there, time_s
        return known

    def next_arc(self, from_nodes: npt.ArrayLike, to_nodes: npt.ArrayLike) -> Ints:
        """The first arc of each fastest way, −1 where one is there already. The arguments broadcast."""
        arc = self._tables.next_arc[_index(to_nodes), _index(from_nodes)].astype(np.int32)
        return np.where(arc == NO_ARC, np.int32(-1), arc)

    def route(self, from_node: int, to_node: int) -> Ints:
        """The arcs of the fastest way, in order; none if one is there already."""
        next_arc, arcs = self._tables.next_arc[to_node], []
        while from_node != to_node:
            arc = int(next_arc[from_node])
            arcs.append(arc)
            from_node = int(self.arc_to[arc])
        return np.array(arcs, np.int32)

    def length_m(self, arcs: npt.ArrayLike) -> float:
        """Length of a route."""
        return float(self.arc_length_m[np.asarray(arcs, np.int32)].sum())

    def time_s(self, arcs: npt.ArrayLike) -> float:
        """Driving time of a route."""
        return float(self.arc_time_s[np.asarray(arcs, np.int32)].sum())

    # --- along an arc -----------------------------------------------------------------------------

    def polyline(self, arc: int) -> tuple[Floats, Floats]:
        """An arc's shape: points (k, 2) and the metres driven at each, from 0 to its length."""
        points = slice(self.shape_start[arc], self.shape_start[arc + 1])
        return self.shape[points], self._shape_m[points] - self._shape_m[self.shape_start[arc]]

    def along(self, arcs: npt.ArrayLike, metres: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Where one is after so many metres on each arc: points (…, 2), headings (…).

        Headings are degrees clockwise from north, [0, 360). Metres are clipped to the arc.
        """
        arc = np.asarray(arcs, np.int32)
        start, end = self.shape_start[arc], self.shape_start[arc + 1] - 1
        driven = self._shape_m[start] + np.clip(metres, 0, self.arc_length_m[arc])
        piece = np.clip(np.searchsorted(self._shape_m, driven, side="right") - 1, start, end - 1)
        piece_m = self._shape_m[piece + 1] - self._shape_m[piece]
        share = np.clip((driven - self._shape_m[piece]) / np.maximum(piece_m, 1e-9), 0, 1)
        points = self.shape[piece] + share[..., None] * (self.shape[piece + 1] - self.shape[piece])
        return points, self._heading[piece]

    @cached_property
    def _nearest(self) -> dict[tuple[float, float], tuple[int, float]]:
        """What was asked before: rides begin and end at few places, and are looked at often."""
        return {}

    @cached_property
    def _trips(self) -> dict[tuple[tuple[float, float], tuple[float, float]], tuple[int, int]]:
        return {}

    @cached_property
    def places(self) -> Places:
        """Finds cars by position and heading."""
        return Places(self)

    @cached_property
    def _shape_m(self) -> Floats:
        """(k,) Metres driven at each shape point, all arcs laid end to end: it never goes back."""
        steps = np.hypot(*np.diff(self.plane.metres(self.shape), axis=0).T)
        arc_of_step = np.repeat(np.arange(self.n_arcs), np.diff(self.shape_start))[:-1]
        steps[self.shape_start[1:-1] - 1] = 0  # from the end of one arc to the start of the next
        drawn_m = np.bincount(arc_of_step, weights=steps, minlength=self.n_arcs)
        scale = self.arc_length_m / np.maximum(drawn_m, 1e-9)  # what is drawn is shorter than what is driven
        return np.concatenate(([0.0], np.cumsum(steps * scale[arc_of_step])))

    @cached_property
    def _heading(self) -> Floats:
        """(k − 1,) Degrees from each shape point to the next."""
        east, north = np.diff(self.plane.metres(self.shape), axis=0).T
        heading: Floats = np.degrees(np.arctan2(east, north)) % 360
        return heading

    @cached_property
    def _tree(self) -> "cKDTree":
        from scipy.spatial import cKDTree  # noqa: PLC0415 - a gateway boots without it

        return cKDTree(self.plane.metres(self.nodes))

    @cached_property
    def _tables(self) -> Tables:
        links = Links(self.n_nodes, self.arc_from, self.arc_to, self.arc_time_s)
        if self.cache_dir is None:
            return compute_tables(links)
        return load_tables(links, self.city.name, self.cache_dir)


def _index(nodes: npt.ArrayLike) -> npt.NDArray[np.intp]:
    return np.asarray(nodes, np.intp)
