# SPDX-License-Identifier: Apache-2.0
"""What a person sees: taxis on streets, a ride from request to drop-off, and a kill that changes nothing."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from taxi.messages import Place
from taxi.roads.network import RoadNetwork
from testing.live_demo import LiveDemo, until
from tests.e2e.streets import Seen, metres_apart, metres_from_street, short_ride

pytestmark = [pytest.mark.kafka, pytest.mark.browser, pytest.mark.slow]

DRIVERS = 600
STREET_M_MAX = 20.0
RIDE = "web-endtoend67236"
"""Draws are keyed by the ride: its first driver says yes, and its rider is quick to get in and out."""
VACANT = 1
REQUESTED, COMPLETED = 1, 6
AT_DROPOFF_M = 100.0
"""The place is the middle of a crossing, the taxi stops before it at the kerb, and drives off at once."""


@pytest.fixture(scope="module")
def roads() -> RoadNetwork:
    return RoadNetwork.load("manhattan").prepare()


@pytest.fixture(scope="module")
def page(browser: Browser, demo: LiveDemo) -> Iterator[Page]:
    """One page for all tests, open and verified; fails at the end if the console showed an error."""
    errors: list[str] = []
    opened = browser.new_page(viewport={"width": 1200, "height": 800})
    opened.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(demo.url)
    until(lambda: snapshot(opened)["drivers"] == DRIVERS, 60, "every taxi on the page")
    until(lambda: snapshot(opened)["mapReady"] and drawn(opened), 60, "a drawn map")
    yield opened
    opened.close()
    assert errors == []


def snapshot(page: Page) -> dict[str, Any]:
    found: dict[str, Any] | None = page.evaluate("window.taxistream?.snapshot() ?? null")
    return found or {"drivers": 0, "mapReady": False}


def drawn(page: Page, at_most: int = DRIVERS) -> dict[int, tuple[float, float]]:
    """Driver → where the page draws it now."""
    rows = page.evaluate("atMost => window.taxistream.drawn(undefined, atMost)", at_most)
    return {row["driver"]: (row["lng"], row["lat"]) for row in rows}


def where(page: Page, driver: int) -> Place:
    """Where one driver is drawn."""
    [row] = page.evaluate("driver => window.taxistream.drawn([driver])", driver)
    return row["lng"], row["lat"]


def ride_on(page: Page) -> dict[str, Any]:
    """The page's row of the ride asked for; its state is 0 while there is none."""
    row: dict[str, Any] | None = page.evaluate("id => window.taxistream.ride(id)", RIDE)
    return row or {"state": 0}


def completed_ride(demo: LiveDemo) -> dict[str, Any] | None:
    """The ride as the API has it; None if the gateway that answers has not seen its end.

    The page follows another gateway, which may be a moment ahead of this one.
    """
    try:
        ride: dict[str, Any] = demo.get(f"/api/rides/{RIDE}")
    except OSError:
        return None
    return ride if ride["state"] == "COMPLETED" else None


def vacant(page: Page) -> dict[int, tuple[float, float]]:
    """Where the page draws taxis without a rider."""
    rows = page.evaluate("atMost => window.taxistream.drawn(undefined, atMost)", DRIVERS)
    return {row["driver"]: (row["lng"], row["lat"]) for row in rows if row["status"] == VACANT}


def a_short_ride(page: Page, roads: RoadNetwork) -> tuple[Place, Place] | None:
    """Pickup and drop-off, from two looks at the vacant taxis more than a second apart."""
    before, seen_ms = vacant(page), snapshot(page)["cutMs"]
    until(lambda: snapshot(page)["cutMs"] > seen_ms + 1_500, 10, "the picture moves on")
    return short_ride(roads, Seen(before, vacant(page)))


def test_taxis_move_along_streets_and_the_page_proves_its_view(page: Page, roads: RoadNetwork) -> None:
    first = drawn(page)
    moved = until(
        lambda: [d for d, place in drawn(page).items() if d in first and place != first[d]][300:] or None,
        60,
        "more than 300 taxis that moved",
    )
    assert moved
    off_street = metres_from_street(roads, list(drawn(page).values()))
    # Drawn between two fixes a second apart: a corner may be cut by a few metres.
    assert np.quantile(off_street, 0.99) < STREET_M_MAX
    seen = snapshot(page)
    assert seen["hashMismatches"] == 0
    assert seen["cuts"] > 10
    expect(page.get_by_text(f"{DRIVERS} taxis").first).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("OpenStreetMap"))).to_be_visible()


