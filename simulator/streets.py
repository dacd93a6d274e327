# SPDX-License-Identifier: Apache-2.0
"""What a driver sees of the street network: where to turn, which side to keep to, how fast to go."""

from functools import cached_property
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from simulator.draws import Floats
from taxi.roads.network import RoadNetwork, TripDemand

Ints: TypeAlias = npt.NDArray[np.int32]
Bools: TypeAlias = npt.NDArray[np.bool_]

_PULL: Final = {"primary": 3.0, "secondary": 2.6, "tertiary": 1.6, "motorway": 0.02, "trunk": 0.1}
"""How much a cruising driver likes a street; others 1."""
_HALF_WIDTH_M: Final = {"motorway": 4.5, "trunk": 4.5, "primary": 4.0, "secondary": 3.6, "tertiary": 2.4}
"""From the centre line to the middle of the outer lane; others 1.6."""
_FREE: Final = ("motorway", "trunk")
_SWING: Final = 0.45
"""How much slower than its mean one drives at a junction, and faster between two."""
_SAMPLE_M: Final = 8.0


class Spots(NamedTuple):
    """Places on the network: an arc and a share of its driving time, 0 … 1."""

    arc: Ints
    share: Floats


class Streets:
    """Read-only tables over a RoadNetwork, indexed by arc. `demand` draws cruising drivers to riders."""

    def __init__(self, roads: RoadNetwork, demand: TripDemand) -> None:
        self.roads = roads
        self.demand = demand
        self.time_s = np.maximum(roads.arc_time_s, 0.1)
        self.length_m = roads.arc_length_m
        kind = [name.removesuffix("_link") for name in roads.classes]
        self.half_width_m = np.array([_HALF_WIDTH_M.get(k, 1.6) for k in kind])[roads.arc_class]
        self.swing = np.array([0.0 if k in _FREE else _SWING for k in kind])[roads.arc_class]
        self._pull = np.array([_PULL.get(k, 1.0) for k in kind])[roads.arc_class]
        pairs = roads.arc_from.astype(np.int64) * roads.n_nodes + roads.arc_to
        back = roads.arc_to.astype(np.int64) * roads.n_nodes + roads.arc_from
        self.two_way: Bools = np.isin(pairs, back)
        self._heading_in = roads.along(np.arange(roads.n_arcs), np.zeros(roads.n_arcs))[1]
        self._heading_out = roads.along(np.arange(roads.n_arcs), self.length_m)[1]

    # --- time and place along an arc --------------------------------------------------------------

    def metres(self, arc: Ints, share: Floats) -> Floats:
        """Metres driven on the arc after a share of its time: slow at the junctions, fast between."""
        swung = share - self.swing[arc] * np.sin(2 * np.pi * share) / (2 * np.pi)
        metres: Floats = self.length_m[arc] * swung
        return metres

    def share_at(self, arc: Ints, metres: Floats) -> Floats:
        """The inverse of `metres`, within some centimetres."""
        part = np.clip(metres / np.maximum(self.length_m[arc], 1e-9), 0, 1)
        swung = np.interp(part, self._swung, self._even)
        return np.where(self.swing[arc] > 0, swung, part)

    def speed(self, arc: Ints, share: Floats) -> Floats:
        """Metres a second at the pace of the traffic."""
        wave = 1 - self.swing[arc] * np.cos(2 * np.pi * share)
        speed: Floats = self.length_m[arc] / self.time_s[arc] * wave
        return speed

    def places(self, arc: Ints, share: Floats, side_m: Floats) -> tuple[Floats, Floats]:
        """Points (…, 2), `side_m` to the right of the centre line, and headings in degrees."""
        points, heading = self.roads.along(arc, self.metres(arc, share))
        plane, turn = self.roads.plane, np.radians(heading)
        points[..., 0] += side_m * np.cos(turn) / plane.m_per_lng
        points[..., 1] -= side_m * np.sin(turn) / plane.m_per_lat
        return points, heading

    def lane_m(self, arc: Ints, lane: Floats) -> Floats:
        """How far right of the centre line a driver keeps; `lane` in [0, 1) is a driver's own taste."""
        width = self.half_width_m[arc]
        return np.where(self.two_way[arc], width * (0.6 + 0.5 * lane), width * (1.6 * lane - 0.8))

    def kerb_m(self, arc: Ints) -> Floats:
        """Where one stops: right of the right lane."""
        kerb: Floats = self.half_width_m[arc] + 1.6
        return kerb

    # --- which way --------------------------------------------------------------------------------

    def towards(self, node: Ints, target: Ints) -> Ints:
        """The next arc of the fastest way; −1 where one is there."""
        return self.roads.next_arc(node, target)

    def stroll(self, arc: Ints, draw: Floats) -> Ints:
        """Where a cruising driver turns at the end of `arc`."""
        reached = (draw[:, None] >= self._turn_cumulative[arc]).sum(axis=1)
        chosen: Ints = self._turns[arc, np.minimum(reached, self._turns.shape[1] - 1)]
        return chosen

    @cached_property
    def ways_out(self) -> tuple[Ints, Ints]:
        """(n + 1) starts and (m) arcs: those that leave each node, ascending."""
        order = np.argsort(self.roads.arc_from, kind="stable").astype(np.int32)
        counts = np.bincount(self.roads.arc_from, minlength=self.roads.n_nodes)
        return np.concatenate(([0], np.cumsum(counts))).astype(np.int32), order

    @cached_property
    def _turns(self) -> Ints:
        """(m, widest) the arcs that follow each arc, padded with the last of them."""
        starts, arcs = self.ways_out
        first, end = starts[self.roads.arc_to], starts[self.roads.arc_to + 1]
        widest = int((end - first).max())
        slots: Ints = arcs[np.minimum(first[:, None] + np.arange(widest), end[:, None] - 1)]
        return slots

    @cached_property
    def _turn_cumulative(self) -> Floats:
        """(m, widest) cumulative chances of `_turns`."""
        starts, _ = self.ways_out
        choices = starts[self.roads.arc_to + 1] - starts[self.roads.arc_to]
        following = self._turns
        bend = np.radians(self._heading_in[following] - self._heading_out[:, None])
        straight_on = np.exp(1.5 * np.cos(bend))
        about = self.roads.arc_to[following] == self.roads.arc_from[:, None]
        weight = straight_on * self._attraction[following] * np.where(about, 0.01, 1.0)
        weight[np.arange(weight.shape[1]) >= choices[:, None]] = 0
        chances: Floats = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
        return chances

    @cached_property
    def _attraction(self) -> Floats:
        """How much a cruising driver likes to enter an arc: a large street, and up the slope of demand."""
        nodes = self.roads.plane.metres(self.roads.nodes)
        begun = np.bincount(self.demand.from_node, weights=self.demand.count, minlength=len(nodes))
        near = cKDTree(nodes).query_ball_point(nodes, 400.0)
        around = np.log(np.array([begun[ball].sum() for ball in near]) + 5.0)
        climb = around[self.roads.arc_to] - around[self.roads.arc_from]
        return self._pull * np.exp(np.clip(3.0 * climb, -1.5, 1.5))

    # --- from a point back to the street ----------------------------------------------------------

    def locate(self, points: Floats, heading: Floats) -> Spots:
        """The spots that points (n, 2) seen with these headings stand for, within some metres."""
        tree, arc_of, metres_of = self._samples
        near_m, near = tree.query(self.roads.plane.metres(points), k=min(16, len(arc_of)))
        arc, metres = arc_of[near], metres_of[near]
        seen = self.roads.along(arc, metres)[1]
        wrong_way = 1 - np.cos(np.radians(seen - heading[:, None]))
        best = np.argmin(near_m + 30.0 * wrong_way, axis=1)
        rows = np.arange(len(points))
        return Spots(arc[rows, best], self.share_at(arc[rows, best], metres[rows, best]))

    @cached_property
    def _samples(self) -> tuple[cKDTree, Ints, Floats]:
        """A point every few metres along every arc."""
        count = np.maximum(2, np.ceil(self.length_m / _SAMPLE_M).astype(np.int64) + 1)
        arc = np.repeat(np.arange(len(count), dtype=np.int32), count)
        nth = np.arange(len(arc)) - np.repeat(np.cumsum(count) - count, count)
        metres = self.length_m[arc] * nth / (count[arc] - 1)
        points, _ = self.roads.along(arc, metres)
        return cKDTree(self.roads.plane.metres(points)), arc, metres

    @cached_property
    def _even(self) -> Floats:
        return np.linspace(0, 1, 513)

    @cached_property
    def _swung(self) -> Floats:
        return self._even - _SWING * np.sin(2 * np.pi * self._even) / (2 * np.pi)
