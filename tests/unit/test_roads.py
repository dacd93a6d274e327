# SPDX-License-Identifier: Apache-2.0
"""The street network: ways, times and places on it, held against simple and slow answers."""

import heapq
import logging
import multiprocessing
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from taxi.roads.grid import grid_city
from taxi.roads.network import LocalPlane, RoadNetwork, TripDemand, UnknownCityError, load_city
from taxi.roads.places import Places
from taxi.roads.tables import Links, compute_tables, load_tables


@pytest.fixture(scope="module")
def square() -> RoadNetwork:
    """A 6 × 5 grid where every arc has a pace of its own, so that fastest ways are unique."""
    grid = grid_city(6, 5)
    pace = np.random.default_rng(5).uniform(0.5, 2.0, grid.n_arcs)
    return replace(grid, arc_time_s=grid.arc_time_s * pace)


def seconds_from(network: RoadNetwork, start: int) -> list[float]:
    """Dijkstra as in the textbook."""
    leaving: dict[int, list[int]] = {node: [] for node in range(network.n_nodes)}
    for arc, node in enumerate(network.arc_from.tolist()):
        leaving[node].append(arc)
    best = [float("inf")] * network.n_nodes
    heap = [(0.0, start)]
    while heap:
        so_far, node = heapq.heappop(heap)
        if so_far < best[node]:
            best[node] = so_far
            for arc in leaving[node]:
                heapq.heappush(heap, (so_far + float(network.arc_time_s[arc]), int(network.arc_to[arc])))
    return best


