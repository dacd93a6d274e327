# SPDX-License-Identifier: Apache-2.0
"""The committed city data: whole, connected, inside the city, and exactly as the manifest says."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from scripts.city.sources import SOURCES
from taxi.roads.network import RoadNetwork, TripDemand, city_dir, city_names

BYTES_MAX = 2 * 1024 * 1024
LAYERS = ("blocks", "land", "parks", "places", "roads")
SEED = 11


@pytest.fixture(scope="module")
def manhattan() -> RoadNetwork:
    return RoadNetwork.load("manhattan")


def layer(name: str) -> list[dict[str, Any]]:
    collection = json.loads((city_dir("manhattan") / "basemap" / f"{name}.geojson").read_bytes())
    features: list[dict[str, Any]] = collection["features"]
    return features


def positions(coordinates: Any) -> Iterator[tuple[float, float]]:
    if isinstance(coordinates[0], int | float):
        yield coordinates[0], coordinates[1]
    else:
        for part in coordinates:
            yield from positions(part)


# --- the folder ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("city", city_names())
def test_the_manifest_names_every_file_by_its_hash(city: str) -> None:
    folder = city_dir(city)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json"]
    found = {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    assert found == manifest["files"]
    assert max(p.stat().st_size for p in files) <= BYTES_MAX


def test_the_manifest_names_the_archives_that_the_script_pins() -> None:
    manifest = json.loads((city_dir("manhattan") / "manifest.json").read_bytes())
    assert manifest["sources"] == [asdict(source) for source in SOURCES]


def test_an_archive_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    source = SOURCES[0]
    (tmp_path / source.file_name).write_bytes(b"something else")
    with pytest.raises(ValueError, match="SHA-256"):
        source.read(tmp_path, "anything")


def test_licence_and_provenance_say_what_they_must() -> None:
    licence = (city_dir("manhattan") / "LICENSE").read_text(encoding="utf-8")
    assert "OpenStreetMap contributors" in licence
    assert "4.3 Notice for using output (Contents)" in licence
    assert "10.4 Choice of law" in licence
    provenance = (city_dir("manhattan") / "PROVENANCE.md").read_text(encoding="utf-8")
    for needed in (
        "OpenStreetMap, December 2020",
        "as distributed with NREL HIVE 1.1.0",
        "gthc-hcne",
        "9nt8-h7nd",
        "Copyright (c) 2022, Alliance for Sustainable Energy, LLC",
        "BSD 3-Clause License",
        "Copyright 2026 Blaise Albis-Burdige",
        *(source.sha256 for source in SOURCES),
    ):
        assert needed in provenance


def test_the_credit_is_linked() -> None:
    credit = RoadNetwork.load("manhattan").city.attribution
    assert 'href="https://www.openstreetmap.org/copyright"' in credit


# --- streets ------------------------------------------------------------------------------------------


def test_every_junction_can_be_reached_from_every_other(manhattan: RoadNetwork) -> None:
    graph = csr_array((np.ones(manhattan.n_arcs), (manhattan.arc_from, manhattan.arc_to)))
    parts, _ = connected_components(graph, directed=True, connection="strong")
    assert parts == 1
    assert graph.shape == (manhattan.n_nodes, manhattan.n_nodes)
    assert manhattan.n_nodes > 4_000


def test_streets_lie_in_the_service_area(manhattan: RoadNetwork) -> None:
    assert all(manhattan.city.in_bbox(lng, lat) for lng, lat in manhattan.shape)
    assert all(manhattan.contains(lng, lat) for lng, lat in manhattan.nodes[::50])


def test_an_arcs_shape_joins_its_nodes(manhattan: RoadNetwork) -> None:
    starts, ends = manhattan.shape_start[:-1], manhattan.shape_start[1:] - 1
    assert (starts < ends).all()
    assert np.array_equal(manhattan.shape[starts], manhattan.nodes[manhattan.arc_from])
    assert np.array_equal(manhattan.shape[ends], manhattan.nodes[manhattan.arc_to])
    assert (manhattan.arc_length_m > 0).all()
    assert (manhattan.arc_time_s > 0).all()


def test_no_arc_is_shorter_than_its_shape(manhattan: RoadNetwork) -> None:
    steps_m = np.hypot(*np.diff(manhattan.plane.metres(manhattan.shape), axis=0).T)
    steps_m[manhattan.shape_start[1:-1] - 1] = 0
    drawn_m = np.add.reduceat(steps_m, manhattan.shape_start[:-1])
    assert (manhattan.arc_length_m > drawn_m * 0.99).all()


def test_a_two_way_street_has_one_shape(manhattan: RoadNetwork) -> None:
    arc = {
        (int(a), int(b)): i for i, (a, b) in enumerate(zip(manhattan.arc_from, manhattan.arc_to, strict=True))
    }
    curved = np.flatnonzero(np.diff(manhattan.shape_start) > 2)
    two_way = [
        (i, back)
        for i in curved.tolist()
        if (back := arc.get((int(manhattan.arc_to[i]), int(manhattan.arc_from[i])))) is not None
        and manhattan.arc_length_m[i] == manhattan.arc_length_m[back]
    ]
    assert two_way
    for there, back in two_way:
        assert np.array_equal(manhattan.polyline(there)[0], manhattan.polyline(back)[0][::-1])


def test_travel_times_are_those_of_a_search_on_the_graph(manhattan: RoadNetwork) -> None:
    origins = np.random.default_rng(SEED).integers(manhattan.n_nodes, size=5)
    best: dict[tuple[int, int], float] = {}
    for tail, head, seconds in zip(
        manhattan.arc_from.tolist(), manhattan.arc_to.tolist(), manhattan.arc_time_s.tolist(), strict=True
    ):
        best[tail, head] = min(seconds, best.get((tail, head), seconds))
    tails, heads = np.array(list(best)).T
    graph = csr_array((list(best.values()), (tails, heads)), shape=(manhattan.n_nodes,) * 2)
    expected = np.rint(dijkstra(graph, indices=origins))
    everywhere = np.arange(manhattan.n_nodes)
    assert np.array_equal(manhattan.travel_time_s(origins[:, None], everywhere), expected)


def test_routes_of_real_trips_add_up(manhattan: RoadNetwork) -> None:
    demand = TripDemand.load("manhattan")
    origins, destinations = demand.sample(np.random.default_rng(SEED).random(300))
    for origin, destination in zip(origins.tolist(), destinations.tolist(), strict=True):
        arcs = manhattan.route(origin, destination)
        assert manhattan.arc_from[arcs[0]] == origin
        assert manhattan.arc_to[arcs[-1]] == destination
        assert np.array_equal(manhattan.arc_to[arcs[:-1]], manhattan.arc_from[arcs[1:]])
        assert abs(manhattan.time_s(arcs) - manhattan.travel_time_s(origin, destination)) <= 0.5


def test_trips_within_midtown_drive_at_the_measured_pace(manhattan: RoadNetwork) -> None:
    """11.5 km/h between 14th and 59th Street: what the travel time factor is for."""
    midtown = (manhattan.nodes[:, 1] > 40.735) & (manhattan.nodes[:, 1] < 40.768)
    demand = TripDemand.load("manhattan")
    inside = np.flatnonzero(midtown[demand.from_node] & midtown[demand.to_node])[::20]
    routes = [manhattan.route(int(demand.from_node[i]), int(demand.to_node[i])) for i in inside]
    metres, seconds = sum(map(manhattan.length_m, routes)), sum(map(manhattan.time_s, routes))
    assert 10.5 < metres / seconds * 3.6 < 12.5


# --- trips --------------------------------------------------------------------------------------------


def test_trips_are_counts_of_node_pairs_and_nothing_more(manhattan: RoadNetwork) -> None:
    with np.load(city_dir("manhattan") / "trips.npz", allow_pickle=False) as file:
        assert sorted(file) == ["count", "from_node", "to_node"]
        assert {file[name].dtype.kind for name in file} == {"u"}
    demand = TripDemand.load("manhattan")
    pairs = demand.from_node.astype(np.int64) * manhattan.n_nodes + demand.to_node
    assert (np.diff(pairs) > 0).all()  # sorted and unique: the order of the requests is gone
    assert max(demand.from_node.max(), demand.to_node.max()) < manhattan.n_nodes
    assert (manhattan.travel_time_s(demand.from_node, demand.to_node) >= 120).all()
    assert demand.trips > 17_000


# --- basemap ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_has_features_near_the_city(name: str) -> None:
    features = layer(name)
    assert features
    for feature in features:
        for lng, lat in positions(feature["geometry"]["coordinates"]):
            assert -74.11 < lng < -73.79
            assert 40.65 < lat < 40.94


def test_each_place_is_labelled_once_and_ranked() -> None:
    places = [feature["properties"] for feature in layer("places")]
    assert max(Counter(place["name"] for place in places).values()) == 1
    assert sorted(place["rank"] for place in places) == list(range(1, len(places) + 1))
    assert {place["kind"] for place in places} == {"borough", "neighbourhood", "park"}
    names = {place["name"] for place in places}
    assert {"Midtown", "Harlem", "Upper West Side", "Upper East Side", "SoHo", "Central Park"} <= names
    assert not [name for name in names if "-" in name or "(" in name]


def test_places_lie_on_manhattan_where_people_look_for_them() -> None:
    where = {f["properties"]["name"]: f["geometry"]["coordinates"] for f in layer("places")}
    southward = [
        "Inwood",
        "Washington Heights",
        "Harlem",
        "Upper West Side",
        "Midtown",
        "Gramercy",
        "Tribeca",
    ]
    latitudes = [where[name][1] for name in southward]
    assert latitudes == sorted(latitudes, reverse=True)
    assert where["Hell's Kitchen"][0] < where["Midtown"][0] < where["East Midtown"][0]


def test_street_labels_are_few_and_short() -> None:
    roads = [feature["properties"] for feature in layer("roads")]
    labels = {road["name"]: road["label"] for road in roads if "label" in road}
    assert labels["West 57th Street"] == "W 57th St"
    assert labels["Avenue A"] == "Avenue A"
    assert labels["West End Avenue"] == "West End Ave"
    assert labels["Broadway"] == "Broadway"
    labelled = Counter(road["name"] for road in roads if "label" in road)
    assert labelled["Park Avenue"] <= 6  # two carriageways, one name
    assert sum(labelled.values()) < 2 * len(labelled)


def test_roads_are_long_lines(manhattan: RoadNetwork) -> None:
    assert len(layer("roads")) < manhattan.n_arcs / 4
