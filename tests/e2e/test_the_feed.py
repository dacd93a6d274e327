# SPDX-License-Identifier: Apache-2.0
"""The feed can be read: rows stay, say where, lose nothing while paused, and open their ride."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from testing.live_demo import LiveDemo, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SPAN_MS: Final = 20_000
ROWS: Final = 6
LIVED_MS_MIN: Final = 5_000
WATCH: Final = """() => {
    window.lived = [];
    const born = new Map();
    const look = () => {
        const now = performance.now();
        const rows = new Set(document.querySelectorAll(".feed > li:not(.none)"));
        for (const row of rows) if (!born.has(row)) born.set(row, now);
        for (const [row, since] of born) if (!rows.has(row)) {
            window.lived.push(now - since);
            born.delete(row);
        }
        requestAnimationFrame(look);
    };
    look();
}"""


@pytest.fixture(scope="module")
def page(browser: Browser, memory_demo: LiveDemo) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1200, "height": 700})
    opened.goto(memory_demo.url)
    until(lambda: opened.locator("button.feed-row").count() >= ROWS - 1, 60, "a feed")
    yield opened
    opened.close()


def snapshot(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("window.taxistream.snapshot()")
    return found


def test_a_row_stays_long_enough_to_be_read(page: Page) -> None:
    page.evaluate(WATCH)
    since_ms = snapshot(page)["cutMs"]
    until(lambda: snapshot(page)["cutMs"] > since_ms + SPAN_MS, 120, "a feed that changed")
    lived = sorted(page.evaluate("window.lived"))
    # The rows that were there when the watch began count from then on.
    assert len(lived) > 2 * ROWS
    assert lived[ROWS] >= LIVED_MS_MIN


def test_a_paused_feed_counts_what_waits_and_a_row_opens_its_ride_with_the_keyboard(page: Page) -> None:
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".events h2")).to_have_text(re.compile(r"paused, [0-9,]+ more"))
    rows = page.locator("button.feed-row")
    assert "→" in page.locator(".events").inner_text() or "within" in page.locator(".events").inner_text()
    rows.first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".detail h2")).to_have_text(re.compile("^Ride r-"))
