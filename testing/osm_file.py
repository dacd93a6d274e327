# SPDX-License-Identifier: Apache-2.0
"""Writes small OpenStreetMap files: a grid of streets, and whatever a test adds to it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

SIDE: Final = 6
STEP: Final = 0.001
WEST, SOUTH = 10.0, 50.0
_FIRST_EXTRA: Final = 1_000


@dataclass
class OsmFile:
    """A grid of SIDE × SIDE junctions, with streets "row 0" … and "column 0" …, all two-way.

    Junction (column, row) has the id 1 + row × SIDE + column and lies STEP degrees from its neighbours.
    """

    streets: dict[str, dict[str, str]] = field(default_factory=dict)
    """Name of a street → further tags; `highway` and `name`, too. An empty value removes the tag."""
    nodes: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Further nodes: id → (longitude, latitude)."""
    node_tags: dict[int, dict[str, str]] = field(default_factory=dict)
    ways: list[tuple[list[int], dict[str, str]]] = field(default_factory=list)
    """Further ways: (node ids, tags)."""
    bounds: tuple[float, float, float, float] | None = None
    """The box in the header."""
    has_grid: bool = True

    def add_node(self, column: float, row: float, **tags: str) -> int:
        """Add a node at a place of the grid. Returns its id."""
        number = _FIRST_EXTRA + len(self.nodes)
        self.nodes[number] = WEST + column * STEP, SOUTH + row * STEP
        self.node_tags[number] = tags
        return number

    def add_way(self, *nodes: int, **tags: str) -> None:
        """Add a way; a tag `maxspeed_` is written as `maxspeed`, and so on."""
        self.ways.append((list(nodes), {key.rstrip("_"): value for key, value in tags.items()}))

    def write(self, path: Path) -> Path:
        """Write the file. Returns its path."""
        root = ET.Element("osm", version="0.6", generator="taxistream tests")
        if self.bounds is not None:
            west, south, east, north = map(str, self.bounds)
            ET.SubElement(root, "bounds", {"minlon": west, "minlat": south, "maxlon": east, "maxlat": north})
        grid = {junction(c, r): (WEST + c * STEP, SOUTH + r * STEP) for c in range(SIDE) for r in range(SIDE)}
        for number, (lng, lat) in ((grid if self.has_grid else {}) | self.nodes).items():
            place = {"id": str(number), "lon": f"{lng:.7f}", "lat": f"{lat:.7f}"}
            node = ET.SubElement(root, "node", place | _VERSION)
            _tag(node, self.node_tags.get(number, {}))
        for number, (refs, tags) in enumerate([*(self._grid() if self.has_grid else ()), *self.ways], 1):
            way = ET.SubElement(root, "way", {"id": str(number)} | _VERSION)
            for ref in refs:
                ET.SubElement(way, "nd", ref=str(ref))
            _tag(way, tags)
        ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
        return path

    def _grid(self) -> list[tuple[list[int], dict[str, str]]]:
        rows = {f"row {r}": [junction(c, r) for c in range(SIDE)] for r in range(SIDE)}
        columns = {f"column {c}": [junction(c, r) for r in range(SIDE)] for c in range(SIDE)}
        return [
            (refs, {"highway": "residential", "name": name} | self.streets.get(name, {}))
            for name, refs in (rows | columns).items()
        ]


_VERSION: Final = {"version": "1", "timestamp": "2020-02-03T04:05:06Z"}


def junction(column: int, row: int) -> int:
    """The id of a junction of the grid."""
    return 1 + row * SIDE + column


def _tag(element: ET.Element, tags: dict[str, str]) -> None:
    for key, value in tags.items():
        if value:
            ET.SubElement(element, "tag", k=key, v=value)
