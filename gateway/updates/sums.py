# SPDX-License-Identifier: Apache-2.0
"""What the driver rows of each tile add up to, kept as rows come and go."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gateway.updates.grid import TileGrid, Tiles
from gateway.updates.hash import Lanes, added_up


class Sum(NamedTuple):
    """Rows of an area: how many, and their hash."""

    rows: int
    lanes: Lanes


class TileSums:
    """Count and hash lanes by tile. An area's are the sum over its tiles, so a cut costs what changed."""

    def __init__(self, grid: TileGrid) -> None:
        self._shape = (grid.rows, grid.columns)
        self._rows = np.zeros(grid.n_tiles, np.int64)
        self._a = np.zeros(grid.n_tiles, np.uint32)
        self._b = np.zeros(grid.n_tiles, np.uint32)

    def add(self, tile: npt.NDArray[np.int32], a: npt.NDArray[np.uint32], b: npt.NDArray[np.uint32]) -> None:
        """Rows came."""
        np.add.at(self._rows, tile, 1)
        np.add.at(self._a, tile, a)
        np.add.at(self._b, tile, b)

    def take_out(
        self, tile: npt.NDArray[np.int32], a: npt.NDArray[np.uint32], b: npt.NDArray[np.uint32]
    ) -> None:
        """Rows that had been added went."""
        np.subtract.at(self._rows, tile, 1)
        np.subtract.at(self._a, tile, a)
        np.subtract.at(self._b, tile, b)

    def of(self, tiles: Tiles | None) -> Sum:
        """Over an area; None is the whole city."""
        if tiles is None:
            return Sum(int(self._rows.sum()), added_up((self._a, self._b)))
        rows, columns = slice(tiles.south, tiles.north + 1), slice(tiles.west, tiles.east + 1)
        a, b = (lane.reshape(self._shape)[rows, columns] for lane in (self._a, self._b))
        return Sum(int(self._rows.reshape(self._shape)[rows, columns].sum()), added_up((a, b)))
