# SPDX-License-Identifier: Apache-2.0
"""The drive network of an OpenStreetMap extract: one strongly connected whole, with the shapes of its arcs.

1. Ways that cars may use are cut at the extract's bounds and at missing nodes (`_pieces`).
2. Pieces are split where they meet (`_split`); each part is one arc, or two if the street is two-way.
3. The largest strongly connected part is kept.
4. Nodes where a street only continues are removed, and their arcs joined (`_Chains`).

Turn restrictions are not used: the routes of `taxi/roads` go from node to node.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from scripts.city.extract import Box, Extract, ExtractError, Tags, Way
from scripts.city.streets import FREE_FLOW_KMH, JUNCTION_S, Arc, Streets, largest_part
from taxi.roads.projection import Floats, LocalPlane

NODES_MAX: Final = 10_000
"""The tables of travel times have n × n entries of 4 bytes: 400 MB for this many."""
NODES_MIN: Final = 20
"""A smaller network is no city."""
_FULL_JUNCTION_M: Final = 60.0
"""Shorter arcs lose a part of JUNCTION_S: two carriageways that cross two others are one junction."""
_CLOSED: Final = frozenset({"no", "private", "agricultural", "forestry", "delivery", "customers", "military"})
_OPEN: Final = frozenset({"yes", "permissive", "designated", "destination"})
_ACCESS: Final = ("taxi", "motorcar", "motor_vehicle", "vehicle", "access")
"""The most specific one decides."""
_MILES_KMH: Final = 1.609344
_TOLERANCE_DEG: Final = 1e-9

Point = tuple[int, float, float]
"""(node id, longitude, latitude)."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An arc and its shape, (k, 2) metres on the plane."""

    arc: Arc
    shape: Floats


def osm_streets(extract: Extract) -> tuple[Streets, list[Floats]]:
    """Make the network, and the shape of each arc.

    Raises:
        ExtractError: There are no roads for cars, too few that are connected, or too many.
    """
    west, south, east, north = extract.bounds
    plane = LocalPlane.around((west + east) / 2, (south + north) / 2)
    pieces = [piece for way in extract.highways for piece in _pieces(way, extract.bounds)]
    if not pieces:
        raise ExtractError(
            f"{extract.path}: contains no roads for cars (ways with highway=residential, primary, …) within "
            f"{','.join(f'{degrees:.4f}' for degrees in extract.bounds)}. Was the extract made without them?"
        )
    nodes, drawn = _split(pieces, plane)
    nodes, drawn = _connected(nodes, drawn)
    nodes, drawn = _Chains(len(nodes), drawn).joined(nodes)
    crossings = _crossings(drawn)
    drawn = [Drawn(_at_junctions(each.arc, crossings), each.shape) for each in drawn]
    if len(nodes) < NODES_MIN:
        raise ExtractError(
            f"{extract.path}: only {len(nodes)} junctions can be reached from each other; a city needs "
            f"{NODES_MIN}. A larger extract is wanted."
        )
    if len(nodes) > NODES_MAX:
        raise ExtractError(
            f"{extract.path}: {len(nodes):,} junctions; a city has at most {NODES_MAX:,}, because of its "
            "tables of travel times. Choose a part of it with --bbox WEST,SOUTH,EAST,NORTH."
        )
    drawn.sort(key=lambda each: (each.arc.tail, each.arc.head, each.arc.length_m, each.arc.name))
    streets = Streets(nodes, [each.arc for each in drawn], restored=0, plane=plane)
    return streets, [each.shape for each in drawn]


# --- which ways, and which way round ------------------------------------------------------------------


def may_drive(tags: Tags) -> bool:
    """Whether a taxi may use a way: its class is one of FREE_FLOW_KMH, and no tag forbids it."""
    if tags.get("highway") not in FREE_FLOW_KMH or tags.get("area") == "yes":
        return False
    for key in _ACCESS:
        if key in tags:
            value = tags[key].split(";")[0].strip()
            if value in _CLOSED:
                return False
            if value in _OPEN:
                return True
    return True


