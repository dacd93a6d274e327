# SPDX-License-Identifier: Apache-2.0
"""The layers of the map of an OpenStreetMap extract: land and water, parks, names."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from shapely import simplify
from shapely.geometry import LineString, Point, box
from shapely.geometry.base import BaseGeometry
from shapely.ops import linemerge, nearest_points, polygonize, unary_union

from scripts.city.extract import Extract, Tags
from scripts.city.outputs import Feature
from scripts.city.planes import to_degrees, to_metres
from scripts.city.polygons import polygonal, polygons
from taxi.roads.projection import LocalPlane

SURROUNDINGS_M: Final = 30_000.0
"""So far around the extract the map shows plain land: what really is there is not in the extract."""
_TOLERANCE_M: Final = 1.0
_PARK_M2_MIN: Final = 400.0
_WATER_M2_MIN: Final = 200.0
_SIDE_M: Final = 0.5
_CUT_OFF_M: Final = 100.0
"""An end of a coastline this close to the edge of the extract was cut off there."""
_PLACES: Final = {
    "borough": 1,
    "suburb": 2,
    "quarter": 3,
    "neighbourhood": 4,
    "island": 5,
    "village": 6,
    "hamlet": 7,
    "square": 8,
}
"""Values of `place` that are labelled, and their order. The city itself has no label."""
_GREEN: Final = {
    ("leisure", "park"),
    ("leisure", "garden"),
    ("leisure", "nature_reserve"),
    ("landuse", "forest"),
    ("landuse", "grass"),
    ("landuse", "meadow"),
    ("landuse", "recreation_ground"),
    ("landuse", "village_green"),
    ("natural", "wood"),
}
_GRAVES: Final = {("landuse", "cemetery"), ("amenity", "grave_yard")}
_FIELDS: Final = {("aeroway", "aerodrome")}
_BASINS: Final = {
    ("natural", "water"),
    ("waterway", "riverbank"),
    ("landuse", "reservoir"),
    ("landuse", "basin"),
}


def land(extract: Extract, plane: LocalPlane) -> BaseGeometry:
    """The land within the extract's bounds, in degrees: without the sea, lakes and rivers."""
    frame = to_metres(box(*extract.bounds), plane)
    basins = [
        to_metres(area, plane) for area, tags in extract.areas if _has(tags, _BASINS) and not _is_under(tags)
    ]
    wet = [basin for basin in basins if basin.area > _WATER_M2_MIN]
    dry = frame.difference(unary_union([_sea(extract, plane, frame), *wet]))
    return to_degrees(simplify(polygonal(dry), _TOLERANCE_M), plane)


def land_layer(ground: BaseGeometry, extract: Extract, plane: LocalPlane, title: str) -> list[Feature]:
    """The land within the extract, and plain land all around it, which the map shows darker."""
    frame = to_metres(box(*extract.bounds), plane)
    around = to_degrees(frame.buffer(SURROUNDINGS_M, cap_style="square", join_style="mitre"), plane)
    outside = polygonal(around.difference(box(*extract.bounds)))
    return [(polygonal(ground), {"name": title}), (outside, {"name": "", "outside": True})]


def parks(extract: Extract, ground: BaseGeometry, plane: LocalPlane) -> list[Feature]:
    """Parks, cemeteries and airports, largest first, cut to the land."""
    found = []
    for kind, tags in (("park", _GREEN), ("cemetery", _GRAVES), ("airport", _FIELDS)):
        for area, own in extract.areas:
            if _has(own, tags):
                shape = to_metres(polygonal(area.intersection(ground)), plane)
                if shape.area > _PARK_M2_MIN:
                    found.append((shape, own.get("name", ""), kind))
    found.sort(key=lambda park: (-park[0].area, park[1], park[0].bounds))
    return [
        (
            to_degrees(polygonal(simplify(shape, _TOLERANCE_M)), plane),
            {"kind": kind} | ({"name": name} if name else {}),
        )
        for shape, name, kind in found
    ]


