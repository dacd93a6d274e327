# SPDX-License-Identifier: Apache-2.0
"""The interface between the stream and the source of its updates."""

from collections.abc import Hashable
from typing import Any, NamedTuple, Protocol, TypeAlias

from taxi.city_time import Period
from taxi.cursor import Cursor

Area: TypeAlias = Hashable
"""A viewport in canonical form; None is the whole city. Clients with equal areas have equal rows."""
Periods: TypeAlias = tuple[Period, ...]
Box: TypeAlias = tuple[float, float, float, float]
"""West, south, east, north in degrees."""


class ScenarioNotice(NamedTuple):
    """A scenario, as clients are sent it."""

    name: str
    title: str
    since_ms: int
    """Log time."""
    lasts_s: int
    """City time."""
    area: tuple[float, float, int] | None
    """Longitude and latitude of the centre in degrees, and the radius in metres; None: everywhere."""


class DeltaSource(Protocol):
    """A source of updates: rows at a cut, and the differences between cuts.

    It changes only when a cut is closed. Between two cuts, equal calls return equal results.
    """

    @property
    def cursor(self) -> Cursor | None:
        """The cursor of the last closed cut; None before the first."""
        ...

    @property
    def previous(self) -> Cursor | None:
        """The cursor of the cut before it, from which `step` begins."""
        ...

    @property
    def periods(self) -> Periods:
        """How fast people live at the last closed cut, and since when (`taxi.city_time`)."""
        ...

    @property
    def scenarios(self) -> tuple[ScenarioNotice, ...]:
        """The scenarios under way at the last closed cut, the oldest first."""
        ...

    def serves(self, cursor: Cursor) -> bool:
        """Whether an update can begin at this cursor."""
        ...

    def awaits(self, cursor: Cursor) -> bool:
        """Whether an update will be able to begin at this cursor soon, although it can't now.

        A client with such a cursor is pending.
        """
        ...

    def area(self, box: Box | None) -> Area:
        """The canonical viewport that contains a bounding box. Raises ValueError for an invalid box."""
        ...

    def step(self, area: Area, *, stale: bool = False) -> bytes:
        """The update from `previous` to `cursor`, for clients that have exactly `area` at `previous`."""
        ...

    def diff(
        self, since: Cursor | None, old: Area, new: Area, *, stale: bool = False, generation: int = 0
    ) -> bytes:
        """The update from (`since`, `old`) to (`cursor`, `new`).

        If `since` equals `cursor` and the areas are equal, it is empty.

        Args:
            since: A cursor that `serves` accepts, or None for the image of `new`.
            old: The viewport of the client's rows.
            new: The viewport of its rows after the update.
            stale: Marks the update: the gateway's input is old.
            generation: The client's number of the viewport change, or 0.
        """
        ...

    def ready_fields(self) -> dict[str, Any]:
        """Fields of `ready` that depend on the source, besides the cursor."""
        ...
