# SPDX-License-Identifier: Apache-2.0
"""`places.geojson`: one point for each name on the map. If two labels collide, the lower `rank` is drawn."""

from collections import defaultdict

from shapely.geometry.base import BaseGeometry
from shapely.ops import polylabel, unary_union

from scripts.city.outputs import Feature
from scripts.city.planes import to_degrees, to_metres
from scripts.city.polygons import polygons
from scripts.city.shores import FRAME, Boundaries

_NEIGHBOURHOOD, _PARK = "0", "9"
_KINDS = {_NEIGHBOURHOOD: "neighbourhood", _PARK: "park"}
_BOROUGHS = {"Bronx": "The Bronx", "Brooklyn": "Brooklyn", "Queens": "Queens"}
_ELSEWHERE = {"New Jersey": "New Jersey"}
_NAMES = {
    # The largest part of this area is the island, and a label is placed on the largest part.
    "The Battery-Governors Island-Ellis Island-Liberty Island": "Governors Island",
}
_PRECISION_M = 5.0


def places(boundaries: Boundaries, land: list[Feature]) -> list[Feature]:
    """Boroughs around Manhattan, its neighbourhoods and parks, the larger the earlier."""
    around = [(area, _BOROUGHS.get(p["name"]) or _ELSEWHERE.get(p["name"])) for area, p in land]
    names = [_label(to_metres(area), name, "borough") for area, name in around if name]
    named = _largest_first(_merged(boundaries))
    labels = [*sorted(names, key=lambda f: str(f[1]["name"])), *named]
    return [(point, {**properties, "rank": rank}) for rank, (point, properties) in enumerate(labels, 1)]


def short_name(area: str) -> str:
    """The first of the neighbourhoods that an area joins, without its compass point in brackets."""
    return _NAMES.get(area) or area.split("-", maxsplit=1)[0].split(" (", maxsplit=1)[0]


def _merged(boundaries: Boundaries) -> dict[tuple[str, str], BaseGeometry]:
    """(name, kind) → all areas of Manhattan that go by that name, in metres."""
    parts: dict[tuple[str, str], list[BaseGeometry]] = defaultdict(list)
    for area, p in boundaries.neighbourhoods:
        if p["borough"] == "MANHATTAN" and p["nta_type"] in _KINDS:
            parts[short_name(p["name"]), _KINDS[p["nta_type"]]].append(to_metres(area.intersection(FRAME)))
    return {key: unary_union([part.buffer(1.0) for part in areas]) for key, areas in parts.items()}


def _largest_first(areas: dict[tuple[str, str], BaseGeometry]) -> list[Feature]:
    ordered = sorted(areas.items(), key=lambda item: (-item[1].area, item[0]))
    return [_label(area, name, kind) for (name, kind), area in ordered]


def _label(area: BaseGeometry, name: str, kind: str) -> Feature:
    """On the centroid of the largest part; where that is near an edge, as far from all edges as can be."""
    body = max(polygons(area), key=lambda polygon: polygon.area)
    roomiest = polylabel(body, _PRECISION_M)
    rim = body.boundary
    central = body.contains(body.centroid) and body.centroid.distance(rim) > roomiest.distance(rim) / 2
    return to_degrees(body.centroid if central else roomiest), {"name": name, "kind": kind}
