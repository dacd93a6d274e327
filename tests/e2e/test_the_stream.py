# SPDX-License-Identifier: Apache-2.0
"""What a page does with its stream: a rolling restart, a cut that lies, a map that asks for what it shows."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from testing.live_demo import LiveDemo, until

pytestmark = [pytest.mark.kafka, pytest.mark.browser, pytest.mark.slow]

DRIVERS: Final = 600
DARK_MS: Final = 1_500
"""An update comes at least every second. With less than this, no client was without its rows."""
HALF_TILE: Final = 256e-5
"""Degrees: a view that the page asks for ends in the middle of its outermost tiles."""
HASH_AT: Final = 60
"""Where a cut tells its hash (docs/protocol.md)."""


@contextmanager
def a_page(browser: Browser, url: str, lie: "Lie | None" = None) -> Iterator[Page]:
    """A small window, closed at the end; nothing may have been wrong but what was planted."""
    errors: list[str] = []
    page = browser.new_page(viewport={"width": 800, "height": 600})
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    if lie is not None:
        page.route_web_socket("**/ws", lie.between)
    page.goto(url)
    until(lambda: snapshot(page)["cuts"] > 5, 60, "a page with a picture")
    yield page
    page.close()
    assert [error for error in errors if lie is None or "hash differs" not in error] == []


def restart(demo: LiveDemo, name: str) -> None:
    """Ask a part to end, as a rolling restart does, and wait until its successor is ready."""
    before = demo.parts()[name]["pid"]
    os.kill(before, signal.SIGTERM)

    def is_back() -> bool:
        part = demo.parts()[name]
        return bool(part["pid"] != before and part["state"] == "ready")

    until(is_back, 60, f"{name} restarted")


def snapshot(page: Page) -> dict[str, Any]:
    found: dict[str, Any] | None = page.evaluate("window.taxistream?.snapshot() ?? null")
    return found or {"cuts": 0, "drivers": 0, "mapReady": False}


class Lie:
    """A proxy between page and gateway that flips one bit of one update's hash."""

    def __init__(self) -> None:
        self.wanted = False

    def between(self, page_side: WebSocketRoute) -> None:
        """Pass everything on but what is wanted."""
        gateway_side = page_side.connect_to_server()

        def forward(message: str | bytes) -> None:
            if isinstance(message, bytes) and self.wanted:
                self.wanted = False
                message = message[:HASH_AT] + bytes([message[HASH_AT] ^ 1]) + message[HASH_AT + 1 :]
            page_side.send(message)

        gateway_side.on_message(forward)


def test_a_rolling_restart_shows_no_banner_and_costs_nothing(browser: Browser, demo: LiveDemo) -> None:
    with a_page(browser, demo.url) as page:
        begun = page.evaluate("performance.now()")
        before = snapshot(page)
        for name in ("gateway-1", "gateway-2"):
            restart(demo, name)
        after = snapshot(page)
        until(lambda: snapshot(page)["cuts"] > after["cuts"] + 10, 30, "cuts that go on")
        after = snapshot(page)
        # It stood on one of them when that was asked to end, and went over to the other.
        assert after["resumes"] > before["resumes"]
        assert (after["resets"], after["hashMismatches"]) == (0, 0)
        assert (after["missed"], after["repeated"], after["outage"]) == (0, 0, None)
        assert [change for change in after["healths"] if change["at"] > begun] == []
        assert page.evaluate("since => window.taxistream.longestPause(since)", begun) < DARK_MS


def test_a_hash_that_differs_is_reported_and_heals_on_the_screen(browser: Browser, demo: LiveDemo) -> None:
    lie = Lie()
    with a_page(browser, demo.url, lie) as page:
        assert snapshot(page)["hashMismatches"] == 0
        lie.wanted = True
        until(lambda: snapshot(page)["hashMismatches"] == 1, 10, "the lie noticed")
        until(lambda: snapshot(page)["health"] == "fine", 10, "a picture that is right again")
        expect(page.get_by_text("Hash differed at cut").first).to_be_visible()
        healed = snapshot(page)
        assert [change["health"] for change in healed["healths"]][-2:] == ["differs", "fine"]
        assert (healed["hashMismatches"], healed["resets"], healed["state"]) == (1, 1, "live")
        assert healed["drivers"] == DRIVERS
        until(lambda: snapshot(page)["cuts"] > healed["cuts"] + 10, 30, "cuts that go on, and are right")
        assert snapshot(page)["hashMismatches"] == 1


def test_a_map_that_asks_for_what_it_shows_settles_wherever_it_is_taken(
    browser: Browser, demo: LiveDemo
) -> None:
    with a_page(browser, f"{demo.url}/?view=map#at=-73.9785,40.7527/12.9") as page:
        until(lambda: snapshot(page)["mapReady"], 60, "a drawn map")
        for _ in range(3):
            page.get_by_role("button", name="Zoom in").click()
        for step in range(9):
            page.mouse.move(400, 300)
            page.mouse.down()
            page.mouse.move(400 + (90, -130, 60)[step % 3], 300 + (-80, 110, -50)[step % 3])
            page.mouse.up()
        settled = until(lambda: settles(page), 30, "a view of what the map shows")
        assert 0 < settled["drivers"] < DRIVERS
        assert (settled["hashMismatches"], settled["resets"], settled["health"]) == (0, 0, "fine")
        expect(page.get_by_text("in view").first).to_be_visible()
        page.get_by_role("button", name="Whole city").click()
        whole = until(lambda: (now := snapshot(page))["drivers"] == DRIVERS and now, 30, "the whole city")
        assert (whole["hashMismatches"], whole["resets"]) == (0, 0)


def settles(page: Page) -> dict[str, Any] | None:
    """The page at two looks a few cuts apart, if its view holds what the map shows and stayed as it is."""
    first = snapshot(page)
    until(lambda: snapshot(page)["cuts"] > first["cuts"] + 5, 10, "some cuts")
    now, (west, south, east, north) = snapshot(page), page.evaluate("window.taxistream.view().bounds")
    if now["view"] is None or now["view"] != first["view"]:
        return None
    left, low = (edge - HALF_TILE for edge in now["view"][:2])
    right, high = (edge + HALF_TILE for edge in now["view"][2:])
    return now if left < west and low < south and right > east and high > north else None
