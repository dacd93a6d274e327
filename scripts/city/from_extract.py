# SPDX-License-Identifier: Apache-2.0
"""Makes the folder of a city from an OpenStreetMap extract."""

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from scripts.city import osm_layers
from scripts.city.blocks import blocks
from scripts.city.description import DRIVE_PERCENT
from scripts.city.extract import Box, Extract, read_extract
from scripts.city.graph import write_graph
from scripts.city.osm_streets import osm_streets
from scripts.city.outputs import write_geojson, write_json, write_manifest
from scripts.city.papers import LICENCE_HEAD
from scripts.city.road_lines import road_lines
from scripts.city.streets import Streets
from scripts.city.synthetic_trips import TYPICAL_S, WALK_M, write_synthetic_trips
from scripts.city.zones import equal_waits, write_zones
from taxi.roads.network import CityInfo, RoadNetwork, TripDemand
from taxi.roads.projection import Floats

ATTRIBUTION: Final = '© <a href="https://www.openstreetmap.org/copyright">OpenStreetMap contributors</a>'
_LICENCE: Final = Path("taxi/cities/manhattan/LICENSE")
"""The text of ODbL 1.0 is in it."""
_SNAP_M_MAX: Final = 300.0
_ROAD_M_PER_TAXI: Final = 250.0
"""About two taxis for each kilometre of lane, as in Manhattan's demo."""
_DRIVERS_MIN, _DRIVERS_MAX = 20, 5_000
_NODES_PER_ZONE: Final = 90
_ZONES_MIN, _ZONES_MAX = 4, 48
_MAP_PX: Final = (1_000, 700)
"""The map opens so that the city fills a window of this size."""
_MANHATTAN_CYCLE_S: Final = 1_000.0
"""What one ride takes of a driver's time in Manhattan: pickup, boarding, trip, alighting."""
_AROUND_TRIP_S: Final = 63.0
"""Answering, boarding and alighting, at their means."""
_PICKUP_SHARE: Final = 0.15
"""The drive to the rider, as a share of the trip."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a person says of a city that its extract does not say."""

    name: str
    """The folder's name."""
    title: str
    """Its name for people."""
    bounds: Box | None = None
    """The part of the extract to use; None: all of it."""
    time_zone: str = "UTC"
    travel_time_factor: float = 1.4
    """Driving time in traffic ÷ driving time in free flow."""
    drivers: int | None = None
    """None: by the length of the streets."""
    source: Mapping[str, str] | None = None
    """Where the extract is from, for manifest and provenance; None: a file that the user has."""
    origin: str = ""
    """A sentence about that for the provenance."""
    notices: str = ""
    """Licences of what it came with."""


