# SPDX-License-Identifier: Apache-2.0
"""The fastest way over HTTP: along streets, from the nearest of some places, with its time and fare."""

from typing import Any

import pytest

from gateway.http.route_service import STARTS_MAX
from taxi.tariff import fare_cents
from testing.gateway_harness import HERE, ROADS, THERE, GatewayHarness
from tests.unit.gateway.web import assert_problem, client, site


def text(place: tuple[float, ...]) -> str:
    return ",".join(map(str, place))


def ask(harness: GatewayHarness, *starts: str, to: str) -> Any:
    answers = []

    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        async with client(site(harness)) as web:
            answers.append(await web.get("/api/route", params={"from": list(starts), "to": to}))

    harness.run(scenario())
    return answers[0]


def test_a_way_follows_the_streets_and_has_their_time_length_and_fare(harness: GatewayHarness) -> None:
    way = ask(harness, text(HERE), to=text(THERE)).json()
    arcs = ROADS.route(0, 15)
    assert way["line"][0] == pytest.approx(HERE)
    assert way["line"][-1] == pytest.approx(THERE, abs=1e-5)
    corners = [ROADS.place(int(ROADS.arc_to[arc])) for arc in arcs]
    assert all(any(point == pytest.approx(corner, abs=1e-6) for point in way["line"]) for corner in corners)
    percent = ROADS.city.drive_percent_at(harness.now_ms())
    assert way["time_s"] == int(ROADS.travel_time_s(0, 15)) * percent // 100
    assert way["length_m"] == round(ROADS.length_m(arcs))
    assert way["fare_cents"] == fare_cents(way["length_m"], way["time_s"])


def test_of_several_places_the_nearest_by_time_counts(harness: GatewayHarness) -> None:
    near = ROADS.place(14)
    way = ask(harness, text(HERE), text(near), to=text(THERE)).json()
    assert way["start"] == 1
    assert way["line"][0] == pytest.approx(near)


@pytest.mark.parametrize(
    ("starts", "to", "status"),
    [
        ([], text(THERE), 400),
        ([text(HERE)] * (STARTS_MAX + 1), text(THERE), 400),
        (["1"], text(THERE), 400),
        (["nan,nan"], text(THERE), 400),
        (["1,2,361"], text(THERE), 400),
        (["1,2,3,4"], text(THERE), 400),
        ([text(HERE)], "", 400),
        (["0,0"], text(THERE), 422),
        ([text(HERE)], "0,0", 422),
    ],
)
def test_what_is_no_place_of_the_city_is_a_problem(
    harness: GatewayHarness, starts: list[str], to: str, status: int
) -> None:
    assert_problem(ask(harness, *starts, to=to), status)


def test_a_taxi_drives_on_before_it_can_turn(harness: GatewayHarness) -> None:
    roads = ROADS
    arc = 5
    [place], [heading] = roads.along([arc], [roads.arc_length_m[arc] / 2])
    there = roads.place(int(roads.arc_from[arc]))
    ahead = ask(harness, f"{text(place.tolist())},{int(heading)}", to=text(there)).json()
    assert ahead["speed"] == 1
    on_arcs = roads.length_m(roads.route(int(roads.arc_to[arc]), int(roads.arc_from[arc])))
    assert ahead["length_m"] == pytest.approx(on_arcs + roads.arc_length_m[arc] / 2, abs=3)
    assert ahead["line"][1] == pytest.approx(roads.place(int(roads.arc_to[arc])), abs=1e-5)
