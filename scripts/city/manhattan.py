# SPDX-License-Identifier: Apache-2.0
"""Makes the folder of Manhattan from pinned packages.

Pins that rule the bytes: numpy 2.4.6, scipy 1.17.1, shapely 2.2.0 (requirements/city.in), and the archives in
scripts/city/sources.py. The same pins give the same bytes, on every run.
"""

from dataclasses import asdict
from pathlib import Path

from scripts.city import blocks, places, road_lines, shores, sources, streets, trips, zones
from scripts.city.curves import is_curved, shapes_of
from scripts.city.description import write_city
from scripts.city.graph import write_graph
from scripts.city.outputs import write_geojson, write_manifest
from scripts.city.papers import write_licence, write_provenance
from scripts.city.streets import Streets
from taxi.roads.network import RoadNetwork, TripDemand
from taxi.roads.projection import Floats


def build(city: Path, downloads: Path) -> None:
    """Write every file of the city's folder; the manifest last."""
    sources.fetch_all(downloads, sources.MANHATTAN)
    network = sources.HIVE.read_json(downloads, streets.NETWORK)
    manhattan = streets.repaired(network)
    shapes = shapes_of(manhattan)
    (city / "basemap").mkdir(parents=True, exist_ok=True)
    write_city(city / "city.json", manhattan)
    write_graph(city / "graph.npz", manhattan, shapes)
    requests = sources.HIVE.read(downloads, trips.REQUESTS)
    trips.write_trips(city / "trips.npz", requests, RoadNetwork.load(city))
    build_basemap(city / "basemap", downloads, manhattan, shapes)
    demand = TripDemand.load(city)
    zones.write_zones(
        city / "zones.npz", RoadNetwork.load(city), demand.half(0), zones.ZONES, zones.learned_waits()
    )
    facts = {
        "restored": manhattan.restored,
        "nodes": len(manhattan.nodes),
        "arcs": len(manhattan.arcs),
        "km": sum(arc.length_m for arc in manhattan.arcs) / 1000,
        "curved": sum(map(is_curved, shapes)),
        "requests": requests.count(b"\n") - 1,
        "trips": demand.trips,
        "pairs": len(demand.count),
    }
    write_licence(city / "LICENSE", downloads)
    write_provenance(city / "PROVENANCE.md", downloads, facts)
    write_manifest(city, [asdict(source) for source in sources.MANHATTAN])


def build_basemap(basemap: Path, downloads: Path, manhattan: Streets, shapes: list[Floats]) -> None:
    """Write the layers of the map, each a GeoJSON file."""
    boundaries = shores.Boundaries.read(downloads)
    ground = boundaries.boroughs["Manhattan"]
    land, parks = shores.land(boundaries, downloads), shores.parks(boundaries)
    write_geojson(basemap / "land.geojson", land)
    write_geojson(basemap / "parks.geojson", parks)
    write_geojson(basemap / "roads.geojson", road_lines.road_lines(manhattan, shapes))
    write_geojson(basemap / "blocks.geojson", blocks.blocks(ground, parks, manhattan, shapes))
    write_geojson(basemap / "places.geojson", places.places(boundaries, land))
