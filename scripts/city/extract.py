# SPDX-License-Identifier: Apache-2.0
"""Reads an OpenStreetMap extract (.osm.pbf, .osm): the ways, areas and points that a city is made from."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import osmium
import osmium.filter
from shapely import make_valid, wkb
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

Box = tuple[float, float, float, float]
"""West, south, east, north, in degrees."""
Tags = Mapping[str, str]

_AREA_KEYS = ("leisure", "landuse", "natural", "water", "waterway", "amenity", "aeroway", "building", "place")
_VISITED_KEYS = ("amenity", "building", "office", "public_transport", "railway", "shop", "tourism")
"""People come to and leave from what bears one of these tags."""
_NOT_VISITED = frozenset({"bench", "waste_basket", "bicycle_parking", "parking_entrance", "rail", "tram"})


class ExtractError(Exception):
    """The file cannot be made into a city. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way, with those of its nodes that the file contains."""

    tags: Tags
    nodes: list[tuple[int, float, float] | None]
    """(node id, longitude, latitude); None for a node that the file does not contain."""


@dataclass(frozen=True, slots=True)
class Extract:
    """What a file contains, as far as a city needs it."""

    path: Path
    sha256: str
    bounds: Box
    """The box in its header if it has one, else the box around its nodes; or the box that was asked for."""
    newest: str
    """The day of the newest object (YYYY-MM-DD), or empty if objects have no time stamps."""
    highways: list[Way] = field(default_factory=list)
    coastlines: list[Way] = field(default_factory=list)
    areas: list[tuple[BaseGeometry, Tags]] = field(default_factory=list)
    """Closed ways and multipolygons, in degrees."""
    places: list[tuple[tuple[float, float], Tags]] = field(default_factory=list)
    visited: list[tuple[float, float]] = field(default_factory=list)
    """Points where people come to and leave from: shops, offices, stations, buildings."""


def read_extract(path: Path, wanted: Box | None = None) -> Extract:
    """Read a file.

    Args:
        path: The file.
        wanted: A box to cut the city from; None for the whole extract.

    Raises:
        ExtractError: It is no OpenStreetMap file, or contains nothing within the box.
    """
    if not path.is_file():
        raise ExtractError(f"{path}: no such file")
    try:
        return _read(path, wanted)
    except RuntimeError as error:  # libosmium's own errors: format, truncation, a wrong file name
        raise ExtractError(
            f"{path}: not a readable OpenStreetMap extract ({error}). Wanted is a file such as "
            "NAME.osm.pbf or NAME.osm."
        ) from None


def _read(path: Path, wanted: Box | None) -> Extract:
    with osmium.io.Reader(str(path), osmium.osm.osm_entity_bits.NOTHING) as reader:
        header_box = reader.header().box()
    with path.open("rb") as file:
        found = Extract(path, hashlib.file_digest(file, "sha256").hexdigest(), (0, 0, 0, 0), "")
    around, newest = _Around(), ""
    areas = osmium.filter.KeyFilter(*_AREA_KEYS)
    for item in osmium.FileProcessor(str(path)).with_locations().with_areas(areas):
        if isinstance(item, osmium.osm.Area):
            found.areas.extend(_area(item))
            continue
        if not isinstance(item, osmium.osm.Node | osmium.osm.Way):
            continue
        if item.timestamp.year > 1970:
            newest = max(newest, f"{item.timestamp:%Y-%m-%d}")
        if isinstance(item, osmium.osm.Node):
            around.add(item.location.lon, item.location.lat)
            _take_node(found, item)
        else:
            _take_way(found, item)
    bounds = _bounds(path, wanted, header_box, around)
    inside = [point for point in found.visited if _contains(bounds, point)]
    places = [place for place in found.places if _contains(bounds, place[0])]
    return Extract(
        path, found.sha256, bounds, newest, found.highways, found.coastlines, found.areas, places, inside
    )


def _take_node(found: Extract, node: "osmium.osm.Node") -> None:
    point = node.location.lon, node.location.lat
    if "place" in node.tags and "name" in node.tags:
        found.places.append((point, dict(node.tags)))
    if _is_visited(node.tags):
        found.visited.append(point)


def _take_way(found: Extract, way: "osmium.osm.Way") -> None:
    if "highway" in way.tags:
        found.highways.append(_way(way))
    if way.tags.get("natural") == "coastline":
        found.coastlines.append(_way(way))
    if _is_visited(way.tags):
        points = [node for node in _way(way).nodes if node is not None]
        if points:
            found.visited.append((points[0][1], points[0][2]))


def _is_visited(tags: "osmium.osm.TagList") -> bool:
    return any(key in tags and tags[key] not in _NOT_VISITED for key in _VISITED_KEYS)


def _way(way: "osmium.osm.Way") -> Way:
    return Way(
        dict(way.tags),
        [(node.ref, node.lon, node.lat) if node.location.valid() else None for node in way.nodes],
    )


def _area(area: "osmium.osm.Area") -> Iterator[tuple[BaseGeometry, Tags]]:
    try:
        shape = wkb.loads(_WKB.create_multipolygon(area), hex=True)
    except RuntimeError:  # a ring that the extract has cut open
        return
    yield make_valid(shape), dict(area.tags)


_WKB = osmium.geom.WKBFactory()


class _Around:
    """The smallest box around points."""

    def __init__(self) -> None:
        self.box: Box | None = None

    def add(self, lng: float, lat: float) -> None:
        west, south, east, north = self.box or (lng, lat, lng, lat)
        self.box = min(west, lng), min(south, lat), max(east, lng), max(north, lat)


def _bounds(path: Path, wanted: Box | None, header_box: "osmium.osm.Box", around: _Around) -> Box:
    if around.box is None:
        raise ExtractError(f"{path}: contains no nodes, so there is nothing to make a city from")
    whole = around.box
    if header_box.valid():
        whole = (
            header_box.bottom_left.lon,
            header_box.bottom_left.lat,
            header_box.top_right.lon,
            header_box.top_right.lat,
        )
    if wanted is None:
        return whole
    if not box(*wanted).intersects(box(*whole)):
        raise ExtractError(f"{path}: --bbox lies outside of the extract, which covers {_words(whole)}")
    west, south, east, north = wanted
    return max(west, whole[0]), max(south, whole[1]), min(east, whole[2]), min(north, whole[3])


def _words(bounds: Box) -> str:
    return ",".join(f"{degrees:.4f}" for degrees in bounds)


def _contains(bounds: Box, point: tuple[float, float]) -> bool:
    west, south, east, north = bounds
    return west <= point[0] <= east and south <= point[1] <= north
