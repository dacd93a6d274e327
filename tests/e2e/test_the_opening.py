# SPDX-License-Identifier: Apache-2.0
"""The page looks alive as it opens: taxis can be seen to move, and it says what it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from taxi.messages.states import DriverStatus
from testing.live_demo import LiveDemo, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIZES: Final = [(1300, 800), (400, 850)]
OPENING_ZOOM: Final = 14.3
WATCH_ZOOM: Final = 16.4
SPAN_MS: Final = 10_000
MOVED_PX_MIN: Final = 5.0
"""The median taxi with a rider moves so far in ten seconds. In the slowest hour of the day it is 6.4.

Taxis without a rider may park, and how many do so depends on the demand, so they are not counted.
"""
WATCHED_PX_MIN: Final = 20.0
IN_SIGHT: Final = """() => window.taxistream.drawn(undefined, 5_000)
    .filter(({x, y}) => x > 0 && y > 0 && x < innerWidth && y < innerHeight)"""


@contextmanager
def a_page(browser: Browser, url: str, size: tuple[int, int] = SIZES[0]) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(url)
    until(lambda: snapshot(page)["mapReady"] and snapshot(page)["drivers"] > 500, 60, "an open map")
    yield page
    page.close()


def snapshot(page: Page) -> dict[str, Any]:
    found: dict[str, Any] | None = page.evaluate("window.taxistream?.snapshot() ?? null")
    return found or {"drivers": 0, "mapReady": False}


def zoom(page: Page) -> float:
    return float(page.evaluate("window.taxistream.view().zoom"))


def with_riders(page: Page) -> dict[int, tuple[float, float]]:
    """Where the taxis with a rider are on the screen, by driver."""
    rows = page.evaluate(IN_SIGHT)
    return {row["driver"]: (row["x"], row["y"]) for row in rows if row["status"] == DriverStatus.ON_TRIP}


def moved_px(page: Page, taxis_min: int) -> float:
    """How far the median taxi with a rider moves on the screen in ten seconds."""
    before = with_riders(page)
    since_ms = snapshot(page)["cutMs"]
    until(lambda: snapshot(page)["cutMs"] >= since_ms + SPAN_MS, 60, "ten seconds of the city")
    after = with_riders(page)
    both = before.keys() & after.keys()
    assert len(both) >= taxis_min
    moved: float = median(
        ((after[d][0] - before[d][0]) ** 2 + (after[d][1] - before[d][1]) ** 2) ** 0.5 for d in both
    )
    return moved


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
def test_taxis_can_be_seen_to_move_and_the_page_says_what_it_is(
    browser: Browser, memory_demo: LiveDemo, size: tuple[int, int]
) -> None:
    with a_page(browser, memory_demo.url, size) as page:
        assert zoom(page) == pytest.approx(OPENING_ZOOM, abs=0.01)
        expect(page.get_by_text("taxistream", exact=True)).to_be_visible()
        expect(page.get_by_text("simulated").first).to_be_visible()
        expect(page.get_by_text("a gateway is the server that sends you the city")).to_be_visible()
        assert moved_px(page, taxis_min=10) >= MOVED_PX_MIN


def test_watch_goes_to_a_corner_that_moves(browser: Browser, memory_demo: LiveDemo) -> None:
    with a_page(browser, memory_demo.url) as page:
        page.get_by_role("button", name="Watch").click()
        until(lambda: zoom(page) == pytest.approx(WATCH_ZOOM, abs=0.01), 20, "a closer look")
        assert moved_px(page, taxis_min=3) >= WATCHED_PX_MIN  # a corner holds a dozen taxis


def test_a_reader_who_prefers_less_motion_gets_the_same_district_without_a_flight(
    browser: Browser, memory_demo: LiveDemo
) -> None:
    zooms = """() => { window.zooms = new Set(); const look = () => {
        const view = window.taxistream?.view(); if (view) window.zooms.add(view.zoom);
        requestAnimationFrame(look); }; look(); }"""
    page = browser.new_page(viewport={"width": 1300, "height": 800})
    page.emulate_media(reduced_motion="reduce")
    page.add_init_script(f"({zooms})()")
    page.goto(memory_demo.url)
    until(lambda: snapshot(page)["mapReady"] and snapshot(page)["drivers"] > 500, 60, "an open map")
    assert zoom(page) == pytest.approx(OPENING_ZOOM, abs=0.01)
    assert len(page.evaluate("[...window.zooms]")) <= 2, "it jumped"
    page.close()


def test_an_address_that_names_a_place_opens_there(browser: Browser, memory_demo: LiveDemo) -> None:
    with a_page(browser, f"{memory_demo.url}/#at=-73.9857,40.7580/15.5") as page:
        before = page.evaluate("window.taxistream.view()")
        assert before["zoom"] == pytest.approx(15.5)
        assert before["center"] == pytest.approx([-73.9857, 40.7580], abs=1e-4)
        since = snapshot(page)["cuts"]
        until(lambda: snapshot(page)["cuts"] > since + 30, 30, "some cuts")
        assert page.evaluate("window.taxistream.view()") == before
        page.evaluate("void (location.hash = '#at=-73.97,40.76/14')")
        until(lambda: zoom(page) == pytest.approx(14, abs=0.01), 20, "the other place")
