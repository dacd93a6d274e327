# SPDX-License-Identifier: Apache-2.0
"""A graphics context that is lost and comes back: taxis are where their streets are, or the page says so."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from testing.live_demo import LiveDemo, until
from tests.e2e.pixels import drawn_by, share_at

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GROUND, TAXIS, NAMES = 0, 1, 2
"""The canvases of the map, in the order in which they lie over one another."""
CANVASES: Final = ["ground", "taxis", "names"]
DRAWN_MIN: Final = 0.97
"""Of all taxis in sight, so many are drawn where they are. At most half would be by chance."""
CHANCE_MAX: Final = 0.6
FAR: Final = (37, 23)
NAMED_PX: Final = 1_500
"""Pixels of all names, far fewer than there are."""

LOSE: Final = """canvas => {
    const context = document.querySelectorAll(".map canvas")[canvas].getContext("webgl2");
    (window.lossOf ??= {})[canvas] = context.getExtension("WEBGL_lose_context");
    window.lossOf[canvas].loseContext();
}"""


@pytest.fixture(scope="module")
def page(browser: Browser, memory_demo: LiveDemo) -> Iterator[Page]:
    """A page with its map, close enough that taxis are apart. Each test but the last leaves the map whole."""
    errors: list[str] = []
    opened = browser.new_page(viewport={"width": 1000, "height": 800})
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(f"{memory_demo.url}/#at=-73.9785,40.7527/12.9")
    until(lambda: snapshot(opened).get("mapReady") and snapshot(opened)["drivers"] > 500, 60, "a drawn map")
    zoom = opened.evaluate("window.taxistream.view().zoom")
    opened.get_by_role("button", name="Zoom in").click()
    until(lambda: opened.evaluate("window.taxistream.view().zoom") >= zoom + 0.999, 10, "a closer look")
    until(lambda: is_right(opened), 30, "taxis that are drawn where they are")
    yield opened
    opened.close()
    assert errors == []


def snapshot(page: Page) -> dict[str, Any]:
    found: dict[str, Any] | None = page.evaluate("window.taxistream?.snapshot() ?? null")
    return found or {"drivers": 0}


def is_right(page: Page) -> bool:
    """Whether every taxi in sight is on the screen, at its place and not just anywhere."""
    mask, places = drawn_by(page, "canvas.taxis")
    if len(places) < 20 or share_at(mask, places, off=FAR) > CHANCE_MAX:
        return False
    return share_at(mask, places) >= DRAWN_MIN


def pan(page: Page, x: int, y: int) -> None:
    page.mouse.move(500, 450)
    page.mouse.down()
    page.mouse.move(500 + x, 450 + y, steps=6)
    page.mouse.up()


def lose(page: Page, canvas: int) -> None:
    page.evaluate(LOSE, canvas)
    until(lambda: snapshot(page)["mapTrouble"] == "lost", 10, "a page that notices")
    assert snapshot(page)["health"] == "troubled"
    expect(page.get_by_text("The map is paused").first).to_be_visible()
    expect(page.get_by_text("hash equals the gateway’s")).to_have_count(0)


def restore(page: Page, canvas: int) -> None:
    page.evaluate("canvas => window.lossOf[canvas].restoreContext()", canvas)
    until(lambda: snapshot(page)["mapTrouble"] is None, 20, "a map that is whole again")
    assert snapshot(page)["health"] == "fine"


def assert_whole(page: Page) -> None:
    """Streets, taxis and names are on the screen, and lie on one another."""
    until(lambda: is_right(page), 30, "taxis that are drawn where they are")
    streets, _ = drawn_by(page, "canvas.maplibregl-canvas")
    assert streets.mean() > 0.3
    until(lambda: drawn_by(page, ".names")[0].sum() > NAMED_PX, 20, "names")


@pytest.mark.parametrize("canvas", [GROUND, TAXIS, NAMES], ids=CANVASES)
def test_a_lost_context_is_shown_and_comes_back_where_the_map_was_taken_meanwhile(
    page: Page, canvas: int
) -> None:
    lose(page, canvas)
    pan(page, -120, 70)
    restore(page, canvas)
    assert_whole(page)
    pan(page, 90, -60)
    until(lambda: is_right(page), 30, "taxis that follow the map")


def test_a_context_that_is_lost_twice_comes_back_twice(page: Page) -> None:
    for shift in (-80, 80):
        lose(page, GROUND)
        pan(page, shift, 40)
        restore(page, GROUND)
        assert_whole(page)


def test_all_contexts_lost_at_once_as_by_a_driver_that_crashed_come_back(page: Page) -> None:
    for canvas in (GROUND, TAXIS, NAMES):
        page.evaluate(LOSE, canvas)
    page.get_by_role("button", name="Zoom in").click()
    page.set_viewport_size({"width": 1120, "height": 760})
    for canvas in (NAMES, TAXIS, GROUND):
        page.evaluate("canvas => window.lossOf[canvas].restoreContext()", canvas)
    until(lambda: snapshot(page)["mapTrouble"] is None, 20, "a map that is whole again")
    assert_whole(page)


def test_streets_that_cannot_be_loaded_are_reported_and_come_later(
    browser: Browser, memory_demo: LiveDemo
) -> None:
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    page.route("**/basemap/roads.geojson", lambda route: route.fulfill(status=503, body=""))
    page.goto(memory_demo.url)
    until(lambda: snapshot(page).get("mapTrouble") == "unloaded", 60, "a page that says so")
    expect(page.get_by_text("Streets or names could not be loaded").first).to_be_visible()
    page.unroute("**/basemap/roads.geojson")
    until(lambda: snapshot(page)["mapTrouble"] is None, 30, "streets")
    assert snapshot(page)["health"] == "fine"
    page.close()


def test_a_context_that_does_not_come_back_is_shown_with_what_to_do(page: Page) -> None:
    lose(page, GROUND)
    until(lambda: snapshot(page)["mapTrouble"] == "gone", 30, "a page that gives up hope")
    expect(page.get_by_text("reload the page").first).to_be_visible()
    assert snapshot(page)["drivers"] > 500
    before = snapshot(page)["cuts"]
    until(lambda: snapshot(page)["cuts"] > before + 5, 10, "figures that stay live")