def test_a_ride_is_asked_for_through_the_api_and_a_repeat_is_the_same_ride(
    page: Page, roads: RoadNetwork
) -> None:
    ask = """async body => {
        const answer = await fetch("/api/rides", {method: "POST", body: JSON.stringify(body),
            headers: {"content-type": "application/json"}});
        return [answer.status, await answer.json()];
    }"""
    pickup, dropoff = until(lambda: a_short_ride(page, roads), 60, "a vacant taxi on its way to a corner")
    body = {"ride": RIDE, "pickup": pickup, "dropoff": dropoff}
    status, answer = page.evaluate(ask, body)
    assert (status, answer["ride"]) == (202, RIDE)
    assert page.evaluate(ask, body) == [status, answer]
    until(lambda: ride_on(page)["state"], 30, "the ride on the page")


def test_killing_the_gateway_it_hangs_on_leaves_the_map_going(page: Page, demo: LiveDemo) -> None:
    before = snapshot(page)
    killed = demo.parts()[before["gateway"]]["pid"]
    page.get_by_role("button", name="Kill my gateway").click()
    resumed = until(
        lambda: (now := snapshot(page))["gateway"] != before["gateway"] and now["state"] == "live" and now,
        30,
        "the page on another gateway",
    )
    assert (resumed["hashMismatches"], resumed["resets"]) == (0, 0)
    assert (resumed["missed"], resumed["repeated"]) == (0, 0)
    until(lambda: snapshot(page)["cuts"] > resumed["cuts"] + 20, 30, "cuts that go on")
    first = drawn(page)
    until(lambda: sum(p != first.get(d) for d, p in drawn(page).items()) > 300, 60, "taxis that move on")
    expect(page.get_by_text(f"{before['gateway']} killed").first).to_be_visible()
    back = until(
        lambda: (part := demo.parts()[before["gateway"]])["state"] == "ready" and part, 60, "it is back"
    )
    assert back["pid"] != killed
    assert back["restarts"] >= 1
    page.reload()
    until(lambda: snapshot(page)["drivers"] == DRIVERS, 60, "the page again, after a reload")


def test_a_frozen_part_is_woken_and_measured_and_a_second_window_has_the_same_hash(page: Page) -> None:
    page.keyboard.press("p")
    chaos = page.get_by_role("region", name="Break something")
    chaos.get_by_role("button", name="Freeze simulator").click()
    chaos.get_by_role("button", name="Wake simulator").click()
    row = chaos.get_by_role("listitem").filter(has_text="simulator")
    expect(row).to_have_text(re.compile(r"Freezelast recovery (\d+\.\d+ s|\d+:\d\d)$"), timeout=60_000)
    proof = page.get_by_role("region", name="Proof")
    with page.expect_popup() as opened:
        proof.get_by_role("button", name="Open a second window").click()
    expect(proof.get_by_text(re.compile(r"(\d+) of \1 common cuts equal"))).to_be_visible(timeout=60_000)
    opened.value.close()
    expect(proof.get_by_role("heading", name="These rows equal those of")).to_be_visible(timeout=30_000)
    page.keyboard.press("Escape")
    expect(proof).to_be_hidden()
    seen = snapshot(page)
    assert (seen["hashMismatches"], seen["missed"], seen["repeated"]) == (0, 0, 0)


def test_the_ride_is_driven_to_its_end_across_the_kill(
    page: Page, demo: LiveDemo, roads: RoadNetwork
) -> None:
    states = [ride_on(page)["state"]]

    def end() -> dict[str, Any] | None:
        row = ride_on(page)
        if row["state"] != states[-1]:
            states.append(row["state"])
        return row if row["state"] == COMPLETED else None

    row = until(end, 420, "the ride's end")
    taxi = where(page, row["driver"])
    # Forward only, but for a refused offer: then it waits again.
    assert all(after > before or after == REQUESTED for before, after in itertools.pairwise(states))
    ride = until(lambda: completed_ride(demo), 30, "the ride's end by the API")
    assert ride["driver"] == row["driver"]
    assert ride["fare_cents"] > 0
    assert metres_apart(roads, taxi, ride["dropoff"]) < AT_DROPOFF_M
