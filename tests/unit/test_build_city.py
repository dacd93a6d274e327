# SPDX-License-Identifier: Apache-2.0
"""A city from an OpenStreetMap extract: what is driven, which way round, how fast, and what is refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry import Point, shape

from scripts.build_city import differences, main
from scripts.city.extract import read_extract
from scripts.city.osm_streets import directions, limit_kmh, may_drive, osm_streets
from scripts.city.streets import FREE_FLOW_KMH, JUNCTION_S, Arc, Streets
from taxi.roads.network import CityInfo, RoadNetwork, TripDemand, Zones, load_city
from testing.osm_file import SIDE, SOUTH, STEP, WEST, OsmFile, junction

FAR = SIDE - 1


def streets_of(osm: OsmFile, folder: Path) -> Streets:
    streets, _ = osm_streets(read_extract(osm.write(folder / "city.osm")))
    return streets


def named(streets: Streets, name: str) -> list[Arc]:
    return [arc for arc in streets.arcs if arc.name == name]


def eastwards(streets: Streets, arc: Arc) -> bool:
    return bool(streets.nodes[arc.head, 0] > streets.nodes[arc.tail, 0])


# --- tags ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, (True, True)),
        ({"oneway": "no"}, (True, True)),
        ({"oneway": "yes"}, (True, False)),
        ({"oneway": "1"}, (True, False)),
        ({"oneway": "-1"}, (False, True)),
        ({"oneway": "reversible"}, (False, False)),
        ({"oneway": "nonsense"}, (True, True)),
        ({"junction": "roundabout"}, (True, False)),
        ({"junction": "roundabout", "oneway": "no"}, (True, True)),
        ({"highway": "motorway"}, (True, False)),
        ({"highway": "motorway", "oneway": "no"}, (True, True)),
    ],
)
def test_directions_follow_the_tags(tags: dict[str, str], expected: tuple[bool, bool]) -> None:
    assert directions({"highway": "residential"} | tags) == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"highway": "residential"}, True),
        ({"highway": "service"}, False),
        ({"highway": "footway"}, False),
        ({}, False),
        ({"highway": "residential", "area": "yes"}, False),
        ({"highway": "residential", "access": "private"}, False),
        ({"highway": "residential", "access": "destination"}, True),
        ({"highway": "residential", "motor_vehicle": "no"}, False),
        ({"highway": "residential", "access": "no", "motor_vehicle": "yes"}, True),
        ({"highway": "residential", "motor_vehicle": "no", "taxi": "yes"}, True),
        ({"highway": "residential", "access": "unheard of"}, True),
    ],
)
def test_access_follows_the_most_specific_tag(tags: dict[str, str], expected: bool) -> None:
    assert may_drive(tags) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30", 30.0),
        ("30 km/h", 30.0),
        ("20 mph", 32.18688),
        ("50;30", 50.0),
        ("", math.inf),
        ("signals", math.inf),
        ("FI:urban", math.inf),
        ("0", math.inf),
        ("-5", math.inf),
        ("nan", math.inf),
        ("30 knots", math.inf),
    ],
)
def test_a_limit_that_is_no_number_is_none(text: str, expected: float) -> None:
    assert limit_kmh({"maxspeed": text}) == pytest.approx(expected)


# --- the network --------------------------------------------------------------------------------------


def test_a_grid_of_two_way_streets_is_whole(tmp_path: Path) -> None:
    streets = streets_of(OsmFile(), tmp_path)
    assert len(streets.nodes) == SIDE**2
    assert len(streets.arcs) == 4 * SIDE * FAR


def test_one_way_streets_are_driven_one_way(tmp_path: Path) -> None:
    osm = OsmFile(streets={"row 2": {"oneway": "yes"}, "row 3": {"oneway": "-1"}})
    streets = streets_of(osm, tmp_path)
    assert len(named(streets, "row 2")) == len(named(streets, "row 3")) == FAR
    assert all(eastwards(streets, arc) for arc in named(streets, "row 2"))
    assert not any(eastwards(streets, arc) for arc in named(streets, "row 3"))


def test_a_roundabout_is_driven_one_way(tmp_path: Path) -> None:
    osm = OsmFile()
    ring = [osm.add_node(x, y) for x, y in ((2.2, 2.2), (2.8, 2.2), (2.8, 2.8), (2.2, 2.8))]
    osm.add_way(*ring, ring[0], highway="residential", junction="roundabout", name="ring")
    for corner, (column, row) in zip(ring, ((2, 2), (3, 2), (3, 3), (2, 3)), strict=True):
        osm.add_way(junction(column, row), corner, highway="residential", name="spoke")
    streets = streets_of(osm, tmp_path)
    turns = [(streets.nodes[a.tail], streets.nodes[a.head]) for a in named(streets, "ring")]
    middle = np.array([WEST + 2.5 * STEP, SOUTH + 2.5 * STEP])
    assert len(turns) == 4
    assert all(np.linalg.det(np.stack([a - middle, b - middle])) > 0 for a, b in turns)


def test_streets_without_a_way_back_are_left_out(tmp_path: Path) -> None:
    osm = OsmFile()
    out = osm.add_node(FAR + 1, 0)
    osm.add_way(junction(FAR, 0), out, highway="residential", oneway="yes", name="no return")
    lonely = [osm.add_node(20, 20), osm.add_node(21, 20)]
    osm.add_way(*lonely, highway="residential", name="elsewhere")
    streets = streets_of(osm, tmp_path)
    assert not named(streets, "no return")
    assert not named(streets, "elsewhere")
    graph = csr_array(
        (np.ones(len(streets.arcs)), tuple(np.array([(a.tail, a.head) for a in streets.arcs]).T))
    )
    parts, _ = connected_components(graph, directed=True, connection="strong")
    assert parts == 1


def test_no_road_leaves_the_bounds(tmp_path: Path) -> None:
    east = WEST + 4.5 * STEP
    osm = OsmFile(bounds=(WEST, SOUTH, east, SOUTH + FAR * STEP))
    streets = streets_of(osm, tmp_path)
    assert len(streets.nodes) == SIDE * FAR
    assert streets.nodes[:, 0].max() <= east


def test_a_part_of_an_extract_can_be_chosen(tmp_path: Path) -> None:
    file = OsmFile().write(tmp_path / "city.osm")
    wanted = (WEST, SOUTH, WEST + 4.5 * STEP, SOUTH + 4.5 * STEP)
    streets, _ = osm_streets(read_extract(file, wanted))
    assert len(streets.nodes) == FAR**2


def test_a_way_with_nodes_that_the_file_lacks_is_split_there(tmp_path: Path) -> None:
    osm = OsmFile()
    left = osm.add_node(-1, 0)
    osm.add_way(junction(0, 0), left, 99_999, junction(0, 1), highway="residential", name="cut")
    streets = streets_of(osm, tmp_path)
    assert [round(arc.length_m) for arc in named(streets, "cut")] == [72, 72]  # there and back, to the gap


def test_missing_tags_are_no_obstacle(tmp_path: Path) -> None:
    streets = streets_of(OsmFile(streets={"row 1": {"name": ""}}), tmp_path)
    unnamed = named(streets, "")
    assert len(unnamed) == 2 * FAR
    assert all(arc.limit_kmh == math.inf for arc in unnamed)


def test_times_follow_class_limit_and_junctions(tmp_path: Path) -> None:
    osm = OsmFile(
        streets={
            "row 2": {"highway": "primary"},
            "row 3": {"highway": "primary", "maxspeed": "10"},
            "row 4": {"highway": "primary", "maxspeed": "120"},
        }
    )
    streets = streets_of(osm, tmp_path)
    fast, slow, free = (named(streets, f"row {row}")[1] for row in (2, 3, 4))
    assert fast.time_s == pytest.approx(fast.length_m / FREE_FLOW_KMH["primary"] * 3.6 + JUNCTION_S)
    assert slow.time_s == pytest.approx(slow.length_m / 10 * 3.6 + JUNCTION_S)
    assert free.time_s == pytest.approx(fast.time_s, rel=0.01)  # no faster than its class


def test_a_street_that_only_bends_is_one_arc_with_its_shape(tmp_path: Path) -> None:
    osm = OsmFile()
    bends = [osm.add_node(FAR + 0.5, 0.2), osm.add_node(FAR + 0.5, 0.8)]
    osm.add_way(junction(FAR, 0), bends[0], highway="residential", name="bow")
    osm.add_way(bends[0], bends[1], junction(FAR, 2), highway="residential", name="bow")
    streets, shapes = osm_streets(read_extract(osm.write(tmp_path / "city.osm")))
    bow = [i for i, arc in enumerate(streets.arcs) if arc.name == "bow"]
    assert len(bow) == 2
    assert len(streets.nodes) == SIDE**2
    for i in bow:
        steps_m = np.hypot(*np.diff(shapes[i], axis=0).T)
        assert len(shapes[i]) == 4
        assert steps_m.sum() == pytest.approx(streets.arcs[i].length_m)
        ends = streets.plane.metres(streets.nodes[[streets.arcs[i].tail, streets.arcs[i].head]])
        assert np.allclose(shapes[i][[0, -1]], ends)
    assert np.array_equal(shapes[bow[0]], shapes[bow[1]][::-1])


def test_a_street_that_returns_to_where_it_left_is_two_arcs(tmp_path: Path) -> None:
    osm = OsmFile()
    loop = [osm.add_node(FAR + x, y) for x, y in ((0.5, 0.2), (0.9, 0.5), (0.5, 0.8))]
    osm.add_way(junction(FAR, 0), *loop, junction(FAR, 0), highway="residential", name="loop")
    streets = streets_of(osm, tmp_path)
    assert len(named(streets, "loop")) == 4
    assert all(arc.tail != arc.head for arc in streets.arcs)


# --- the folder ---------------------------------------------------------------------------------------


def build(folder: Path, osm: OsmFile, *more: str) -> int:
    file = osm.write(folder / "town.osm")
    return main([str(file), "--name", "town", "--into", str(folder / "cities"), *more])


def layer(folder: Path, name: str) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = json.loads((folder / f"basemap/{name}.geojson").read_bytes())["features"]
    return features


def with_sea_and_park() -> OsmFile:
    """A grid whose west is sea, with a park, a suburb and a shop."""
    osm = OsmFile(bounds=(WEST - STEP, SOUTH - STEP, WEST + SIDE * STEP, SOUTH + SIDE * STEP))
    # Land is on the left of a coastline: northwards with the sea in the east is wrong, southwards is right.
    shore = [osm.add_node(-0.5, row) for row in (SIDE + 0.5, 3, -0.8)]
    osm.add_way(*shore, natural="coastline")
    green = [osm.add_node(x, y) for x, y in ((2.1, 2.1), (2.9, 2.1), (2.9, 2.9), (2.1, 2.9))]
    osm.add_way(*green, green[0], leisure="park", name="Green")
    osm.add_node(1.5, 1.5, place="suburb", name="Old Town")
    osm.add_node(4.5, 4.5, shop="bakery")
    return osm


def test_an_extract_becomes_a_city_that_services_can_read(tmp_path: Path) -> None:
    more = ("--title", "Small Town", "--time-zone", "Europe/Oslo", "--drivers", "7")
    assert build(tmp_path, with_sea_and_park(), *more) == 0
    folder = tmp_path / "cities/town"
    info = load_city(folder)
    assert (info.name, info.title, info.drivers, info.utc_offset_h) == ("town", "Small Town", 7, 1)
    assert "OpenStreetMap contributors" in info.attribution
    roads = RoadNetwork.load(folder, cache_dir=tmp_path).prepare()
    demand = TripDemand.load(folder)
    assert (roads.travel_time_s(demand.from_node, demand.to_node) >= 120).all()
    zones = Zones.load(folder)
    assert zones is not None
    assert set(zones.zone.tolist()) == set(range(len(zones)))
    assert all(roads.contains(*place) for place in roads.nodes)
    assert "Synthetic" in (folder / "PROVENANCE.md").read_text(encoding="utf-8")
    assert "10.4 Choice of law" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert not list(folder.glob("roads-*"))


def test_land_lies_on_the_left_of_the_coast(tmp_path: Path) -> None:
    assert build(tmp_path, with_sea_and_park()) == 0
    ground = shape(layer(tmp_path / "cities/town", "land")[0]["geometry"])
    assert ground.contains(Point(WEST + 3 * STEP, SOUTH + 3 * STEP))
    assert not ground.contains(Point(WEST - 0.8 * STEP, SOUTH + 3 * STEP))


def test_parks_and_names_are_on_the_map(tmp_path: Path) -> None:
    assert build(tmp_path, with_sea_and_park()) == 0
    folder = tmp_path / "cities/town"
    [park] = layer(folder, "parks")
    assert park["properties"] == {"kind": "park", "name": "Green"}
    labels = {feature["properties"]["name"]: feature["properties"] for feature in layer(folder, "places")}
    assert {name: label["kind"] for name, label in labels.items()} == {
        "Old Town": "neighbourhood",
        "Green": "park",
    }


def test_the_same_extract_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert build(tmp_path / name, with_sea_and_park()) == 0
    assert differences(tmp_path / "one/cities/town", tmp_path / "two/cities/town") == []


def test_a_city_is_built_again_but_nothing_else_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path, OsmFile(), "--drivers", "5") == 0
    assert build(tmp_path, OsmFile(), "--drivers", "6") == 0
    assert load_city(tmp_path / "cities/town").drivers == 6
    (tmp_path / "cities/town/manifest.json").unlink()
    assert build(tmp_path, OsmFile()) == 2
    assert "is no city" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "cities").iterdir()] == ["town"]


# --- what is refused ----------------------------------------------------------------------------------


def without_roads() -> OsmFile:
    osm = OsmFile(has_grid=False)
    osm.add_way(osm.add_node(0, 0), osm.add_node(1, 1), highway="footway")
    return osm


def with_two_streets() -> OsmFile:
    osm = OsmFile(has_grid=False)
    osm.add_way(*(osm.add_node(x, 0) for x in range(3)), highway="residential")
    return osm


@pytest.mark.parametrize(
    ("osm", "more", "said"),
    [
        (without_roads, (), "contains no roads for cars"),
        (with_two_streets, (), "only 2 junctions"),
        (OsmFile, ("--bbox", "0,0,1,1"), "--bbox lies outside of the extract"),
        (lambda: OsmFile(has_grid=False), (), "contains no nodes"),
    ],
)
def test_an_extract_that_is_no_city_is_refused(
    osm: Callable[[], OsmFile],
    more: tuple[str, ...],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert build(tmp_path, osm(), *more) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "cities/town").exists()


@pytest.mark.parametrize(
    ("name", "content"), [("no.osm.pbf", None), ("a.osm.pbf", b"PK\3\4 no"), ("a.txt", b"x")]
)
def test_a_file_that_is_no_extract_is_refused(
    name: str, content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main([str(tmp_path / name), "--name", "town", "--into", str(tmp_path / "cities")]) == 2
    assert name in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("town.osm",),
        ("town.osm", "--name", "../up"),
        ("town.osm", "--name", "a=b"),
        ("town.osm", "--name", "town", "--check"),
        ("town.osm", "--name", "town", "--bbox", "1,2,3"),
        ("town.osm", "--name", "town", "--bbox", "3,0,1,1"),
        ("town.osm", "--name", "town", "--bbox", "nan,0,1,1"),
        ("town.osm", "--name", "town", "--time-zone", "Moon/Base"),
        ("town.osm", "--name", "town", "--travel-time-factor", "0"),
        ("town.osm", "--name", "town", "--drivers", "0"),
        ("--name", "atlantis"),
    ],
)
def test_a_wrong_option_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(list(arguments))


def test_an_own_number_of_taxis_follows_from_the_streets(tmp_path: Path) -> None:
    assert build(tmp_path, OsmFile()) == 0
    info: CityInfo = load_city(tmp_path / "cities/town")
    assert info.drivers == 44  # 11 km of lanes, 250 m for each
