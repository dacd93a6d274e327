# SPDX-License-Identifier: Apache-2.0
"""The update from the previous cut to the last one: differences, each tile encoded once."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gateway.updates.blocks import BlockChanges, MovedRows, encode, joined
from gateway.updates.columns import DriverColumns
from gateway.updates.grid import TileGrid, Tiles

_Mask = npt.NDArray[np.bool_]


class Side(NamedTuple):
    """Rows at one end of a step."""

    rows: DriverColumns
    tile: npt.NDArray[np.int32]
    present: _Mask
    """Whether there is such a row."""


class UpdateParts:
    """Rows that may differ, before and after, ascending by driver. Nothing is encoded until somebody asks."""

    def __init__(self, grid: TileGrid, before: Side, after: Side) -> None:
        self._grid = grid
        self._before = before
        self._after = after

    @cached_property
    def whole(self) -> bytes:
        """The drivers section for the whole city: one block."""
        nowhere = np.zeros(len(self._before.tile), np.int32)
        blocks = self._encoded(nowhere, nowhere)
        return joined(list(blocks.values()))

    def of(self, tiles: Tiles | None) -> bytes:
        """The drivers section for an area: the blocks of its tiles in which something changed."""
        if tiles is None:
            return self.whole
        blocks = self._by_tile
        numbers = self._grid.numbers(tiles).tolist()
        return joined([blocks[number] for number in numbers if number in blocks])

    @cached_property
    def _by_tile(self) -> dict[int, bytes]:
        return self._encoded(self._before.tile, self._after.tile)

    def _encoded(self, was_in: npt.NDArray[np.int32], is_in: npt.NDArray[np.int32]) -> dict[int, bytes]:
        """Blocks by tile, for rows that were and are in these."""
        before, after = self._before, self._after
        stays = before.present & after.present & (was_in == is_in)
        gone, rows = before.present & ~stays, after.present & ~stays
        moved = stays & self._has_moved
        status = stays & (before.rows.status != after.rows.status)
        gone_at, rows_at = _ascending(gone, was_in), _ascending(rows, is_in)
        status_at, moved_at = _ascending(status, is_in), _ascending(moved, is_in)
        changed_in = (was_in[gone_at], is_in[rows_at], is_in[status_at], is_in[moved_at])
        tiles = np.unique(np.concatenate(changed_in))
        block = [np.searchsorted(tiles, each) for each in changed_in]
        was = before.rows
        changes = BlockChanges(
            before.rows.driver[gone_at],
            block[0],
            after.rows.take(rows_at),
            block[1],
            after.rows.take(status_at),
            block[2],
            MovedRows(
                after.rows.take(moved_at), was.lng_e5[moved_at], was.lat_e5[moved_at], was.at[moved_at]
            ),
            block[3],
        )
        blocks = encode(changes, len(tiles))
        return {tile: blocks[number] for number, tile in enumerate(tiles.tolist())}

    @cached_property
    def _has_moved(self) -> _Mask:
        """Whether anything but the status differs."""
        was, now = self._before.rows, self._after.rows
        differs: _Mask = was.at != now.at
        differs |= was.lng_e5 != now.lng_e5
        differs |= was.lat_e5 != now.lat_e5
        differs |= was.heading != now.heading
        differs |= was.speed != now.speed
        return differs


def _ascending(chosen: _Mask, tile: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    """The chosen rows by tile, and in each as they stand: by driver."""
    places = np.flatnonzero(chosen)
    return places[np.argsort(tile[places], kind="stable")]