def build(city: Path, file: Path, wish: Wish) -> Streets:
    """Write every file of the city's folder; the manifest last.

    Raises:
        ExtractError: The file cannot be made into a city.
    """
    extract = read_extract(file, wish.bounds)
    streets, shapes = osm_streets(extract)
    (city / "basemap").mkdir(parents=True, exist_ok=True)
    write_graph(city / "graph.npz", streets, shapes)
    write_json(city / "city.json", msgspec.to_builtins(_info(wish, extract, streets)))
    network = RoadNetwork.load(city, cache_dir=city)
    write_synthetic_trips(city / "trips.npz", network, extract.visited)
    demand = TripDemand.load(city)
    write_json(
        city / "city.json", msgspec.to_builtins(_info(wish, extract, streets, _factor(network, demand)))
    )
    zones = _between(_ZONES_MIN, network.n_nodes // _NODES_PER_ZONE, _ZONES_MAX)
    write_zones(city / "zones.npz", network, demand.half(0), zones, equal_waits(zones))
    for table in city.glob("roads-*"):  # the tables that drawing trips needed
        table.unlink()
    _write_layers(city / "basemap", extract, streets, shapes, wish.title)
    _, odbl = _LICENCE.read_text(encoding="utf-8").split("-" * 98, 1)
    (city / "LICENSE").write_text(LICENCE_HEAD + odbl.lstrip("\n"), encoding="utf-8")
    text = _provenance(wish, extract, streets, demand, zones)
    (city / "PROVENANCE.md").write_text(text, encoding="utf-8")
    source = {"file_name": file.name, "licence": "ODbL-1.0", "sha256": extract.sha256, **(wish.source or {})}
    write_manifest(city, [source])
    return streets


def _write_layers(
    basemap: Path, extract: Extract, streets: Streets, shapes: list[Floats], title: str
) -> None:
    ground = osm_layers.land(extract, streets.plane)
    green = osm_layers.parks(extract, ground, streets.plane)
    land = osm_layers.land_layer(ground, extract, streets.plane, title)
    write_geojson(basemap / "land.geojson", land)
    write_geojson(basemap / "parks.geojson", green)
    write_geojson(basemap / "roads.geojson", road_lines(streets, shapes))
    write_geojson(basemap / "blocks.geojson", blocks(ground, green, streets, shapes))
    write_geojson(basemap / "places.geojson", osm_layers.places(extract, green))


def _info(wish: Wish, extract: Extract, streets: Streets, demand_factor: float = 1.0) -> CityInfo:
    west, south, east, north = extract.bounds
    driven_m = sum(arc.length_m for arc in streets.arcs)
    return CityInfo(
        name=wish.name,
        title=wish.title,
        bbox=(
            math.floor(west * 1e4) / 1e4,
            math.floor(south * 1e4) / 1e4,
            math.ceil(east * 1e4) / 1e4,
            math.ceil(north * 1e4) / 1e4,
        ),
        snap_m_max=_SNAP_M_MAX,
        center=(round((west + east) / 2, 4), round((south + north) / 2, 4)),
        zoom=_zoom(extract.bounds),
        time_zone=wish.time_zone,
        travel_time_factor=wish.travel_time_factor,
        utc_offset_h=_utc_offset_h(wish.time_zone),
        drive_percent=DRIVE_PERCENT,
        attribution=ATTRIBUTION,
        drivers=wish.drivers or _between(_DRIVERS_MIN, round(driven_m / _ROAD_M_PER_TAXI), _DRIVERS_MAX),
        demand_factor=demand_factor,
    )


def _factor(network: RoadNetwork, demand: TripDemand) -> float:
    """How many more rides a driver can do than in Manhattan, because trips are shorter here."""
    time_s = network.travel_time_s(demand.from_node, demand.to_node)
    trip_s = float(np.average(time_s, weights=demand.count))
    return round(_MANHATTAN_CYCLE_S / (trip_s * (1 + _PICKUP_SHARE) + _AROUND_TRIP_S), 2)


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))


def _zoom(bounds: Box) -> float:
    """At which the bounds just fit into a window of `_MAP_PX` (Web Mercator, tiles of 512 px)."""
    west, south, east, north = bounds
    wide = (east - west) / 360
    tall = (_mercator_y(south) - _mercator_y(north)) / (2 * math.pi)
    fit = min(_MAP_PX[0] / 512 / max(wide, 1e-9), _MAP_PX[1] / 512 / max(tall, 1e-9))
    return round(min(max(math.log2(fit), 10.5), 16.0), 1)


def _mercator_y(lat: float) -> float:
    return -math.asinh(math.tan(math.radians(lat)))


def _utc_offset_h(time_zone: str) -> int:
    """The offset without daylight saving, in whole hours."""
    winter = datetime(2026, 1, 15, 12, tzinfo=ZoneInfo(time_zone))
    summer = datetime(2026, 7, 15, 12, tzinfo=ZoneInfo(time_zone))
    moment = winter if not winter.dst() else summer
    offset = moment.utcoffset()
    assert offset is not None
    return round(offset.total_seconds() / 3600)


# --- papers -------------------------------------------------------------------------------------------


