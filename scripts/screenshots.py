# SPDX-License-Identifier: Apache-2.0
"""Take the pictures in docs/images: `python -m scripts.screenshots [NAME …]`.

A demo of two cities on real Kafka runs for as long as that takes. Each picture is the page in Chromium, with
the credit for the street data inside.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from scripts.ensure_browser import find_browser
from taxistream.local.ports import PortPool
from testing.live_demo import live_demo, until

IMAGES: Final = Path("docs/images")
SIZE_MAX: Final = 300_000
_SOFTWARE_GL: Final = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox")
_ALIVE_MS: Final = 40_000
"""By then rides have been seen to end, so that all figures of the page are there."""
_CREDIT: Final = "OpenStreetMap"
_QUALITY: Final = 85
"""Of WebP: a palette of 256 colours would alter those of the statuses."""
_WIDE: Final = (1366, 768)
_PHONE: Final = (400, 850)


class Screenshot(NamedTuple):
    """One picture of the page."""

    address: str
    """What follows the `#`."""
    size: tuple[int, int] = _WIDE
    light: Literal["light", "dark"] = "dark"
    prepare: Callable[[Page], None] = lambda _: None
    """What a person does before it is taken."""
    alive_ms: int = _ALIVE_MS


def ask_for_a_ride(page: Page) -> None:
    """Ask by keyboard, and wait for a taxi and the reasons for it."""
    page.keyboard.press("a")
    for name, text, corner in (
        ("Pickup", "w 44 8th ave", "W 44th St & 8th Ave"),
        ("Drop-off", "e 14 3rd ave", "E 14th St & 3rd Ave"),
    ):
        page.get_by_role("combobox", name=name).focus()
        page.keyboard.type(text)
        page.get_by_role("option", name=corner, exact=True).wait_for()
        page.keyboard.press("Enter")
    page.get_by_role("button", name="Request a taxi").press("Enter")
    page.get_by_role("heading", name="Why t-").wait_for(timeout=90_000)
    page.wait_for_timeout(4_000)


def prove_and_kill(page: Page) -> None:
    """Open the proof and kill the own gateway."""
    page.keyboard.press("p")
    page.wait_for_timeout(8_000)
    page.keyboard.press("k")
    page.wait_for_timeout(6_000)


def choose_speeds(page: Page) -> None:
    """Show the speeds of streets."""
    page.get_by_role("button", name="Layers").click()
    page.get_by_role("button", name="Speeds").click()
    page.wait_for_timeout(8_000)


SCREENSHOTS: Final = {
    "city": Screenshot("at=-73.9800,40.7560/13"),
    "street": Screenshot("at=-73.9857,40.7580/16", alive_ms=10_000),
    "light": Screenshot("at=-73.9800,40.7560/13.4", light="light", prepare=choose_speeds, alive_ms=20_000),
    "phone": Screenshot("at=-73.9857,40.7580/14.3", size=_PHONE),
    "ride": Screenshot("at=-73.9857,40.7520/14.2", prepare=ask_for_a_ride, alive_ms=10_000),
    "proof": Screenshot("at=-73.9857,40.7520/14.2", prepare=prove_and_kill, alive_ms=10_000),
    "helsinki": Screenshot("city=helsinki"),
}


def main() -> int:
    """Take them. Exit code 1: there is no browser, or a picture is too large."""
    parser = argparse.ArgumentParser(description="Take the pictures of the documentation.")
    parser.add_argument("names", nargs="*", choices=[[], *SCREENSHOTS], help="by default all")
    names: list[str] = parser.parse_args().names or list(SCREENSHOTS)
    browser = find_browser()
    if browser is None:
        print("no Chromium or Chrome was found", file=sys.stderr)
        return 1
    sizes = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        options = ("--cities", "manhattan,helsinki", "--load", "0.9")
        with live_demo(Path(folder) / "data", PortPool(8300).take(), *options) as demo:
            chromium = playwright.chromium.launch(executable_path=browser, args=list(_SOFTWARE_GL))
            for name in names:
                sizes.append(_take(chromium, demo.url, name))
                print(f"{IMAGES / name}.webp: {sizes[-1]:,} bytes", flush=True)
            chromium.close()
    return 1 if max(sizes) > SIZE_MAX else 0


def _take(browser: Browser, url: str, name: str) -> int:
    """Take one picture. Returns its size in bytes."""
    address, (width, height), light, prepare, alive_ms = SCREENSHOTS[name]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=light)
    page.goto(f"{url}/?look=full#{address}")
    until(lambda: _is_fine(page), 90, name)
    page.wait_for_timeout(alive_ms)
    prepare(page)
    if not page.get_by_text(_CREDIT).first.is_visible():
        raise RuntimeError(f"{name}: the credit for the street data is not in the picture")
    taken = Image.open(io.BytesIO(page.screenshot(timeout=120_000)))
    page.close()
    file = IMAGES / f"{name}.webp"
    taken.convert("RGB").save(file, quality=_QUALITY, method=6)
    return file.stat().st_size


def _is_fine(page: Page) -> bool:
    seen = page.evaluate("window.taxistream?.snapshot() ?? null")
    return bool(seen) and seen["mapReady"] and seen["health"] == "fine"


if __name__ == "__main__":
    sys.exit(main())
