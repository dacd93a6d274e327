# SPDX-License-Identifier: Apache-2.0
"""What is on the screen, read from the screen: a page's own word about what it drew proves nothing."""

import io
from typing import Any, Final

import numpy as np
from matplotlib.image import imread
from numpy.typing import NDArray
from playwright.sync_api import Page

REACH_PX: Final = 5
"""A taxi is drawn within so many pixels of its place, also if it drove on for a moment."""
_DIFFERENT: Final = 0.04
"""Two pixels that differ by more, of 1, are not the same."""

Image = NDArray[np.float64]
Mask = NDArray[np.bool_]


def shot(page: Page) -> Image:
    """The window as the browser shows it: rows, columns, colours 0 … 1."""
    image: Image = imread(io.BytesIO(page.screenshot(animations="disabled")), format="png")[:, :, :3]
    return image


def drawn_by(page: Page, canvas: str) -> tuple[Mask, list[dict[str, Any]]]:
    """The pixels that a layer of the map adds to the screen, and where every driver should be at that moment.

    Places are projected as streets are, not as taxis are.
    """
    page.evaluate(SHOW, [canvas, "hidden"])
    without = shot(page)
    page.evaluate(SHOW, [canvas, ""])
    places = page.evaluate(PLACES)
    mask: Mask = np.abs(shot(page) - without).max(axis=2) > _DIFFERENT
    return mask, places


SHOW: Final = """([layer, visibility]) => {
    for (const element of document.querySelectorAll(".map " + layer)) element.style.visibility = visibility;
}"""
PLACES: Final = """() => {
    const visible = ({x, y}) => document.elementFromPoint(x, y)?.classList.contains("maplibregl-canvas");
    return window.taxistream.drawn(undefined, 5_000)
        .map(({driver, lng, lat}) => ({driver, ...window.taxistream.project(lng, lat)}))
        .filter(visible);
}"""


def share_at(mask: Mask, places: list[dict[str, Any]], *, off: tuple[int, int] = (0, 0)) -> float:
    """Of these places, how many have something drawn within reach; `off` pixels beside them to compare."""
    hits = [_near(mask, place["x"] + off[0], place["y"] + off[1]) for place in places]
    return sum(hits) / len(hits)


def _near(mask: Mask, x: float, y: float) -> bool:
    column, row = round(x), round(y)
    left, top = max(column - REACH_PX, 0), max(row - REACH_PX, 0)
    return bool(mask[top : row + REACH_PX + 1, left : column + REACH_PX + 1].any())