def _provenance(wish: Wish, extract: Extract, streets: Streets, demand: TripDemand, zones: int) -> str:
    return _PROVENANCE.format(
        title=wish.title,
        file=extract.path.name,
        sha256=extract.sha256,
        about=textwrap.fill(_about(wish, extract), 110, break_long_words=False, break_on_hyphens=False),
        nodes=len(streets.nodes),
        arcs=len(streets.arcs),
        km=sum(arc.length_m for arc in streets.arcs) / 1000,
        limited=sum(math.isfinite(arc.limit_kmh) for arc in streets.arcs),
        factor=wish.travel_time_factor,
        visited=len(extract.visited),
        walk_m=WALK_M,
        typical_s=TYPICAL_S,
        trips=demand.trips,
        pairs=len(demand.count),
        zones=zones,
        notices=f"\n## Notices\n\n{wish.notices}\n" if wish.notices else "",
    )


def _about(wish: Wish, extract: Extract) -> str:
    bounds = ", ".join(f"{degrees:.5f}" for degrees in extract.bounds)
    newest = f"Its newest object is of {extract.newest}." if extract.newest else "Its objects bear no dates."
    return (
        f"{wish.origin or 'A file of the person who made this folder.'} It is an extract of OpenStreetMap, "
        f"© OpenStreetMap contributors, ODbL 1.0, within {bounds} (west, south, east, north, in degrees). "
        f"{newest} It was read with the package `osmium` {metadata.version('osmium')}, which is not "
        "a part of this folder."
    )


_PROVENANCE = """\
# Where the data of {title} come from

Made by `scripts/build_city.py` (how: `docs/city-data.md`); nothing here is edited by hand.
`manifest.json` has the SHA-256 of every file. Licence: ODbL 1.0, see `LICENSE`.

| file | SHA-256 |
|---|---|
| `{file}` | `{sha256}` |

{about}

## Streets: `graph.npz`, `basemap/roads.geojson`, `basemap/blocks.geojson`

Altered:

- Used are ways that cars may use, from motorways to living streets, without service roads, and without those
  that access tags close to taxis. One-way streets and roundabouts are one-way. Turn restrictions are unused.
- Ways are cut at the extract's bounds. Only the largest strongly connected part is kept: {nodes:,} junctions,
  {arcs:,} arcs, {km:,.0f} km.
- Nodes where a street only continues are removed; the arcs keep their shapes.
- Free-flow times are ours: a speed for each road class, the posted limit if that is lower (known for
  {limited:,} of the arcs), and up to 6 s for each junction off the motorways.
- Ids, lanes, widths and all other tags are left out.
- `roads.geojson`: arcs joined to lines, simplified to 0.4 m, street names shortened for labels.
- `blocks.geojson`: the land minus the streets at an assumed width, minus parks.

## Trips: `trips.npz`

**Synthetic.** No trip was recorded. {trips:,} trips ({pairs:,} pairs of junctions) are drawn from a gravity
model (`scripts/city/synthetic_trips.py`): a trip is the more probable the more of {visited:,} shops, offices,
stations and buildings lie within {walk_m:.0f} m of its ends, and becomes rare beyond {typical_s:.0f} s of
driving. They say nothing about how people travel in {title}.

## Zones: `zones.npz`

{zones} zones by k-means of the pickups of one half of these trips, each zone's share of them, and the same
wait between two rides in all zones, because none was learned.

## Land, parks, places: `basemap/land.geojson`, `basemap/parks.geojson`, `basemap/places.geojson`

From the same extract: land to the left of coastlines, without lakes and rivers; parks, cemeteries and
airports; names of parts of the city, squares and parks. A coastline that ends at the extract's edge is led
across it; a lake whose outline the extract does not contain whole is missing. Outside of the bounds the map
shows plain land, whatever is there.

## Description: `city.json`

Ours. `travel_time_factor` ({factor:g}), `drive_percent` (how much longer or shorter drives take in each hour
of the day), `drivers` and `demand_factor` are guesses, not measurements.
{notices}"""
