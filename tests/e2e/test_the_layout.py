# SPDX-License-Identifier: Apache-2.0
"""No panel lies over another one, in any window, state or font.

The panels are drawn by web/frontend/tests/layout without stream and map: one browser page, which is resized
and put into each state.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import pytest
from playwright.sync_api import Browser, Page

from scripts.front_end import FrontEnd

pytestmark = [pytest.mark.browser]

ROOT: Final = Path(__file__).parents[2]
BUILT: Final = ROOT / "web" / "frontend" / "test-results" / "layout" / "layout.html"
SIZES: Final[list[tuple[int, int]]] = [
    (1920, 1080),
    (1600, 1000),
    (1366, 768),
    (1280, 720),
    (1135, 800),
    (1001, 700),
    (768, 1024),
    (721, 900),
    # A phone on its side, and 1600 × 1000 and 1366 × 768 at 200 %.
    (850, 400),
    (800, 500),
    (683, 384),
    (400, 850),
    (360, 640),
]
WIDE_FONT: Final = """
    * { letter-spacing: 0.05em !important; animation: none !important; transition: none !important }
    :root { --sans: "DejaVu Sans", Verdana, sans-serif !important }
"""
MAP_PX_MIN: Final = 180
"""Of a phone's height, while nothing is open or places are chosen on the map."""

Size: TypeAlias = tuple[int, int]
Measured: TypeAlias = dict[tuple[Size, str], dict[str, Any]]
MEASURE: Final = (Path(__file__).parent / "layout.js").read_text()
AXE: Final = ROOT / "web" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS: Final = """async state => {
    if (state !== null) window.show(state);
    const runOnly = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
    const { violations } = await axe.run(document, { runOnly, resultTypes: ["violations"], preload: false });
    return violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0].html.slice(0, 120)}`);
}"""
"""What axe-core finds serious by WCAG 2.2 AA in a state of the panels (null: in those that are shown)."""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    FrontEnd(ROOT).run_script("layout")
    opened = browser.new_page()
    opened.goto(BUILT.as_uri())
    opened.add_style_tag(content=WIDE_FONT)
    yield opened
    opened.close()


def measure(page: Page, state: str) -> dict[str, Any]:
    """Draw a state, and return what lies wrong in it and where things are."""
    found: dict[str, Any] = page.evaluate(f"state => ({MEASURE})(state)", state)
    return found


@pytest.fixture(scope="module")
def measured(page: Page) -> Measured:
    """What was measured in each window and state, in one pass."""
    found: Measured = {}
    for size in SIZES:
        page.set_viewport_size({"width": size[0], "height": size[1]})
        seen = page.evaluate(f"window.states.map(state => [state, ({MEASURE})(state)])")
        found.update({(size, state): measured for state, measured in seen})
    return found


def test_nothing_lies_over_anything_in_any_window_and_state(measured: Measured) -> None:
    wrong = [
        f"{size}, {state}: {fault}" for (size, state), seen in measured.items() for fault in seen["faults"]
    ]
    assert not wrong, "\n".join(wrong)
    assert len(measured) >= 12 * 4


def test_the_kill_button_stays_where_it_is_whatever_the_headline_says(measured: Measured) -> None:
    for size in SIZES:
        places = [measured[size, state]["kill"] for state in ("calm", "report of an outage", "report below")]
        assert places[0] is not None
        assert places[1:] == [places[0]] * 2, f"{size}: {places}"


@pytest.mark.parametrize("size", [(400, 850), (360, 640)])
def test_a_phone_leaves_room_for_the_map(measured: Measured, size: Size) -> None:
    for state in ("calm", "report of an outage", "asking"):
        assert measured[size, state]["mapHeight"] >= MAP_PX_MIN, state


def faults(page: Page, state: str) -> list[str]:
    found: list[str] = measure(page, state)["faults"]
    return found


def test_a_planted_overlap_is_found(page: Page) -> None:
    page.set_viewport_size({"width": 1366, "height": 768})
    assert faults(page, "calm") == []
    planted = page.add_style_tag(content=".tools { position: fixed; left: 700px; top: 24px }")
    found = faults(page, "report of an outage")
    planted.evaluate("style => style.remove()")
    assert any("head" in fault and "tools" in fault for fault in found), found
    planted = page.add_style_tag(content=".left { width: 500px }")
    found = faults(page, "calm")
    planted.evaluate("style => style.remove()")
    assert found
    assert faults(page, "calm") == []


@pytest.fixture(scope="module")
def examined(page: Page) -> Page:
    """The page with axe-core."""
    page.add_script_tag(path=AXE)
    # Colours are judged where panels lie on the map's own ground, not on white.
    page.add_style_tag(content="body { background: var(--page) }")
    return page


@pytest.mark.parametrize(
    ("size", "light"), [((1600, 1000), "light"), ((1600, 1000), "dark"), ((400, 850), "dark")]
)
def test_axe_finds_nothing_serious_on_any_panel(
    examined: Page, size: Size, light: Literal["light", "dark"]
) -> None:
    examined.emulate_media(color_scheme=light)
    examined.set_viewport_size({"width": size[0], "height": size[1]})
    found = {state: examined.evaluate(SERIOUS, state) for state in examined.evaluate("window.states")}
    assert len(found) > 10
    assert not any(found.values()), "\n".join(f"{state}: {faults}" for state, faults in found.items())


def test_axe_finds_a_planted_button_without_a_name_and_a_pale_text(examined: Page) -> None:
    examined.set_viewport_size({"width": 1600, "height": 1000})
    examined.evaluate("window.show('calm')")
    examined.evaluate("document.querySelector('.tools .btn').removeAttribute('aria-label')")
    examined.evaluate("document.querySelector('.tools .btn').removeAttribute('title')")
    examined.evaluate("document.querySelector('.tools .btn .t').remove()")
    pale = examined.add_style_tag(content=".title { color: #3b4657 !important }")
    found = " ".join(examined.evaluate(SERIOUS, None))
    pale.evaluate("style => style.remove()")
    assert "button-name" in found
    assert "color-contrast" in found


def test_forced_colours_leave_every_drawing_visible(page: Page) -> None:
    page.set_viewport_size({"width": 1600, "height": 1000})
    page.emulate_media(forced_colors="active", color_scheme="light")
    try:
        for state in ("calm", "riding", "proof", "what can be broken"):
            assert measure(page, state)["unseen"] == []
    finally:
        page.emulate_media(forced_colors="none", color_scheme="dark")