def places(extract: Extract, green: list[Feature]) -> list[Feature]:
    """A point for each name, once: parts of the city, then parks. A lower `rank` wins where two collide."""
    parts = [(point, tags) for point, tags in extract.places if tags["place"] in _PLACES]
    squares = [
        ((area.centroid.x, area.centroid.y), tags)
        for area, tags in extract.areas
        if tags.get("place") in _PLACES
        and "name" in tags
        and not _is_under(tags)
        and box(*extract.bounds).contains(area.centroid)
    ]
    ordered = sorted(
        [*parts, *squares], key=lambda place: (_PLACES[place[1]["place"]], *_by_people(place[1]))
    )
    named: dict[str, tuple[tuple[float, float], str]] = {}
    for point, tags in ordered:
        named.setdefault(tags["name"], (point, "neighbourhood"))
    for area, properties in green:
        if properties.get("name") and properties["kind"] == "park":
            middle = max(polygons(area), key=lambda part: part.area).representative_point()
            named.setdefault(properties["name"], ((middle.x, middle.y), "park"))
    return [
        (Point(point), {"name": name, "kind": kind, "rank": rank})
        for rank, (name, (point, kind)) in enumerate(named.items(), 1)
    ]


def _by_people(tags: Tags) -> tuple[int, str]:
    people = tags.get("population", "0").replace(" ", "").replace(",", "")
    return -int(people) if people.isdigit() else 0, tags["name"]


def _has(tags: Tags, wanted: set[tuple[str, str]]) -> bool:
    return any(tags.get(key) == value for key, value in wanted)


def _is_under(tags: Tags) -> bool:
    """Whether it lies in a tunnel or below the ground, so that the map does not show it."""
    return tags.get("tunnel", "no") != "no" or tags.get("layer", "0").startswith("-")


# --- the sea ------------------------------------------------------------------------------------------


def _sea(extract: Extract, plane: LocalPlane, frame: BaseGeometry) -> BaseGeometry:
    """What lies to the right of the coastlines, as OpenStreetMap draws them, within `frame`.

    Coastlines and the frame's edge divide the frame into faces. A face is sea if more of the coast along its
    rim has it on the right than on the left. A coastline that ends inside of the frame because the extract
    was cut there is extended to the edge.
    """
    coast = [line for way in extract.coastlines for line in _runs(way.nodes, plane)]
    if not coast:
        return unary_union([])
    merged = _as_lines(linemerge(coast))
    inside = [line for whole in merged for line in _as_lines(_to_the_edge(whole, frame).intersection(frame))]
    faces = list(polygonize(unary_union([frame.boundary, *inside])))
    return unary_union([face for face in faces if _is_sea(face, inside)])


def _runs(nodes: list[tuple[int, float, float] | None], plane: LocalPlane) -> Iterator[LineString]:
    """The unbroken parts of a way."""
    run: list[tuple[float, float]] = []
    for node in [*nodes, None]:
        if node is not None:
            run.append((node[1], node[2]))
            continue
        if len(run) > 1:
            yield LineString(plane.metres(run))
        run = []


def _as_lines(geometry: BaseGeometry) -> list[LineString]:
    if isinstance(geometry, LineString):
        return [] if geometry.is_empty else [geometry]
    return [line for part in getattr(geometry, "geoms", []) for line in _as_lines(part)]


def _to_the_edge(line: LineString, frame: BaseGeometry) -> LineString:
    """The line, with each end that lies close to the frame's edge led beyond it."""
    if line.is_ring:
        return line
    points = list(line.coords)
    return LineString([*_beyond(Point(points[0]), frame), *points, *_beyond(Point(points[-1]), frame)])


def _beyond(end: Point, frame: BaseGeometry) -> list[tuple[float, float]]:
    """The point a metre beyond the nearest edge, if `end` lies inside and close to it."""
    edge = nearest_points(frame.boundary, end)[0]
    away_m = edge.distance(end)
    if not frame.contains(end) or not 0 < away_m < _CUT_OFF_M:
        return []
    share = 1 + 1 / away_m
    return [(end.x + (edge.x - end.x) * share, end.y + (edge.y - end.y) * share)]


def _is_sea(face: BaseGeometry, coast: list[LineString]) -> bool:
    right_m = 0.0
    rim = face.buffer(_SIDE_M)
    for line in coast:
        if not line.intersects(rim):
            continue
        points = list(line.coords)
        for (ax, ay), (bx, by) in pairwise(points):
            length_m = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
            if length_m == 0:
                continue
            across_x, across_y = (by - ay) / length_m * _SIDE_M, -(bx - ax) / length_m * _SIDE_M
            middle_x, middle_y = (ax + bx) / 2, (ay + by) / 2
            if face.contains(Point(middle_x + across_x, middle_y + across_y)):
                right_m += length_m
            if face.contains(Point(middle_x - across_x, middle_y - across_y)):
                right_m -= length_m
    return right_m > 0
