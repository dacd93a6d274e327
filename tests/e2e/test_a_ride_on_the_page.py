# SPDX-License-Identifier: Apache-2.0
"""A ride from the first key to its cancellation without a mouse, and taxis that answer a click."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from testing.live_demo import LiveDemo, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CLICK_A_TAXI: Final = """() => {
    const canvas = document.querySelector(".map .maplibregl-canvas");
    const alone = (one, all) =>
        all.every((other) => other === one || Math.hypot(one.x - other.x, one.y - other.y) > 30);
    const all = window.taxistream.drawn(undefined, 600);
    const free = (one) => document.elementFromPoint(one.x, one.y) === canvas && alone(one, all);
    const taxi = all.find(free);
    if (!taxi) return null;
    for (const type of ["mousedown", "mouseup", "click"])
        canvas.dispatchEvent(new MouseEvent(type, {bubbles: true, clientX: taxi.x, clientY: taxi.y}));
    return taxi.driver;
}"""
"""In one go, because taxis drive on: click one that is neither under a panel nor beside another one."""


@pytest.fixture(scope="module")
def page(browser: Browser, memory_demo: LiveDemo) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1366, "height": 768})
    opened.goto(memory_demo.url)
    until(lambda: snapshot(opened)["mapReady"], 60, "a drawn map")
    yield opened
    opened.close()


def snapshot(page: Page) -> dict[str, Any]:
    found: dict[str, Any] | None = page.evaluate("window.taxistream?.snapshot() ?? null")
    return found or {"mapReady": False}


def asked(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("window.taxistream.asked()")
    return found


def type_place(page: Page, name: str, text: str, corner: str) -> None:
    page.get_by_role("combobox", name=name).focus()
    page.keyboard.type(text)
    expect(page.get_by_role("option", name=corner, exact=True)).to_be_visible()
    page.keyboard.press("Enter")


def test_a_ride_is_asked_for_by_keyboard_and_survives_escape_and_reload(page: Page) -> None:
    page.keyboard.press("a")
    expect(page.get_by_role("combobox", name="Pickup")).to_be_focused()
    type_place(page, "Pickup", "w 44 8th ave", "W 44th St & 8th Ave")
    type_place(page, "Drop-off", "e 14 3rd ave", "E 14th St & 3rd Ave")
    expect(page.get_by_text("Fare, about")).to_be_visible()
    expect(page.get_by_text("Nearest vacant taxi")).to_be_visible()
    page.get_by_role("button", name="Request a taxi").press("Enter")
    until(lambda: asked(page)["step"] == "riding" and asked(page)["row"], 30, "the ride's row")
    ride = asked(page)["id"]
    assert page.url.endswith(f"ride={ride}")
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="Your ride")).to_have_count(0)
    page.keyboard.press("a")
    expect(page.get_by_role("region", name="Your ride")).to_be_visible()
    page.reload()
    until(lambda: snapshot(page)["mapReady"] and asked(page)["step"] == "riding", 60, "the same ride again")
    assert asked(page)["id"] == ride
    expect(page.get_by_role("region", name="Your ride")).to_be_visible()


def test_the_ride_is_cancelled_and_may_be_asked_for_again(page: Page) -> None:
    page.get_by_role("button", name="Cancel ride").press("Enter")
    expect(page.get_by_text("This ride was cancelled")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Ask again").press("Enter")
    expect(page.get_by_role("combobox", name="Pickup")).to_have_value("W 44th St & 8th Ave")
    page.get_by_role("button", name="Close").press("Enter")
    expect(page.get_by_role("button", name="Ask for a ride").first).to_be_visible()


def test_a_taxi_answers_a_click_and_the_back_button_closes_it(page: Page) -> None:
    before = page.url

    clicked = until(lambda: page.evaluate(CLICK_A_TAXI), 30, "a taxi in view")
    panel = page.get_by_role("region", name=f"Taxi t-{clicked:04}")
    expect(panel).to_be_visible()
    expect(page.get_by_text("km/h")).to_be_visible()
    assert page.url.endswith(f"taxi={clicked}")
    page.go_back()
    expect(panel).to_have_count(0)
    assert page.url == before