def directions(tags: Tags) -> tuple[bool, bool]:
    """Whether one may drive (forwards, backwards) along a way.

    A roundabout and a motorway are one-way unless they say otherwise. A way whose direction changes with the
    hour (`reversible`, `alternating`) is not used.
    """
    road_class = tags.get("highway", "")
    implied = tags.get("junction") in {"roundabout", "circular"} or road_class in {
        "motorway",
        "motorway_link",
    }
    match tags.get("oneway", "yes" if implied else "no"):
        case "yes" | "true" | "1":
            return True, False
        case "-1" | "reverse":
            return False, True
        case "reversible" | "alternating":
            return False, False
        case _:
            return True, True


def limit_kmh(tags: Tags) -> float:
    """The posted speed limit, infinite if it is missing or is no number of km/h or mph."""
    text = tags.get("maxspeed", "").split(";")[0].strip()
    number, _, unit = text.partition(" ")
    try:
        limit = float(number)
    except ValueError:
        return np.inf
    if unit not in {"", "km/h", "kmh", "mph"} or not 0 < limit < np.inf:
        return np.inf
    return limit * _MILES_KMH if unit == "mph" else limit


def _pieces(way: Way, bounds: Box) -> Iterator[tuple[Tags, list[Point]]]:
    """The parts of a way within the bounds, all of whose nodes are known; none if it is closed to cars."""
    if not may_drive(way.tags) or directions(way.tags) == (False, False):
        return
    run: list[Point] = []
    for node in way.nodes:
        if node is None or not _is_within(node, bounds):
            if len(run) > 1:
                yield way.tags, run
            run = []
        elif not run or run[-1][0] != node[0]:
            run.append(node)
    if len(run) > 1:
        yield way.tags, run


def _is_within(node: Point, bounds: Box) -> bool:
    west, south, east, north = bounds
    _, lng, lat = node
    e = _TOLERANCE_DEG
    return west - e <= lng <= east + e and south - e <= lat <= north + e


# --- from ways to arcs --------------------------------------------------------------------------------


def _split(pieces: list[tuple[Tags, list[Point]]], plane: LocalPlane) -> tuple[Floats, list[Drawn]]:
    """Split pieces at nodes that several share. Returns the nodes (n, 2) in degrees, and the arcs."""
    uses = Counter(point[0] for _, run in pieces for point in run)
    for _, run in pieces:
        uses.update((run[0][0], run[-1][0]))
    number: dict[int, int] = {}
    degrees: list[tuple[float, float]] = []
    drawn: list[Drawn] = []
    for tags, run in pieces:
        for part in _parts(run, uses):
            ends = []
            for node, lng, lat in (part[0], part[-1]):
                if node not in number:
                    number[node] = len(degrees)
                    degrees.append((lng, lat))
                ends.append(number[node])
            shape = plane.metres([(lng, lat) for _, lng, lat in part])
            drawn.extend(_both_ways(tags, ends[0], ends[1], shape))
    return np.array(degrees), drawn


def _parts(run: list[Point], uses: Counter[int]) -> Iterator[list[Point]]:
    """Split a run at shared nodes; a part that ends where it begins (a loop) is split in its middle, too."""
    part = [run[0]]
    for point in run[1:]:
        part.append(point)
        if uses[point[0]] > 1:
            if part[0][0] == point[0] and len(part) > 2:
                middle = len(part) // 2
                yield part[: middle + 1]
                part = part[middle:]
            yield part
            part = [point]


def _both_ways(tags: Tags, tail: int, head: int, shape: Floats) -> Iterator[Drawn]:
    length_m = _length_m(shape)
    if tail == head or length_m <= 0:
        return
    forwards, backwards = directions(tags)
    arc = Arc(
        tail=tail,
        head=head,
        length_m=length_m,
        road_class=tags["highway"],
        name=tags.get("name", "").strip(),
        tunnel=tags.get("tunnel", "no") not in {"no", "building_passage"},
        reversible=forwards and backwards,
        limit_kmh=limit_kmh(tags),
    )
    if forwards:
        yield Drawn(arc, shape)
    if backwards:
        yield Drawn(arc.turned_round(), shape[::-1])


