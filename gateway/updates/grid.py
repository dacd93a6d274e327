# SPDX-License-Identifier: Apache-2.0
"""The city in tiles: which one a position is in, and which of them a bounding box touches."""

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from gateway.stream.delta_source import Box

TILES_ALONG: Final = 32
"""At least so many along the longer side of a city: then a window at street zoom touches a dozen or two."""
_FAR_DEGREES: Final = 10_000.0
"""Farther than any city is from the meridian or the equator."""
_Degrees5 = npt.NDArray[np.int32]


class Tiles(NamedTuple):
    """A rectangle of the grid, its last column and row included."""

    west: int
    south: int
    east: int
    north: int


@dataclass(frozen=True)
class TileGrid:
    """Tiles from a south-western corner; those at the border reach beyond it."""

    west_e5: int
    south_e5: int
    columns: int
    rows: int
    shift: int
    """A tile is 2^shift × 1e-5 degrees wide and high."""

    @classmethod
    def over(cls, box: Box) -> Self:
        """The grid that covers a box of degrees. Manhattan's tiles are 2⁹: some 430 × 570 m."""
        west, south, east, north = box
        west_e5, south_e5 = math.floor(west * 1e5), math.floor(south * 1e5)
        width, height = math.ceil(east * 1e5) - west_e5, math.ceil(north * 1e5) - south_e5
        shift = max(0, (max(width, height) // TILES_ALONG).bit_length() - 1)
        return cls(west_e5, south_e5, (width >> shift) + 1, (height >> shift) + 1, shift)

    @property
    def n_tiles(self) -> int:
        """Number of tiles; they are numbered row by row from the south-west."""
        return self.columns * self.rows

    def tile_of(self, lng_e5: _Degrees5, lat_e5: _Degrees5) -> npt.NDArray[np.int32]:
        """The number of the tile that each position is in."""
        column = _within((lng_e5 - np.int32(self.west_e5)) >> self.shift, self.columns)
        row = _within((lat_e5 - np.int32(self.south_e5)) >> self.shift, self.rows)
        tile: npt.NDArray[np.int32] = row * np.int32(self.columns) + column
        return tile

    def touched(self, box: Box) -> Tiles | None:
        """The tiles that touch a box; None if that is all of them. Raises ValueError for no box."""
        if not all(map(math.isfinite, box)) or box[0] > box[2] or box[1] > box[3]:
            message = "a viewport is [west, south, east, north] in degrees"
            raise ValueError(message)
        # Beyond the grid all coordinates are alike, so that a very large one need not overflow.
        west, south, east, north = (min(max(degrees, -_FAR_DEGREES), _FAR_DEGREES) for degrees in box)
        tiles = Tiles(
            self._column(math.floor(west * 1e5)),
            self._row(math.floor(south * 1e5)),
            self._column(math.ceil(east * 1e5)),
            self._row(math.ceil(north * 1e5)),
        )
        return None if tiles == Tiles(0, 0, self.columns - 1, self.rows - 1) else tiles

    def _column(self, lng_e5: int) -> int:
        return min(max((lng_e5 - self.west_e5) >> self.shift, 0), self.columns - 1)

    def _row(self, lat_e5: int) -> int:
        return min(max((lat_e5 - self.south_e5) >> self.shift, 0), self.rows - 1)

    def mask(self, tiles: Tiles | None) -> npt.NDArray[np.bool_]:
        """By tile number: whether it is one of `tiles`."""
        inside = np.zeros((self.rows, self.columns), np.bool_)
        if tiles is None:
            inside[:] = True
        else:
            inside[tiles.south : tiles.north + 1, tiles.west : tiles.east + 1] = True
        return inside.ravel()

    def numbers(self, tiles: Tiles) -> npt.NDArray[np.int64]:
        """The numbers of these tiles, ascending."""
        rows = np.arange(tiles.south, tiles.north + 1) * self.columns
        return (rows[:, None] + np.arange(tiles.west, tiles.east + 1)).ravel()

    def to_json(self) -> dict[str, Any]:
        """As `ready` tells it."""
        return {
            "west_e5": self.west_e5,
            "south_e5": self.south_e5,
            "shift": self.shift,
            "columns": self.columns,
            "rows": self.rows,
        }


def _within(places: _Degrees5, n: int) -> _Degrees5:
    """From 0 to `n` − 1. `np.clip` would look up the limits of the type at each call: twice the time."""
    return np.minimum(np.maximum(places, 0), np.int32(n - 1))