def test_nodes_of_many_places_are_those_of_each(square: RoadNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taxi.roads.network.NEAREST_KEPT_MAX", 50)
    rng = np.random.default_rng(3)
    places = [
        tuple(place)
        for place in (square.nodes[rng.integers(0, 30, 80)] + rng.normal(0, 1e-4, (80, 2))).tolist()
    ]
    slowly = [int(square.nearest_nodes(np.array([place]))[0][0]) for place in places]
    for some in (places[:3], places[:40], places, places[5:], []):
        first = places.index(some[0]) if some else 0
        assert square.nodes_of(some).tolist() == slowly[first : first + len(some)]
    assert square.nearest_node(*places[7])[0] == slowly[7]


# --- ways ---------------------------------------------------------------------------------------------


def test_travel_times_are_those_of_an_independent_search(square: RoadNetwork) -> None:
    for start in range(square.n_nodes):
        expected = np.rint(seconds_from(square, start))
        assert square.travel_time_s(start, np.arange(square.n_nodes)).tolist() == expected.tolist()


def test_travel_times_broadcast_to_a_matrix(square: RoadNetwork) -> None:
    matrix = square.travel_time_s(np.arange(3)[:, None], np.array([7, 9]))
    assert matrix.shape == (3, 2)
    assert matrix[2, 1] == square.travel_time_s(2, 9)
    assert matrix.dtype == np.int32  # sums must not wrap round at 65,536


def test_a_route_joins_its_ends_and_its_time_adds_up(square: RoadNetwork) -> None:
    for start in range(square.n_nodes):
        for end in range(square.n_nodes):
            arcs = square.route(start, end)
            stops = [start, *square.arc_to[arcs].tolist()]
            assert square.arc_from[arcs].tolist() == stops[:-1]
            assert stops[-1] == end
            assert abs(square.time_s(arcs) - square.travel_time_s(start, end)) <= 0.5
            assert square.length_m(arcs) == pytest.approx(200 * len(arcs))


def test_the_next_arc_is_the_first_of_the_route_and_none_at_the_end(square: RoadNetwork) -> None:
    first = square.next_arc(np.array([0, 4, 11]), 11)
    assert first.tolist() == [square.route(0, 11)[0], square.route(4, 11)[0], -1]
    assert square.route(11, 11).tolist() == []


def test_of_parallel_arcs_the_fastest_is_driven_and_loops_never() -> None:
    links = Links(2, np.array([0, 0, 0, 1]), np.array([1, 1, 0, 0]), np.array([9.0, 4.0, 0.1, 5.0]))
    tables = compute_tables(links)
    assert tables.time_s.tolist() == [[0, 5], [4, 0]]
    assert tables.next_arc[1, 0] == 1


def test_a_network_that_does_not_hang_together_is_refused() -> None:
    one_way = Links(2, np.array([0]), np.array([1]), np.array([4.0]))
    with pytest.raises(ValueError, match="strongly connected"):
        compute_tables(one_way)


# --- places -------------------------------------------------------------------------------------------


def test_the_nearest_node_is_the_one_that_brute_force_finds(square: RoadNetwork) -> None:
    (west, south), (east, north) = square.nodes.min(axis=0), square.nodes.max(axis=0)
    points = np.random.default_rng(3).uniform((west, south), (east, north), (200, 2))
    node, distance_m = square.nearest_nodes(points)
    steps = square.plane.metres(points)[:, None] - square.plane.metres(square.nodes)
    everywhere_m = np.hypot(steps[..., 0], steps[..., 1])
    assert node.tolist() == everywhere_m.argmin(axis=1).tolist()
    assert distance_m == pytest.approx(everywhere_m.min(axis=1))


def test_where_a_car_can_turn_does_not_hang_on_who_was_asked_about_before(square: RoadNetwork) -> None:
    rng = np.random.default_rng(4)
    points = rng.uniform(square.nodes.min(axis=0), square.nodes.max(axis=0), (20, 2))
    heading = rng.integers(-1, 360, 20, np.int32)
    alone = [Places(square).turning(points[i : i + 1], heading[i : i + 1]) for i in range(20)]
    places = Places(square)
    for _ in range(30):
        some = rng.integers(0, 20, 9)
        found = places.turning(points[some], heading[some])
        assert found.node.tolist() == [int(alone[i].node[0]) for i in some]
        assert found.rest_s.tolist() == [int(alone[i].rest_s[0]) for i in some]
    assert not len(places.turning(points[:0], heading[:0]).node)


@pytest.mark.parametrize("away_m", [0.0, 5.0, 500.0])
def test_a_car_is_on_the_street_that_is_nearest_however_far_that_is(
    square: RoadNetwork, away_m: float
) -> None:
    west = square.nodes[:, 0].min()
    ends = square.nodes[square.arc_from, 0] + square.nodes[square.arc_to, 0]
    along_the_edge = np.flatnonzero(np.isclose(ends, 2 * west)).astype(np.int32)
    points, heading = square.along(along_the_edge, square.arc_length_m[along_the_edge] / 2)
    points = points - (away_m / square.plane.m_per_lng, 0.0)
    found = square.places.turning(points, np.rint(heading).astype(np.int32))
    assert found.node.tolist() == square.arc_to[along_the_edge].tolist()


def test_a_trip_is_as_long_as_its_ends_are_apart(square: RoadNetwork) -> None:
    for _ in range(2):
        for start, end in ((0, 7), (7, 0), (3, 3)):
            expected = (end, int(square.travel_time_s(start, end)))
            assert square.trip(square.place(start), square.place(end)) == expected


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_nowhere(square: RoadNetwork, bad: float) -> None:
    lng, lat = square.nodes[0].tolist()
    assert square.contains(lng, lat)
    assert not square.contains(bad, lat)
    assert not square.contains(lng, bad)
    with pytest.raises(ValueError, match="finite"):
        square.nearest_node(bad, lat)


def test_the_service_area_ends_at_its_box_and_away_from_streets(square: RoadNetwork) -> None:
    lng, lat = square.nodes[0].tolist()
    assert not square.contains(lng - 0.01, lat)
    strict = replace(square, city=msgspec.structs.replace(square.city, snap_m_max=20.0))
    middle_of_a_block = square.nodes[[0, 7]].mean(axis=0).tolist()
    assert square.contains(*middle_of_a_block)
    assert not strict.contains(*middle_of_a_block)


def test_the_plane_agrees_with_the_great_circle() -> None:
    plane = LocalPlane.around(-73.97, 40.78)
    a, b = np.radians([-74.01, 40.70]), np.radians([-73.92, 40.87])
    haversine = np.sin((b[1] - a[1]) / 2) ** 2 + np.cos(a[1]) * np.cos(b[1]) * np.sin((b[0] - a[0]) / 2) ** 2
    great_circle_m = 2 * 6_371_009 * np.arcsin(np.sqrt(haversine))
    flat_m = np.hypot(*(plane.metres(np.degrees(b)) - plane.metres(np.degrees(a))))
    assert flat_m == pytest.approx(great_circle_m, rel=0.004)
    assert plane.degrees(plane.metres([-73.9, 40.7])) == pytest.approx(np.array([-73.9, 40.7]))


# --- along an arc -------------------------------------------------------------------------------------


def test_one_drives_from_an_arcs_first_node_to_its_second(square: RoadNetwork) -> None:
    arcs = np.arange(square.n_arcs)
    assert square.along(arcs, np.zeros(square.n_arcs))[0] == pytest.approx(square.nodes[square.arc_from])
    assert square.along(arcs, square.arc_length_m)[0] == pytest.approx(square.nodes[square.arc_to])
    assert square.along(arcs, np.full(square.n_arcs, 1e9))[0] == pytest.approx(square.nodes[square.arc_to])


def test_halfway_is_halfway_and_headings_turn_clockwise_from_north(square: RoadNetwork) -> None:
    east, west, north = (
        np.flatnonzero((square.arc_from == a) & (square.arc_to == b))[0] for a, b in ((0, 1), (1, 0), (0, 6))
    )
    points, headings = square.along([east, west, north], [100, 100, 100])
    assert points[0] == pytest.approx(square.nodes[[0, 1]].mean(axis=0))
    assert headings == pytest.approx([90, 270, 0])


def test_a_bent_arc_is_followed_by_the_metre_and_ends_at_its_true_length() -> None:
    straight = grid_city(2, 1)
    corner = straight.plane.degrees(straight.plane.metres(straight.nodes[0]) + np.array([0.0, 300.0]))
    bent = replace(
        straight,
        arc_length_m=np.array([1400.0, 200.0]),  # drawn 300 + about 361 m: the true way winds more
        shape=np.array([straight.nodes[0], corner, straight.nodes[1], straight.nodes[1], straight.nodes[0]]),
        shape_start=np.array([0, 3, 5], np.int32),
    )
    points, metres = bent.polyline(0)
    assert len(points) == 3
    assert metres[[0, -1]] == pytest.approx([0, 1400])
    assert metres[1] == pytest.approx(1400 * 300 / (300 + np.hypot(300, 200)), rel=1e-3)
    place, heading = bent.along(0, metres[1])
    assert place == pytest.approx(corner)
    assert bent.along(0, metres[1] / 2)[1] == pytest.approx(0, abs=1e-6)
    assert 90 < heading < 180


# --- the cache of tables ------------------------------------------------------------------------------


def links_of(network: RoadNetwork) -> Links:
    return Links(network.n_nodes, network.arc_from, network.arc_to, network.arc_time_s)


def cached_file(folder: Path) -> Path:
    (found,) = folder.glob("*.npy")
    return found


def test_tables_are_cached_and_mapped(square: RoadNetwork, tmp_path: Path) -> None:
    fresh = compute_tables(links_of(square))
    for _ in range(2):
        tables = load_tables(links_of(square), "square", tmp_path)
        assert isinstance(tables.time_s, np.memmap)
        assert np.array_equal(tables.time_s, fresh.time_s)
        assert np.array_equal(tables.next_arc, fresh.next_arc)


@pytest.mark.parametrize("keep_bytes", [0, 10, 200, 1_000])
def test_a_file_cut_short_is_computed_again(square: RoadNetwork, tmp_path: Path, keep_bytes: int) -> None:
    load_tables(links_of(square), "square", tmp_path)
    whole = cached_file(tmp_path).read_bytes()
    cached_file(tmp_path).write_bytes(whole[:keep_bytes])
    load_tables(links_of(square), "square", tmp_path)
    assert cached_file(tmp_path).read_bytes() == whole


def test_a_single_wrong_bit_is_noticed(
    square: RoadNetwork, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load_tables(links_of(square), "square", tmp_path)
    whole = cached_file(tmp_path).read_bytes()
    middle = len(whole) // 2
    cached_file(tmp_path).write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with caplog.at_level(logging.WARNING):
        load_tables(links_of(square), "square", tmp_path)
    assert "damaged" in caplog.text
    assert cached_file(tmp_path).read_bytes() == whole


def test_a_write_that_dies_leaves_neither_half_a_file_nor_rubbish(
    square: RoadNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", power_cut)
    with pytest.raises(KeyboardInterrupt):
        load_tables(links_of(square), "square", tmp_path)
    assert not list(tmp_path.glob("*.npy*"))


def test_another_graph_has_another_file_and_the_old_one_goes(square: RoadNetwork, tmp_path: Path) -> None:
    load_tables(links_of(square), "square", tmp_path)
    before = cached_file(tmp_path)
    slower = replace(square, arc_time_s=square.arc_time_s * 2)
    load_tables(links_of(slower), "square", tmp_path)
    assert cached_file(tmp_path) != before


def test_where_nothing_can_be_written_the_tables_stay_in_memory(
    square: RoadNetwork, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        tables = load_tables(links_of(square), "square", tmp_path / "file" / "folder")
    assert np.array_equal(tables.time_s, compute_tables(links_of(square)).time_s)
    assert "not cached" in caplog.text


def test_processes_that_start_together_end_with_one_whole_file(square: RoadNetwork, tmp_path: Path) -> None:
    expected = compute_tables(links_of(square)).time_s.sum()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        sums = pool.starmap(sum_of_times, [(links_of(square), tmp_path)] * 4)
    assert sums == [expected] * 4
    assert cached_file(tmp_path).is_file()


def sum_of_times(links: Links, folder: Path) -> int:
    return int(load_tables(links, "square", folder).time_s.sum())


# --- demand -------------------------------------------------------------------------------------------


def test_draws_fall_on_pairs_by_their_counts() -> None:
    demand = TripDemand(np.array([4, 5, 6]), np.array([7, 8, 9]), np.array([1, 2, 1]))
    assert demand.trips == 4
    origin, destination = demand.sample([0.0, 0.2499, 0.25, 0.7499, 0.75, np.nextafter(1, 0)])
    assert origin.tolist() == [4, 4, 5, 5, 6, 6]
    assert destination.tolist() == [7, 7, 8, 8, 9, 9]
    assert [int(node) for node in demand.sample(0.5)] == [5, 8]


@pytest.mark.parametrize("bad", [-0.01, 1.0, float("nan")])
def test_a_draw_outside_its_range_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="draws"):
        TripDemand.uniform(3).sample([0.5, bad])


def test_uniform_demand_never_goes_nowhere() -> None:
    demand = TripDemand.uniform(4)
    assert demand.trips == 12
    assert (demand.from_node != demand.to_node).all()


@pytest.mark.parametrize("counts", [[], [1, 0]])
def test_demand_without_trips_is_refused(counts: list[int]) -> None:
    nodes = np.arange(len(counts), dtype=np.int32)
    with pytest.raises(ValueError, match="trip demand"):
        TripDemand(nodes, nodes, np.array(counts, np.int32))


# --- cities -------------------------------------------------------------------------------------------


def test_an_unknown_city_is_refused_by_name() -> None:
    with pytest.raises(UnknownCityError, match=r"atlantis.*manhattan"):
        load_city("atlantis")


@pytest.mark.parametrize("name", ["", ".", "..", "../cities/manhattan", "/etc"])
def test_a_citys_name_is_no_path(name: str) -> None:
    with pytest.raises(UnknownCityError):
        load_city(name)


def test_a_network_is_frozen(square: RoadNetwork) -> None:
    for array in (square.nodes, square.arc_time_s, square.shape):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_grid_of_one_has_no_street() -> None:
    with pytest.raises(ValueError, match="no street"):
        grid_city(1, 1)


def test_every_block_of_a_grid_can_be_driven_both_ways() -> None:
    grid = grid_city(4, 3)
    pairs = set(zip(grid.arc_from.tolist(), grid.arc_to.tolist(), strict=True))
    assert pairs == {(b, a) for a, b in pairs}
    assert len(pairs) == grid.n_arcs == 2 * (3 * 3 + 4 * 2)
