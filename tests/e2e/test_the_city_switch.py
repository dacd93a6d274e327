# SPDX-License-Identifier: Apache-2.0
"""The page switches between two cities without a reload, and nothing of the one that is left stays."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, WebSocket, expect

from taxi.roads.city import load_city
from taxistream.local.ports import PortPool
from testing.live_demo import LiveDemo, live_demo, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DRIVERS: Final = 120
SIZE: Final[ViewportSize] = {"width": 1000, "height": 700}


@pytest.fixture(scope="module")
def two_cities(tmp_path_factory: pytest.TempPathFactory, ports: PortPool) -> Iterator[LiveDemo]:
    home = tmp_path_factory.mktemp("cities") / "data"
    options = ("--bus", "memory", "--cities", "manhattan,helsinki", "--drivers", str(DRIVERS))
    with live_demo(home, ports.take(), *options) as running:
        yield running


def snapshot(page: Page) -> dict[str, Any]:
    found: dict[str, Any] | None = page.evaluate("window.taxistream?.snapshot() ?? null")
    return found or {"city": None}


def shows(page: Page, city: str) -> bool:
    """Whether the page shows a whole city: its rows, verified, on a map that lies there."""
    seen = snapshot(page)
    if seen["city"] != city or not seen["mapReady"] or seen["drivers"] != DRIVERS or seen["health"] != "fine":
        return False
    lng, lat = page.evaluate("window.taxistream.view().center")
    return load_city(city).in_bbox(lng, lat)


def test_the_page_switches_between_cities_and_back_by_keyboard_and_address(
    browser: Browser, two_cities: LiveDemo
) -> None:
    page = browser.new_page(viewport=SIZE)
    errors: list[str] = []
    sockets: list[WebSocket] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("websocket", lambda socket: sockets.extend([socket]))  # Playwright wraps no built-in method
    page.goto(two_cities.url)
    until(lambda: shows(page, "manhattan"), 60, "Manhattan")
    expect(page.locator(".credit")).to_contain_text("NYC Open Data")
    page.keyboard.press("a")
    expect(page.locator(".detail")).to_be_visible()
    page.evaluate("window.isTheSameDocument = true")

    switch = page.get_by_label("City", exact=True)
    expect(switch).to_have_value("manhattan")
    switch.focus()
    page.keyboard.press("ArrowDown")
    until(lambda: shows(page, "helsinki"), 60, "Helsinki")
    assert page.url.endswith("#city=helsinki")
    expect(page).to_have_title("taxistream: Helsinki, live")
    expect(page.locator(".credit")).to_contain_text("OpenStreetMap contributors")
    expect(page.locator(".credit")).not_to_contain_text("NYC Open Data")
    expect(page.locator(".detail")).to_have_count(0)
    expect(page.locator("canvas.taxis")).to_have_count(1)
    assert page.evaluate("document.activeElement.ariaLabel") == "City"
    assert [socket.is_closed() for socket in sockets] == [True, False]

    page.go_back()
    until(lambda: shows(page, "manhattan"), 60, "Manhattan again")
    expect(switch).to_have_value("manhattan")
    page.go_forward()
    until(lambda: shows(page, "helsinki"), 60, "Helsinki again")
    assert page.evaluate("window.isTheSameDocument")
    assert [socket.is_closed() for socket in sockets] == [True, True, True, False]
    assert errors == []
    page.close()


def test_an_address_opens_its_city_and_place_and_an_unknown_city_is_named(
    browser: Browser, two_cities: LiveDemo
) -> None:
    page = browser.new_page(viewport=SIZE)
    page.goto(f"{two_cities.url}/#city=helsinki&at=24.9452,60.1675/16.5")
    until(lambda: shows(page, "helsinki"), 60, "Helsinki")
    assert page.evaluate("window.taxistream.view().zoom") == pytest.approx(16.5)
    page.goto(f"{two_cities.url}/#city=atlantis")
    until(lambda: shows(page, "manhattan"), 60, "the first city")
    notice = "No city “atlantis” here: this is Manhattan"
    expect(page.locator(".head")).to_contain_text(notice)
    page.goto(f"{two_cities.url}/#city=manhattan")
    expect(page.locator(".head")).not_to_contain_text(notice)
    page.goto(f"{two_cities.url}/#city=atlantis")
    expect(page.locator(".head")).to_contain_text(notice)
    page.close()
