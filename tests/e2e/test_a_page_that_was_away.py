# SPDX-License-Identifier: Apache-2.0
"""A page that did not run says so and blames no gateway: it was frozen, or its reader came back to it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from scripts.ensure_browser import find_browser
from testing.live_demo import LiveDemo, until
from tests.e2e.conftest import AT_HOME, SOFTWARE_GL, missing

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ASLEEP_MS: Final = 8_000
"""Longer than a connection may be silent."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium that keeps pages for the way back, which Playwright turns off by default."""
    executable = find_browser()
    if executable is None:
        missing("no Chromium or Chrome")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=executable,
            args=[*SOFTWARE_GL, *AT_HOME],
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, memory_demo: LiveDemo) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1000, "height": 800})
    opened.goto(memory_demo.url)
    until(lambda: snapshot(opened)["cuts"] > 20 and snapshot(opened)["mapReady"], 60, "a live page")
    yield opened
    opened.close()


def snapshot(page: Page) -> dict[str, Any]:
    found: dict[str, Any] | None = page.evaluate("window.taxistream?.snapshot() ?? null")
    return found or {"cuts": 0, "mapReady": False, "outage": None}


@contextmanager
def frozen(browser: Browser) -> Iterator[None]:
    """While every page of this browser is frozen, as by a laptop's lid."""
    described = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    renderers = [process["id"] for process in described if process["type"] == "renderer"]
    for pid in renderers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in renderers:
            os.kill(pid, signal.SIGCONT)


def log_ms(demo: LiveDemo) -> int:
    status: dict[str, Any] = demo.get("/api/status")
    return int(status["at_ms"])


def away(page: Page) -> dict[str, Any] | None:
    """The report that the page itself was away, once there is one."""
    outage = snapshot(page)["outage"]
    return outage if outage and outage["away"] else None


def test_a_page_that_was_asleep_says_so_and_counts_the_events_since(
    browser: Browser, memory_demo: LiveDemo, page: Page
) -> None:
    since_ms = log_ms(memory_demo)
    with frozen(browser):
        until(lambda: log_ms(memory_demo) > since_ms + ASLEEP_MS, 60, "a city that went on without the page")
    report = until(lambda: away(page), 30, "a report")
    assert report["away"]["why"] == "asleep"
    assert report["away"]["forMs"] >= ASLEEP_MS - 2_000
    assert (report["missed"], report["repeated"], report["killed"]) == (0, 0, False)
    assert report["fresh"] or report["events"] > 0
    headline = page.locator("h1")
    expect(headline).to_contain_text("This page was asleep for")
    expect(headline).to_contain_text("none lost" if not report["fresh"] else "full update since")
    expect(page.get_by_text("lost →")).to_have_count(0)
    assert snapshot(page)["stall"] is None or snapshot(page)["stall"]["at"] < report["at"]


def test_a_page_that_is_come_back_to_says_that_it_was_left(memory_demo: LiveDemo, page: Page) -> None:
    before = snapshot(page)
    page.goto(f"{memory_demo.url}/api/status")
    page.go_back(wait_until="commit")  # a page that was kept does not load again
    until(lambda: snapshot(page)["cuts"] > before["cuts"] + 5, 60, "the same page, live again")
    report = until(lambda: away(page), 30, "a report")
    assert report["away"]["why"] == "left"
    assert (report["missed"], report["repeated"]) == (0, 0)
    expect(page.locator("h1")).to_contain_text("This page was left for")
    expect(page.get_by_text("lost →")).to_have_count(0)
