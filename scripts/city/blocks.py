# SPDX-License-Identifier: Apache-2.0
"""`blocks.geojson`: the land between the streets, derived from them, so their licence holds here too."""

from shapely import simplify
from shapely.geometry import LineString
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from scripts.city.outputs import Feature
from scripts.city.planes import to_degrees, to_metres
from scripts.city.polygons import polygons
from scripts.city.streets import Streets
from taxi.roads.projection import Floats

_HALF_WIDTH_M = {"motorway": 11.0, "trunk": 10.0, "primary": 9.0, "secondary": 8.0, "tertiary": 6.5}
_HALF_WIDTH_M_ELSE = 5.5
_PARK_EDGE_M = 4.0
_AREA_M2_MIN = 250.0
_TOLERANCE_M = 0.8


def blocks(
    ground: BaseGeometry, parks: list[Feature], streets: Streets, shapes: list[Floats]
) -> list[Feature]:
    """Land minus streets minus parks, slivers left out, from north to south. `ground`: in degrees."""
    network = unary_union([LineString(shape) for shape in shapes])
    land = to_metres(ground, streets.plane)
    driven = unary_union([island for island in polygons(land) if island.intersects(network)])
    green = unary_union([to_metres(area, streets.plane) for area, p in parks if p["kind"] == "park"])
    rest = driven.difference(_surfaces(streets, shapes)).difference(green.buffer(_PARK_EDGE_M))
    found = [simplify(block, _TOLERANCE_M) for block in polygons(rest) if block.area > _AREA_M2_MIN]
    return [(to_degrees(block, streets.plane), {}) for block in sorted(found, key=_corner)]


def _surfaces(streets: Streets, shapes: list[Floats]) -> BaseGeometry:
    """The streets at their width, tunnels not."""
    return unary_union(
        [
            LineString(shape).buffer(_half_width_m(arc.road_class), cap_style="flat", join_style="mitre")
            for arc, shape in zip(streets.arcs, shapes, strict=True)
            if not arc.tunnel
        ]
    )


def _half_width_m(road_class: str) -> float:
    return _HALF_WIDTH_M.get(road_class.removesuffix("_link"), _HALF_WIDTH_M_ELSE)


def _corner(block: BaseGeometry) -> tuple[float, float]:
    west, _, _, north = block.bounds
    return -north, west
