# SPDX-License-Identifier: Apache-2.0
"""What the stream asks of whatever is shown: pictures at a cut, and how they differ from earlier ones."""

from collections.abc import Hashable
from typing import Any, Protocol, TypeAlias

from taxi.cursor import Cursor

Area: TypeAlias = Hashable
"""A part of the picture that somebody looks at; None is everything. Equal areas see equal rows."""
Box: TypeAlias = tuple[float, float, float, float]
"""West, south, east, north in degrees."""


class Picture(Protocol):
    """Rows at a cut. Between two cuts it stands still, so whatever is asked is answered alike."""

    @property
    def cursor(self) -> Cursor | None:
        """Of the last cut closed; None before there is one."""
        ...

    @property
    def previous(self) -> Cursor | None:
        """Of the cut before it: where `step` starts."""
        ...

    def serves(self, cursor: Cursor) -> bool:
        """Whether a diff can be cut from there."""
        ...

    def awaits(self, cursor: Cursor) -> bool:
        """Whether a diff from there, which can't be cut now, can be soon: whoever stands there is held."""
        ...

    def area(self, box: Box | None) -> Area:
        """The area that shows a bounding box, in its canonical form. Raises ValueError."""
        ...

    def step(self, area: Area, *, stale: bool = False) -> bytes:
        """The cut from `previous` to `cursor`: only for who stands at `previous` with this very area."""
        ...

    def diff(
        self, since: Cursor | None, old: Area, new: Area, *, stale: bool = False, generation: int = 0
    ) -> bytes:
        """The cut from (`since`, `old`) to (`cursor`, `new`); from None it is the image of `new`.

        `since` must be served. From the present cursor with the same area it is the empty beat.
        """
        ...

    def hello(self) -> dict[str, Any]:
        """What `ready` tells of it beside the cursor."""
        ...
