# SPDX-License-Identifier: Apache-2.0
"""The headline never says that all is well while something is wrong, and no browser stops the page unseen."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from testing.live_demo import LiveDemo, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WELL: Final = "hash equals the gateway’s"
SIZES: Final = [(900, 640), (400, 600)]

NO_STORAGE: Final = """for (const name of ["sessionStorage", "localStorage"])
    Object.defineProperty(window, name, {get() { throw new DOMException("denied", "SecurityError"); }});
history.replaceState = () => { throw new DOMException("denied", "SecurityError"); };"""
NO_MEDIA: Final = "window.matchMedia = undefined;"
NO_CRYPTO: Final = "Object.defineProperty(window, 'crypto', {value: undefined});"
NO_WEBGL: Final = """const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
    return kind === "webgl2" ? null : get.call(this, kind, ...more);
};"""
NO_SOCKETS: Final = """window.WebSocket = class {
    constructor() { throw new DOMException("An insecure WebSocket may not be opened", "SecurityError"); }
};"""
NO_ADDRESSES: Final = "window.URL = undefined;"


class Gateway:
    """A proxy between page and gateway that adds messages."""

    def __init__(self) -> None:
        self.sides: list[WebSocketRoute] = []

    def between(self, page_side: WebSocketRoute) -> None:
        gateway_side = page_side.connect_to_server()
        gateway_side.on_message(page_side.send)
        self.sides.append(page_side)

    def tell(self, *faults: tuple[str, str]) -> None:
        listed = [{"code": code, "text": text} for code, text in faults]
        self.sides[-1].send(json.dumps({"type": "health", "faults": listed}))


@contextmanager
def a_page(
    browser: Browser, size: tuple[int, int] = SIZES[0], without: str = "", gateway: Gateway | None = None
) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    if without:
        page.add_init_script(without)
    if gateway is not None:
        page.route_web_socket("**/ws", gateway.between)
    yield page
    page.close()


def snapshot(page: Page) -> dict[str, Any]:
    found: dict[str, Any] | None = page.evaluate("window.taxistream?.snapshot() ?? null")
    return found or {"drivers": 0, "cuts": 0, "health": "", "mapTrouble": None}


def is_fine(page: Page) -> bool:
    now = snapshot(page)
    return bool(now["cuts"] > 5 and now["health"] == "fine")


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
def test_a_fault_of_the_gateway_takes_the_headlines_place_until_it_is_over(
    browser: Browser, memory_demo: LiveDemo, size: tuple[int, int]
) -> None:
    gateway = Gateway()
    with a_page(browser, size, gateway=gateway) as page:
        page.goto(memory_demo.url)
        until(lambda: is_fine(page), 60, "a page that is fine")
        expect(page.get_by_text(WELL)).to_be_visible()
        gateway.tell(("positions_ahead", "positions arrive but are 2 s in the future: set the clock"))
        expect(page.get_by_role("heading", name="Positions arrive but are 2 s in the future")).to_be_visible()
        expect(page.get_by_text(WELL)).to_have_count(0)
        assert snapshot(page)["health"] == "troubled"
        gateway.tell(
            ("no_decisions", "the dispatcher has decided nothing for 8 s: look at it"),
            ("disk_full", "the disk is full: make room"),
        )
        expect(page.get_by_role("heading", name="The dispatcher has decided nothing for 8 s")).to_be_visible()
        expect(page.get_by_text("also: The disk is full")).to_be_visible()
        head = page.locator(".head.banner").bounding_box()
        assert head is not None
        assert head["x"] >= 0
        assert head["x"] + head["width"] <= size[0]
        gateway.tell()
        expect(page.get_by_text(WELL)).to_be_visible()


@pytest.mark.parametrize(
    ("without", "size"),
    [(NO_STORAGE, SIZES[0]), (NO_MEDIA, SIZES[1]), (NO_CRYPTO, SIZES[0])],
    ids=["storage", "media queries", "crypto"],
)
def test_a_page_does_without(
    browser: Browser, memory_demo: LiveDemo, without: str, size: tuple[int, int]
) -> None:
    with a_page(browser, size, without) as page:
        page.goto(f"{memory_demo.url}/#token=abc")
        until(lambda: is_fine(page) and snapshot(page)["drivers"] > 500, 60, "a page that is fine")
        expect(page.get_by_text(WELL)).to_be_visible()
        sheet = page.locator(".sheet").count()
        assert sheet == (1 if size == SIZES[1] else 0), "the layout of its width"


def test_a_browser_without_webgl_shows_the_figures_and_why_there_is_no_map(
    browser: Browser, memory_demo: LiveDemo
) -> None:
    with a_page(browser, without=NO_WEBGL) as page:
        page.goto(memory_demo.url)
        until(lambda: snapshot(page)["cuts"] > 5, 60, "figures that are live")
        expect(page.get_by_text("This browser cannot draw the map").first).to_be_visible()
        expect(page.get_by_text(WELL)).to_have_count(0)


def test_a_browser_that_opens_no_socket_shows_why_there_is_no_view(
    browser: Browser, memory_demo: LiveDemo
) -> None:
    with a_page(browser, without=NO_SOCKETS) as page:
        page.goto(memory_demo.url)
        expect(page.get_by_text("Nothing to show yet")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("An insecure WebSocket may not be opened")).to_be_visible()


def test_an_error_that_stops_the_page_is_shown_in_its_place(browser: Browser, memory_demo: LiveDemo) -> None:
    with a_page(browser, without=NO_ADDRESSES) as page:
        page.goto(memory_demo.url)
        expect(page.get_by_text("This page could not start")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("URL is not a constructor")).to_be_visible()


def test_scripts_that_do_not_load_leave_a_sentence(browser: Browser, memory_demo: LiveDemo) -> None:
    with a_page(browser) as page:
        page.route("**/static/**/*.js", lambda route: route.abort())
        page.goto(memory_demo.url)
        expect(page.get_by_text("This page is still starting")).to_be_visible(timeout=30_000)


def test_an_error_while_the_page_runs_is_in_the_headline(browser: Browser, memory_demo: LiveDemo) -> None:
    with a_page(browser) as page:
        page.goto(memory_demo.url)
        until(lambda: is_fine(page), 60, "a page that is fine")
        page.evaluate("setTimeout(() => { throw new Error('planted'); })")
        expect(page.get_by_role("heading", name="This page had an error")).to_be_visible()
        expect(page.get_by_text(WELL)).to_have_count(0)


def test_a_panel_that_cannot_be_drawn_leaves_no_old_view(browser: Browser, memory_demo: LiveDemo) -> None:
    with a_page(browser) as page:
        page.goto(memory_demo.url)
        until(lambda: is_fine(page), 60, "a page that is fine")
        page.evaluate("void (Number.prototype.toFixed = () => { throw new Error('planted'); })")
        expect(page.get_by_text("This page stopped because of an error in it")).to_be_visible()
        expect(page.get_by_text(WELL)).to_have_count(0)
