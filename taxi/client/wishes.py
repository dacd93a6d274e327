# SPDX-License-Identifier: Apache-2.0
"""Which view the rows are of, which one is wanted, and when a wish may be said. Pure."""

from typing import Final, TypeAlias

BBox: TypeAlias = tuple[float, float, float, float]
"""West, south, east, north, in degrees."""
PAUSE_S: Final = 0.2
"""At most five wishes a second; the last one always."""


class Wishes:
    """Views by generation."""

    def __init__(self, wanted: BBox | None) -> None:
        self.wanted = wanted
        self.shown = wanted
        """What the rows are of."""
        self.due_s: float | None = None
        """When the next wish is to be said."""
        self._generation = 0
        self._said: dict[int, BBox | None] = {}
        self._last: BBox | None = wanted
        self._pause_until_s = 0.0

    def greet(self, *, with_rows: bool) -> BBox | None:
        """Hello is said: the view it has to name. Without rows it is the one that is wanted.

        What was said elsewhere stays known: if the greeted line goes down, the old one may still answer it.
        """
        self.due_s = None
        self._pause_until_s = 0.0
        if not with_rows:
            self.shown = self.wanted
        self._last = self.shown
        return self.shown

    def want(self, bbox: BBox | None, now_s: float, *, served: bool) -> None:
        """The application wishes for another view."""
        self.wanted = bbox
        if served:
            self.settle(now_s)

    def settle(self, now_s: float) -> None:
        """Say the wish as soon as it may be said, if it is one."""
        self.due_s = None if self.wanted == self._last else max(now_s, self._pause_until_s)

    def say(self, now_s: float) -> tuple[int, BBox | None]:
        """The wish that is due: its generation and its box."""
        self.due_s = None
        self._generation = self._generation % 65_535 + 1
        self._said[self._generation] = self._last = self.wanted
        self._pause_until_s = now_s + PAUSE_S
        return self._generation, self.wanted

    def arrived(self, generation: int) -> bool:
        """The first cut of a new view; False: that was never asked for."""
        if generation not in self._said:
            return False
        self.shown = self._said[generation]
        self._said = {later: bbox for later, bbox in self._said.items() if later > generation}
        return True
