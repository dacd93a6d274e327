# SPDX-License-Identifier: Apache-2.0
"""The rows of the whole city at any cursor of the last minutes, with their hashes and tiles."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from taxi.bus import Record
from taxistream.tools.oracle.driver_index import DriverIndex, widened
from taxistream.tools.oracle.events import KEPT_MS, Boundary, Events
from taxistream.tools.oracle.grid import Area, OracleGrid, within
from taxistream.tools.oracle.hashing import WORD, Lanes, driver_lanes, total
from taxistream.tools.oracle.positions import EXPIRY_MS, FIX, Positions
from taxistream.tools.oracle.rides import RideFact

_ROWS_KEPT: Final = 256

Mask = npt.NDArray[np.bool_]
Cursor = tuple[int, int]
"""(`loc`, `ev`)."""


@dataclass(frozen=True)
class Columns:
    """Driver rows as columns by slot. If `held` is False, the other values of the slot have no meaning."""

    held: Mask
    x: npt.NDArray[np.int32]
    y: npt.NDArray[np.int32]
    at: npt.NDArray[np.uint32]
    heading: npt.NDArray[np.uint8]
    speed: npt.NDArray[np.uint8]
    status: npt.NDArray[np.uint8]

    def copy(self, held: Mask) -> "Columns":
        """A copy with another mask."""
        rest: list[Any] = [column.copy() for column in self.rest]
        return Columns(held.copy(), *rest)

    @property
    def rest(self) -> tuple[npt.NDArray[Any], ...]:
        """All columns except `held`."""
        return self.x, self.y, self.at, self.heading, self.speed, self.status


class Rows:
    """The whole city at a cursor."""

    def __init__(
        self,
        cursor: Cursor,
        at_ms: int,
        epoch: str,
        numbers: npt.NDArray[np.uint32],
        columns: Columns,
        rides: dict[str, RideFact],
        grid: OracleGrid | None,
    ) -> None:
        self.cursor = cursor
        self.at_ms = at_ms
        """Cut time."""
        self.epoch = epoch
        self.numbers = numbers
        """Slot → driver number."""
        self.columns = columns
        self.rides = rides
        self._grid = grid
        self._areas: dict[Area, tuple[Mask, Lanes]] = {}

    @cached_property
    def ride_records(self) -> dict[str, bytes]:
        """Id → record of each ride in an update."""
        return {name: ride.record for name, ride in self.rides.items()}

    def within(self, area: Area) -> tuple[Mask, Lanes]:
        """The mask of the drivers in the viewport, and the state hash of their rows and the rides.

        A viewport other than the whole city needs the grid.
        """
        found = self._areas.get(area)
        if found is None:
            mask = self.columns.held.copy()
            if area is not None:
                mask &= within(area, *self._tiles)
            rides = [ride.lanes for ride in self.rides.values()]
            a, b = total(self._driver_lanes, mask)
            lanes = a + sum(lane for lane, _ in rides) & WORD, b + sum(lane for _, lane in rides) & WORD
            found = self._areas[area] = mask, lanes
        return found

    @cached_property
    def _driver_lanes(self) -> Any:
        columns = self.columns
        s = columns.status.astype(np.uint32)
        s |= columns.heading.astype(np.uint32) << np.uint32(8)
        s |= columns.speed.astype(np.uint32) << np.uint32(16)
        return driver_lanes(self.numbers, columns.x, columns.y, columns.at, s)

    @cached_property
    def _tiles(self) -> Any:
        assert self._grid is not None
        return self._grid.tiles(self.columns.x, self.columns.y)


class OracleCity:
    """The city folded from the records of both topics: what clients must have."""

    def __init__(
        self,
        loc: int,
        expiry_ms: int = EXPIRY_MS,
        *,
        is_whole: bool = False,
        kept_ms: int = KEPT_MS,
        kept_per_driver: int | None = None,
    ) -> None:
        """Begin to read.

        Args:
            loc: Where reading of positions begins; earlier ones must have expired.
            expiry_ms: How long a row lives without a position.
            is_whole: Both topics are read from their beginning. Then nothing is forgotten, and set-backs of
                the broker's clock are computed from the positions instead of believed from the events.
            kept_ms: How long cities are remembered, in log time. More than `expiry_ms`.
            kept_per_driver: See `Positions`. Twice as many as are sent while a city is remembered.
        """
        self._expiry_ms = expiry_ms
        self._is_whole = is_whole
        self.index = DriverIndex()
        self.positions = Positions(self.index, loc, kept_per_driver)
        self.events = Events(self.index, keeps_all=is_whole, kept_ms=kept_ms)
        self.grid: OracleGrid | None = None
        self._rows: OrderedDict[Cursor, Rows] = OrderedDict()

    def feed_positions(self, records: Sequence[Record], position: int) -> None:
        """Process records of `taxi.locations`; `position` is the reader's after them."""
        self.positions.feed(records, position, None if self._is_whole else self.events.set_backs)

    def feed_events(self, records: Sequence[Record], position: int) -> None:
        """Process records of `taxi.events`; `position` is the reader's after them. Raises BrokenLogError."""
        self.events.feed(records, position)
        if self.positions.held:
            self.feed_positions((), 0)

    def knows(self, cursor: Cursor) -> bool:
        """Whether everything before this cursor was read."""
        return self.positions.end >= cursor[0] and self.events.end >= cursor[1]

    def remembers(self, cursor: Cursor) -> bool:
        """Whether the rows at this cursor can still be computed."""
        return cursor[0] >= self.positions.start and self.events.at(cursor[1]) is not None

    def rows(self, cursor: Cursor) -> Rows:
        """The rows at a cursor, cached. The cursor must be known and remembered."""
        found = self._rows.get(cursor)
        if found is None or len(found.columns.held) < len(self.index):
            boundary = self.events.at(cursor[1])
            assert boundary is not None
            found = self._rows[cursor] = self._made(cursor, boundary)
            if len(self._rows) > _ROWS_KEPT:
                self._rows.popitem(last=False)
        self._rows.move_to_end(cursor)
        return found

    def _made(self, cursor: Cursor, boundary: Boundary) -> Rows:
        at_ms = max(self.positions.clock_ms(cursor[0]), boundary.now_ms)
        shown = {
            name: ride
            for name, ride in boundary.rides.items()
            if ride.ended_ms is None or ride.ended_ms + self._expiry_ms > at_ms
        }
        columns = self._columns(cursor[0], at_ms, boundary)
        return Rows(cursor, at_ms, boundary.epoch, self.index.numbers, columns, shown, self.grid)

    def _columns(self, loc: int, at_ms: int, boundary: Boundary) -> Columns:
        size = len(self.index)
        fixes = self.positions.fixes
        newest = self.positions.newest_at(loc)[:size]
        found = newest >= fixes.base
        at = np.where(found, newest - fixes.base, 0)
        rows = fixes.column[at] if fixes.end else np.zeros(size, FIX)
        statuses = widened(boundary.statuses, size)[:size]
        return Columns(
            found & (rows["append_ms"] + self._expiry_ms > at_ms),
            rows["x"].copy(),
            rows["y"].copy(),
            (rows["at_ms"] & WORD).astype(np.uint32),
            rows["heading"].copy(),
            rows["speed"].copy(),
            statuses,
        )
