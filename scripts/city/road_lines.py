# SPDX-License-Identifier: Apache-2.0
"""`roads.geojson`: what the map draws and names. Long lines, each street's name once a carriageway pair."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shapely import simplify
from shapely.geometry import LineString
from shapely.ops import linemerge, unary_union

from scripts.city.outputs import Feature
from scripts.city.planes import to_degrees
from scripts.city.streets import Arc, Streets
from taxi.roads.projection import Floats

_DRAWN_FROM_BELOW = (
    "living_street",
    "unclassified",
    "residential",
    "tertiary",
    "secondary",
    "primary",
    "trunk",
    "motorway",
)
_TOLERANCE_M = 0.4
_SAME_LABEL_M = 45.0
"""Lines of one street closer than this are its two carriageways: one of them bears the name."""
_SAME_LABEL_SHARE = 0.6
_LABEL_M_MIN = 90.0
_SHORT = {
    "Avenue": "Ave",
    "Boulevard": "Blvd",
    "Bridge": "Br",
    "Court": "Ct",
    "Drive": "Dr",
    "Expressway": "Expy",
    "Highway": "Hwy",
    "Lane": "Ln",
    "Parkway": "Pkwy",
    "Place": "Pl",
    "Road": "Rd",
    "Square": "Sq",
    "Street": "St",
    "Terrace": "Ter",
}
_DIRECTIONS = {"East": "E", "North": "N", "South": "S", "West": "W"}


@dataclass(frozen=True, slots=True, order=True)
class _Style:
    """What lines must share to be one line."""

    rank: int
    name: str
    link: bool
    tunnel: bool

    @classmethod
    def of(cls, arc: Arc) -> "_Style":
        base = arc.road_class.removesuffix("_link")
        return cls(_DRAWN_FROM_BELOW.index(base), arc.name, arc.road_class != base, arc.tunnel)


def road_lines(streets: Streets, shapes: list[Floats]) -> list[Feature]:
    """Lines in drawing order. `name` is full, `label` short and only on lines that should be labelled."""
    merged = [(style, line) for style, lines in _by_style(streets, shapes) for line in _merged(lines)]
    labelled = _labelled(merged)
    return [
        (to_degrees(simplify(line, _TOLERANCE_M), streets.plane), _properties(style, label=i in labelled))
        for i, (style, line) in enumerate(merged)
    ]


def short_name(street: str) -> str:
    """As on a street sign: "West 57th Street" → "W 57th St"; "West End Avenue" → "West End Ave"."""
    head, *rest = street.split() or [""]
    leads = head in _DIRECTIONS and len(rest) > 1 and rest[0] != "End"
    return " ".join([_DIRECTIONS[head] if leads else head, *(_SHORT.get(word, word) for word in rest)])


def _by_style(streets: Streets, shapes: list[Floats]) -> Iterable[tuple[_Style, list[LineString]]]:
    groups: dict[_Style, list[LineString]] = defaultdict(list)
    drawn: set[tuple[int, int, float]] = set()
    for arc, shape in zip(streets.arcs, shapes, strict=True):
        if (arc.head, arc.tail, arc.length_m) in drawn:
            continue  # the other direction of a two-way street
        drawn.add((arc.tail, arc.head, arc.length_m))
        groups[_Style.of(arc)].append(LineString(shape))
    return sorted(groups.items())


def _merged(lines: list[LineString]) -> list[LineString]:
    """Joined end to end where exactly two meet, longest first."""
    joined = linemerge(lines) if len(lines) > 1 else lines[0]
    parts = list(getattr(joined, "geoms", [joined]))
    return sorted(parts, key=lambda line: (-line.length, line.coords[0]))


def _labelled(merged: list[tuple[_Style, LineString]]) -> set[int]:
    """The lines that bear their street's name: the longest first, none beside one that has it already."""
    streets: dict[str, list[int]] = defaultdict(list)
    for i, (style, line) in enumerate(merged):
        if style.name and not style.link and line.length >= _LABEL_M_MIN:
            streets[style.name].append(i)
    return set(_one_carriageway(streets.values(), merged))


def _one_carriageway(streets: Iterable[list[int]], merged: list[tuple[_Style, LineString]]) -> Iterator[int]:
    for lines in streets:
        named = LineString()
        for i in sorted(lines, key=lambda i: (-merged[i][1].length, i)):
            line = merged[i][1]
            beside = line.intersection(named.buffer(_SAME_LABEL_M)).length
            if beside < _SAME_LABEL_SHARE * line.length:
                named = unary_union([named, line])
                yield i


def _properties(style: _Style, *, label: bool) -> dict[str, object]:
    properties: dict[str, object] = {"class": _DRAWN_FROM_BELOW[style.rank]}
    if style.name:
        properties["name"] = style.name
    if style.link:
        properties["link"] = True
    if style.tunnel:
        properties["tunnel"] = True
    if label:
        properties["label"] = short_name(style.name)
    return properties
