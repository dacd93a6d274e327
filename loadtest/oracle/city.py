# SPDX-License-Identifier: Apache-2.0
"""The rows of the whole city at any cursor of the last minutes, with all that a cut tells of them."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from loadtest.oracle.events import Boundary, Events
from loadtest.oracle.grid import Area, Grid, within
from loadtest.oracle.hashing import WORD, Lanes, driver_lanes, total
from loadtest.oracle.locations import EXPIRY_MS, FIX, Locations
from loadtest.oracle.roll import Roll, widened
from taxi.bus import Record

_ROWS_KEPT: Final = 256

Mask = npt.NDArray[np.bool_]
Cursor = tuple[int, int]
"""`loc` and `ev`."""


@dataclass(frozen=True)
class Columns:
    """Driver rows by slot. Where `held` is false the rest means nothing."""

    held: Mask
    x: npt.NDArray[np.int32]
    y: npt.NDArray[np.int32]
    at: npt.NDArray[np.uint32]
    heading: npt.NDArray[np.uint8]
    speed: npt.NDArray[np.uint8]
    status: npt.NDArray[np.uint8]

    def copy(self, held: Mask) -> "Columns":
        """Another set of the same rows, as far as `held`."""
        rest: list[Any] = [column.copy() for column in self.rest]
        return Columns(held.copy(), *rest)

    @property
    def rest(self) -> tuple[npt.NDArray[Any], ...]:
        """What makes a row, beside its being there."""
        return self.x, self.y, self.at, self.heading, self.speed, self.status


@dataclass
class Rows:
    """The whole city at a cursor."""

    cursor: Cursor
    at_ms: int
    epoch: str
    columns: Columns
    rides: dict[str, bytes]
    ride_lanes: Lanes
    _lanes: Any
    _tiles: Any
    _areas: dict[Area, tuple[Mask, Lanes]] = field(default_factory=dict)

    def within(self, area: Area) -> tuple[Mask, Lanes]:
        """Who is in the area, and the state hash over them and the rides."""
        found = self._areas.get(area)
        if found is None:
            mask = self.columns.held & within(area, *self._tiles)
            own = total(self._lanes, mask)
            lanes = tuple((a + b) & WORD for a, b in zip(own, self.ride_lanes, strict=True))
            found = self._areas[area] = mask, (lanes[0], lanes[1])
        return found


class City:
    """Fed with the records of both topics, it knows what a client must hold."""

    def __init__(self, loc: int, expiry_ms: int = EXPIRY_MS) -> None:
        """Fixes are read from `loc` on: far enough back that what is before has expired."""
        self._expiry_ms = expiry_ms
        self.roll = Roll()
        self.locations = Locations(self.roll, loc)
        self.events = Events(self.roll)
        self.grid: Grid | None = None
        self._rows: OrderedDict[Cursor, Rows] = OrderedDict()

    def feed_locations(self, records: Sequence[Record]) -> None:
        """More fixes."""
        self.locations.feed(records)

    def feed_events(self, records: Sequence[Record], position: int) -> None:
        """More events. Raises LogBroken."""
        self.events.feed(records, position)

    def knows(self, cursor: Cursor) -> bool:
        """Whether everything before it was read."""
        return self.locations.end >= cursor[0] and self.events.end >= cursor[1]

    def remembers(self, cursor: Cursor) -> bool:
        """Whether what stood there can still be told."""
        return cursor[0] >= self.locations.start and self.events.at(cursor[1]) is not None

    def rows(self, cursor: Cursor) -> Rows:
        """The city there. It must be known and remembered."""
        found = self._rows.get(cursor)
        if found is None or len(found.columns.held) < len(self.roll):
            boundary = self.events.at(cursor[1])
            assert boundary is not None
            found = self._rows[cursor] = self._made(cursor, boundary)
            if len(self._rows) > _ROWS_KEPT:
                self._rows.popitem(last=False)
        self._rows.move_to_end(cursor)
        return found

    def _made(self, cursor: Cursor, boundary: Boundary) -> Rows:
        at_ms = max(self.locations.clock_ms(cursor[0]), boundary.now_ms)
        columns = self._columns(cursor[0], at_ms, boundary)
        shown = {
            name: ride
            for name, ride in boundary.rides.items()
            if ride.ended_ms is None or ride.ended_ms + self._expiry_ms > at_ms
        }
        ride_lanes = [ride.lanes for ride in shown.values()]
        s = columns.status.astype(np.uint32)
        s |= columns.heading.astype(np.uint32) << np.uint32(8)
        s |= columns.speed.astype(np.uint32) << np.uint32(16)
        self.roll.find(np.zeros(0, np.uint32))  # settles `numbers`
        assert self.grid is not None
        return Rows(
            cursor,
            at_ms,
            boundary.epoch,
            columns,
            {name: ride.record for name, ride in shown.items()},
            (sum(a for a, _ in ride_lanes) & WORD, sum(b for _, b in ride_lanes) & WORD),
            driver_lanes(self.roll.numbers, columns.x, columns.y, columns.at, s),
            self.grid.tiles(columns.x, columns.y),
        )

    def _columns(self, loc: int, at_ms: int, boundary: Boundary) -> Columns:
        size = len(self.roll)
        fixes = self.locations.fixes
        newest = self.locations.newest_at(loc)[:size]
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
