# SPDX-License-Identifier: Apache-2.0
"""Cars stay on the streets, at speeds that cars have, and take the time that the tables say."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from simulator.draws import Floats, draws
from simulator.fleet import Fleet, Mode
from simulator.recovery import spots_of
from simulator.settings import CityBehavior
from simulator.streets import Streets
from taxi.messages import Fix

START_MS = 1_780_000_000_000


def fleet_of(streets: Streets, n: int, *, seed: int = 7) -> Fleet:
    fleet = Fleet(streets, CityBehavior(), seed, Fleet.home_spots(streets, n, seed))
    fleet.stepped_ms[:] = START_MS
    return fleet


def metres_to_nearest_arc(streets: Streets, points: Floats) -> Floats:
    """By brute force over points a metre apart on every arc."""
    roads = streets.roads
    count = np.ceil(roads.arc_length_m).astype(int) + 1
    arc = np.repeat(np.arange(roads.n_arcs), count)
    metres = np.arange(len(arc)) - np.repeat(np.cumsum(count) - count, count)
    on_street, _ = roads.along(arc, metres)
    distance_m, _ = cKDTree(roads.plane.metres(on_street)).query(roads.plane.metres(points))
    return np.asarray(distance_m)


def test_the_distance_to_the_nearest_street_is_that_of_a_thorough_search(manhattan: Streets) -> None:
    rng, city = np.random.default_rng(5), manhattan.roads.city
    west, south, east, north = city.bbox
    points = np.column_stack(
        (rng.uniform(west - 0.02, east + 0.02, 500), rng.uniform(south - 0.02, north, 500))
    )
    slowly = metres_to_nearest_arc(manhattan, points)
    assert np.abs(manhattan.roads.places.off_m(points) - slowly).max() < 6
    headings = rng.integers(-1, 360, 500).astype(np.int32)
    is_far = manhattan.roads.places.turning(points, headings).off_m > city.snap_m_max
    assert (is_far == (slowly > city.snap_m_max))[np.abs(slowly - city.snap_m_max) > 6].all()
    assert 100 < is_far.sum() < 400


def test_a_driver_last_seen_far_from_any_street_begins_at_home(manhattan: Streets) -> None:
    lng, lat = manhattan.roads.place(17)
    fixes = {
        1: Fix(driver=1, at_ms=0, lng=180.0, lat=90.0),
        2: Fix(driver=2, at_ms=0, lng=lng, lat=lat),
    }
    home = Fleet.home_spots(manhattan, 3, 7)
    spots = spots_of(manhattan, home, fixes)
    moved = (home.arc != spots.arc) | (home.share != spots.share)
    assert moved.tolist() == [False, True, False]


def test_everybody_is_on_a_street_after_ten_minutes_of_cruising(manhattan: Streets) -> None:
    fleet, rows = fleet_of(manhattan, 2000), np.arange(2000)
    for second in range(1, 601):
        fleet.step(rows, START_MS + 1000 * second)
    away_m = metres_to_nearest_arc(manhattan, fleet.see(rows).points)
    assert away_m.max() < 15
    assert np.median(away_m) > 0.5  # and not all on the centre line


def test_no_car_jumps_or_races(manhattan: Streets) -> None:
    fleet, rows = fleet_of(manhattan, 1000), np.arange(1000)
    for row in range(0, 1000, 2):
        fleet.send(row, row * 4)
    before = manhattan.roads.plane.metres(fleet.see(rows).points)
    for second in range(1, 301):
        fleet.step(rows, START_MS + 1000 * second)
        sight = fleet.see(rows)
        now = manhattan.roads.plane.metres(sight.points)
        assert np.hypot(*(now - before).T).max() < 30
        assert sight.speed.max() < 30
        before = now


@pytest.mark.parametrize("speed", [1, 10, 30])
def test_a_drive_takes_the_time_of_the_tables(manhattan: Streets, speed: int) -> None:
    """A car that moves once a second of the clock passes many short streets at once if people live faster."""
    n = 300
    fleet, rows = fleet_of(manhattan, n), np.arange(n)
    fleet.speed = speed
    fleet.share[:] = 1 - 1e-9
    origin = manhattan.roads.arc_to[fleet.arc]
    _, target = manhattan.demand.sample(draws(1, rows))
    expected_s = manhattan.roads.travel_time_s(origin, target)
    for row in rows.tolist():
        fleet.send(row, int(target[row]))
    taken_s = np.full(n, np.nan)
    for second in range(speed, 2 * int(expected_s.max()), speed):
        taken_s[fleet.step(rows, START_MS + 1000 * second)] = second
    error_s = np.abs(taken_s - expected_s)
    # Who is at the node already goes on to stand behind it: no drive at all.
    assert np.nanmax(error_s - 0.15 * expected_s) <= 10 + speed
    assert not np.isnan(taken_s).any()


def test_a_car_that_arrives_is_a_few_metres_before_the_node(grid: Streets) -> None:
    fleet, rows = fleet_of(grid, 40), np.arange(40)
    for row in range(40):
        fleet.send(row, row % grid.roads.n_nodes)
    for second in range(1, 600):
        fleet.step(rows, START_MS + 1000 * second)
    assert (fleet.mode == Mode.STAND).all()
    sight = fleet.see(rows)
    here = grid.roads.plane.metres(sight.points)
    there = grid.roads.plane.metres(grid.roads.nodes[rows % grid.roads.n_nodes])
    assert np.hypot(*(here - there).T).max() < 30
    assert (sight.speed == 0).all()


def test_a_car_waits_where_it_was_while_it_is_not_moved(grid: Streets) -> None:
    fleet, rows = fleet_of(grid, 50), np.arange(50)
    before = grid.roads.plane.metres(fleet.see(rows).points)
    fleet.step(rows, START_MS + 600_000)
    after = grid.roads.plane.metres(fleet.see(rows).points)
    assert np.hypot(*(after - before).T).max() < 60


def test_steps_of_a_tenth_and_of_a_second_lead_to_the_same_place(grid: Streets) -> None:
    coarse, fine = fleet_of(grid, 30), fleet_of(grid, 30)
    rows = np.arange(30)
    for fleet, step_ms in ((coarse, 1000), (fine, 100)):
        for row in range(30):
            fleet.send(row, (row * 7 + 3) % grid.roads.n_nodes)
        for now_ms in range(START_MS + step_ms, START_MS + 60_001, step_ms):
            fleet.step(rows, now_ms)
    assert (coarse.arc == fine.arc).all()
    assert coarse.share == pytest.approx(fine.share, abs=1e-6)


def test_one_seed_is_one_city(grid: Streets) -> None:
    fleets = [fleet_of(grid, 50, seed=seed) for seed in (1, 1, 2)]
    for fleet in fleets:
        for second in range(1, 200):
            fleet.step(np.arange(50), START_MS + 1000 * second)
    one, same, other = (fleet.see(np.arange(50)).points for fleet in fleets)
    assert (one == same).all()
    assert not (one == other).all()


def test_some_idle_drivers_park_and_most_cruise(manhattan: Streets) -> None:
    fleet, rows = fleet_of(manhattan, 2000), np.arange(2000)
    for second in range(1, 601):
        fleet.step(rows, START_MS + 1000 * second)
    parked = (fleet.mode == Mode.PARK).mean()
    assert 0.05 < parked < 0.35
    assert set(np.unique(fleet.mode)) == {Mode.CRUISE, Mode.PARK}


def test_a_fix_leads_back_to_the_place_it_was_taken(manhattan: Streets) -> None:
    fleet, rows = fleet_of(manhattan, 2000), np.arange(2000)
    for second in range(1, 121):
        fleet.step(rows, START_MS + 1000 * second)
    seen = fleet.see(rows)
    found = Fleet(manhattan, CityBehavior(), 7, manhattan.locate(seen.points.round(6), seen.heading.round()))
    again = found.see(rows)
    plane = manhattan.roads.plane
    apart_m = np.hypot(*(plane.metres(seen.points) - plane.metres(again.points)).T)
    assert apart_m.max() < 30
    turned = np.cos(np.radians(again.heading - seen.heading))
    assert (turned > 0.7).mean() > 0.995  # the right side of a two-way street


def test_time_along_an_arc_and_back_again(manhattan: Streets) -> None:
    arc = np.arange(manhattan.roads.n_arcs, dtype=np.int32)
    share = draws(3, arc)
    assert manhattan.share_at(arc, manhattan.metres(arc, share)) == pytest.approx(share, abs=1e-3)
