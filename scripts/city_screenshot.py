# SPDX-License-Identifier: Apache-2.0
"""Take docs/images/helsinki.png: `python -m scripts.city_screenshot [--city helsinki]`.

It runs a demo of two cities in memory, switches to this one by its address, and photographs the page at the
zoom where the whole city fits.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from scripts.ensure_browser import find_browser
from taxistream.local.ports import PortPool
from testing.live_demo import live_demo, until

IMAGES = Path("docs/images")
SIZE_MAX = 300_000
_SOFTWARE_GL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox")
_ALIVE_MS = 40_000
"""By then rides have been seen to end, so that all figures of the page are there."""


def main() -> int:
    """Take it. Exit code 1: there is no browser, or the screenshot is too large."""
    parser = argparse.ArgumentParser(description="Take a screenshot of a city.")
    parser.add_argument("--city", default="helsinki")
    city: str = parser.parse_args().city
    browser = find_browser()
    if browser is None:
        print("no Chromium or Chrome was found", file=sys.stderr)
        return 1
    screenshot = IMAGES / f"{city}.png"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        port = PortPool(8300).take()
        options = ("--bus", "memory", "--cities", f"manhattan,{city}", "--load", "0.9")
        with live_demo(Path(folder) / "data", port, *options) as demo:
            chromium = playwright.chromium.launch(executable_path=browser, args=list(_SOFTWARE_GL))
            page = chromium.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"{demo.url}/#city={city}")
            until(lambda: _shows(page, city), 60, city)
            page.get_by_label("Whole city").click()
            page.wait_for_timeout(_ALIVE_MS)
            page.screenshot(path=screenshot)
            chromium.close()
    size = screenshot.stat().st_size
    print(f"{screenshot}: {size:,} bytes")
    return 1 if size > SIZE_MAX else 0


def _shows(page: Page, city: str) -> bool:
    seen = page.evaluate("window.taxistream?.snapshot() ?? null")
    return bool(seen) and seen["city"] == city and seen["mapReady"] and seen["health"] == "fine"


if __name__ == "__main__":
    sys.exit(main())