def _length_m(shape: Floats) -> float:
    return float(np.hypot(*np.diff(shape, axis=0).T).sum())


def _connected(nodes: Floats, drawn: list[Drawn]) -> tuple[Floats, list[Drawn]]:
    """The largest strongly connected part, its nodes numbered from 0."""
    kept, _ = largest_part(len(nodes), [each.arc for each in drawn])
    number = np.cumsum(kept) - 1
    inside = [
        Drawn(replace(each.arc, tail=int(number[each.arc.tail]), head=int(number[each.arc.head])), each.shape)
        for each in drawn
        if kept[each.arc.tail] and kept[each.arc.head]
    ]
    return nodes[kept], inside


def _crossings(drawn: Iterable[Drawn]) -> set[int]:
    """Nodes with three neighbours or more."""
    neighbours: dict[int, set[int]] = defaultdict(set)
    for each in drawn:
        neighbours[each.arc.tail].add(each.arc.head)
        neighbours[each.arc.head].add(each.arc.tail)
    return {node for node, around in neighbours.items() if len(around) > 2}


def _at_junctions(arc: Arc, crossings: set[int]) -> Arc:
    """The arc with the time that is lost at its end."""
    share = min(1.0, arc.length_m / _FULL_JUNCTION_M) if arc.head in crossings else 0.0
    return replace(arc, junction_s=JUNCTION_S * share)


class _Chains:
    """Joins arcs where a street only continues: a node with two neighbours, and one street on both sides."""

    def __init__(self, n_nodes: int, drawn: list[Drawn]) -> None:
        self._into: list[list[Drawn]] = [[] for _ in range(n_nodes)]
        self._out: list[list[Drawn]] = [[] for _ in range(n_nodes)]
        for each in drawn:
            self._add(each)

    def joined(self, nodes: Floats) -> tuple[Floats, list[Drawn]]:
        """Join whatever can be. Returns the nodes that are left, numbered from 0, and the arcs."""
        for node in range(len(nodes)):
            self._join(node)
        left = [each for leaving in self._out for each in leaving]
        kept = np.zeros(len(nodes), np.bool_)
        kept[[each.arc.tail for each in left]] = True
        number = np.cumsum(kept) - 1
        return nodes[kept], [
            Drawn(
                replace(each.arc, tail=int(number[each.arc.tail]), head=int(number[each.arc.head])),
                each.shape,
            )
            for each in left
        ]

    def _join(self, node: int) -> None:
        into, out = self._into[node], self._out[node]
        neighbours = {each.arc.tail for each in into} | {each.arc.head for each in out}
        if len(neighbours) != 2 or len(into) != len(out) or len(into) > 2:
            return
        pairs = [(a, b) for a in into for b in out if a.arc.tail != b.arc.head]
        if len(pairs) != len(into) or not all(_is_same_street(a.arc, b.arc) for a, b in pairs):
            return
        for one, other in pairs:
            if any(each.arc.head == other.arc.head for each in self._out[one.arc.tail]):
                return  # there is such an arc already, and of parallel arcs only the fastest is driven
        for each in (*into, *out):
            self._remove(each)
        for one, other in pairs:
            arc = replace(one.arc, head=other.arc.head, length_m=one.arc.length_m + other.arc.length_m)
            self._add(Drawn(arc, np.concatenate((one.shape, other.shape[1:]))))

    def _add(self, each: Drawn) -> None:
        self._out[each.arc.tail].append(each)
        self._into[each.arc.head].append(each)

    def _remove(self, each: Drawn) -> None:
        self._out[each.arc.tail] = [other for other in self._out[each.arc.tail] if other is not each]
        self._into[each.arc.head] = [other for other in self._into[each.arc.head] if other is not each]


def _is_same_street(one: Arc, other: Arc) -> bool:
    alike = [(arc.road_class, arc.name, arc.tunnel, arc.reversible, arc.limit_kmh) for arc in (one, other)]
    return alike[0] == alike[1]
