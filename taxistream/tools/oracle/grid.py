# SPDX-License-Identifier: Apache-2.0
"""Tiles and viewports, as docs/protocol.md defines them."""

import math
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

BBox: TypeAlias = tuple[float, float, float, float]
Area: TypeAlias = tuple[int, int, int, int] | None
"""(first column, first row, last column, last row), all inclusive; None is the whole city."""


@dataclass(frozen=True)
class OracleGrid:
    """The grid of tiles in `ready`."""

    west_e5: int
    south_e5: int
    shift: int
    columns: int
    rows: int

    @classmethod
    def from_ready(cls, grid: dict[str, Any]) -> Self:
        """Parse the field `grid` of `ready`."""
        names = ("west_e5", "south_e5", "shift", "columns", "rows")
        return cls(**{name: int(grid[name]) for name in names})

    def tiles(self, x: npt.NDArray[np.int32], y: npt.NDArray[np.int32]) -> tuple[Any, Any]:
        """Columns and rows of (n,) positions in 1e-5 degrees; positions outside of the grid are clipped."""
        column = np.clip((x.astype(np.int64) - self.west_e5) >> self.shift, 0, self.columns - 1)
        row = np.clip((y.astype(np.int64) - self.south_e5) >> self.shift, 0, self.rows - 1)
        return column, row

    def area(self, bbox: BBox | None) -> Area:
        """The tiles that a bounding box intersects."""
        if bbox is None:
            return None
        west, south, east, north = bbox
        first = self._tile(math.floor(west * 1e5), math.floor(south * 1e5))
        return (*first, *self._tile(math.ceil(east * 1e5), math.ceil(north * 1e5)))

    def _tile(self, x: int, y: int) -> tuple[int, int]:
        column = min(max((x - self.west_e5) >> self.shift, 0), self.columns - 1)
        return column, min(max((y - self.south_e5) >> self.shift, 0), self.rows - 1)

    @property
    def bounds(self) -> BBox:
        """West, south, east, north of all tiles, in degrees."""
        side = 1 << self.shift
        east, north = self.west_e5 + self.columns * side, self.south_e5 + self.rows * side
        return self.west_e5 / 1e5, self.south_e5 / 1e5, east / 1e5, north / 1e5


def within(area: Area, column: Any, row: Any) -> npt.NDArray[np.bool_]:
    """(n,) whether each tile is in the area."""
    if area is None:
        return np.ones(len(column), bool)
    left, bottom, right, top = area
    inside: npt.NDArray[np.bool_] = (column >= left) & (column <= right) & (row >= bottom) & (row <= top)
    return inside
