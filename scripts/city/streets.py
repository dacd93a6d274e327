# SPDX-License-Identifier: Apache-2.0
"""The drive network as the archive has it, repaired: reverse arcs restored, one connected whole kept."""

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from taxi.roads.network import LocalPlane
from taxi.roads.projection import Floats

NETWORK = "nrel/hive/resources/scenarios/manhattan/road_network/manhattan_network.json"
CENTER = (-73.97, 40.78)
PLANE = LocalPlane.around(*CENTER)

FREE_FLOW_KMH = {
    "motorway": 70,
    "motorway_link": 40,
    "trunk": 55,
    "trunk_link": 35,
    "primary": 30,
    "primary_link": 24,
    "secondary": 28,
    "secondary_link": 22,
    "tertiary": 25,
    "tertiary_link": 20,
    "residential": 20,
    "unclassified": 18,
    "living_street": 10,
}
JUNCTION_S = 6.0
"""Lost at the end of every arc that ends at a crossing, so not on motorways and trunk roads."""


@dataclass(frozen=True, slots=True)
class Arc:
    """A one-way piece of street between two junctions."""

    tail: int
    head: int
    length_m: float
    road_class: str
    name: str
    tunnel: bool
    reversible: bool
    """Two-way by its tags, so that the arc back belongs here too."""
    limit_kmh: float = math.inf
    """The posted speed limit, if it is known."""
    junction_s: float = JUNCTION_S
    """Lost at the crossing at its end, if its road has crossings."""

    def turned_round(self) -> "Arc":
        """The same street the other way."""
        return replace(self, tail=self.head, head=self.tail)

    @property
    def time_s(self) -> float:
        """Free flow, with the junction at its end."""
        junction_s = 0.0 if self.road_class.startswith(("motorway", "trunk")) else self.junction_s
        speed_kmh = min(FREE_FLOW_KMH[self.road_class], self.limit_kmh)
        return self.length_m / (speed_kmh / 3.6) + junction_s


@dataclass(frozen=True, slots=True)
class Streets:
    """Junctions (n, 2) in degrees and in metres, and arcs between them."""

    nodes: Floats
    arcs: list[Arc]
    restored: int
    """How many arcs back the archive lacked."""
    plane: LocalPlane = PLANE
    """The plane in metres that shapes and layers of this city are made on."""

    @property
    def metres(self) -> Floats:
        """The junctions on the plane."""
        return self.plane.metres(self.nodes)


def repaired(network: dict[str, Any]) -> Streets:
    """Read, restore the reverse arcs, keep the largest strongly connected part, number it densely."""
    index = {node["id"]: i for i, node in enumerate(network["nodes"])}
    nodes = np.array([(node["x"], node["y"]) for node in network["nodes"]])
    arcs = [_arc(link, index) for link in network["links"]]
    restored = list(_missing_reverse(arcs))
    arcs = sorted([*arcs, *restored], key=lambda arc: (arc.tail, arc.head, arc.length_m, arc.name))
    kept, inside = largest_part(len(nodes), arcs)
    return Streets(nodes[kept], inside, len(restored))


def _arc(link: dict[str, Any], index: dict[int, int]) -> Arc:
    road_class = _first(link["highway"])
    one_way = link.get("oneway") not in (None, "no") or link.get("junction") == "roundabout"
    return Arc(
        tail=index[link["source"]],
        head=index[link["target"]],
        length_m=link["length"],
        road_class=road_class,
        name=_first(link.get("name")) or "",
        tunnel=link.get("tunnel") not in (None, "no"),
        reversible=not one_way and not road_class.startswith("motorway"),
    )


def _first(value: Any) -> Any:
    """A merged street has a list of tags, in this file sometimes as Python's text of one."""
    if isinstance(value, str) and value.startswith("["):
        value = ast.literal_eval(value)
    return value[0] if isinstance(value, list) else value


def _missing_reverse(arcs: list[Arc]) -> Iterator[Arc]:
    """The arcs that the file lacks: it was saved as if all streets were one-way, unlike its tags."""
    there = {(arc.tail, arc.head) for arc in arcs}
    for arc in arcs:
        back = (arc.head, arc.tail)
        if arc.reversible and back not in there:
            there.add(back)
            yield arc.turned_round()


def largest_part(n_nodes: int, arcs: list[Arc]) -> tuple[npt.NDArray[np.bool_], list[Arc]]:
    """Which nodes are kept, and the arcs among them in the new numbers."""
    tails, heads = [arc.tail for arc in arcs], [arc.head for arc in arcs]
    graph = csr_array((np.ones(len(arcs)), (tails, heads)), shape=(n_nodes, n_nodes))
    _, part = connected_components(graph, directed=True, connection="strong")
    kept = part == np.bincount(part).argmax()
    number = np.cumsum(kept) - 1
    inside = [
        replace(arc, tail=int(number[arc.tail]), head=int(number[arc.head]))
        for arc in arcs
        if kept[arc.tail] and kept[arc.head]
    ]
    return kept, inside
