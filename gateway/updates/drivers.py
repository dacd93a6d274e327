# SPDX-License-Identifier: Apache-2.0
"""The newest position and the status of every driver, as columns, and the cursor of each last change.

A driver has a slot for as long as a client may need to learn that the row is gone. Slots are inner
matter: rows leave here sorted by driver number, and the hash never sees a slot.
"""

from itertools import repeat
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.updates.blocks import one_block
from gateway.updates.columns import DriverColumns
from gateway.updates.grid import TileGrid, Tiles
from gateway.updates.hash import hash_drivers
from gateway.updates.quantised import quantised
from gateway.updates.step import Side, UpdateParts
from gateway.updates.succession import succession
from gateway.updates.sums import Sum, TileSums
from taxi.cursor import Cursor
from taxi.positions.columns import FixColumns
from taxi.positions.dropped import Dropped
from taxi.positions.fixes import AHEAD_MS_MAX, OLD_MS_MAX

SKEW_MS: Final = OLD_MS_MAX + AHEAD_MS_MAX
"""Of two positions, the one appended first can be the newer one by so much."""
_NEAR_MS: Final = 5_000
"""A position this near to a log time is where the driver was then."""
_NEVER: Final = -1
_NO_TIME: Final = 2**62
_Longs = npt.NDArray[np.int64]
_Slots = npt.NDArray[np.intp]
_Mask = npt.NDArray[np.bool_]


class DriverTable:
    """Columns over slots; `fold` and `set_status` change them, `close` settles which rows there are."""

    def __init__(self, grid: TileGrid, *, expiry_ms: int, memory_ms: int) -> None:
        """`memory_ms`: how long after its expiry a row is remembered as gone (log time)."""
        self.grid = grid
        self.expiry_ms = expiry_ms
        self.memory_ms = max(memory_ms, SKEW_MS)
        self.sums = TileSums(grid)
        self.dropped = Dropped()
        """Positions that do not count."""
        self._slot_of: dict[int, int] = {}
        self._free: list[int] = []
        self._status_of: dict[int, tuple[int, int]] = {}
        """Driver → status, and the event offset of its last change; with a position or without."""
        self._size = 0
        self._oldest_ms = self._oldest_used_ms = _NO_TIME
        """No row, and no slot, has a position appended earlier, so none expires before that one would."""
        self._step: UpdateParts | None = None
        # The newest position, and what was said of its driver.
        self._driver = np.zeros(0, np.uint32)
        self._lng_e5 = np.zeros(0, np.int32)
        self._lat_e5 = np.zeros(0, np.int32)
        self._device_ms = np.zeros(0, np.int64)
        self._offset = np.zeros(0, np.int64)
        self._log_ms = np.zeros(0, np.int64)
        """The append time, shifted to log time."""
        self._heading = np.zeros(0, np.uint8)
        self._speed = np.zeros(0, np.uint8)
        self._status = np.zeros(0, np.uint8)
        self._status_ev = np.zeros(0, np.int64)
        self._tile = np.zeros(0, np.int32)
        self._hop_offset = np.zeros(0, np.int64)
        """The last offset at which the newest position changed its tile."""
        # Of the slot.
        self._used = np.zeros(0, np.bool_)
        self._touched = np.zeros(0, np.bool_)
        """Whether the row may be another than at the last cut."""
        self._gone_loc = np.zeros(0, np.int64)
        self._gone_ev = np.zeros(0, np.int64)
        # The row as the last cut had it: `_row_…`.
        self._present = np.zeros(0, np.bool_)
        self._row_lng_e5 = np.zeros(0, np.int32)
        self._row_lat_e5 = np.zeros(0, np.int32)
        self._row_at = np.zeros(0, np.uint32)
        self._row_heading = np.zeros(0, np.uint8)
        self._row_speed = np.zeros(0, np.uint8)
        self._row_status = np.zeros(0, np.uint8)
        self._row_tile = np.zeros(0, np.int32)
        self._lane_a = np.zeros(0, np.uint32)
        self._lane_b = np.zeros(0, np.uint32)

    # --- folding ----------------------------------------------------------------------------------

    def fold(self, fixes: FixColumns, is_near: _Mask) -> None:
        """Take positions in log time in, in the order of their offsets; late or repeated ones too.

        `is_near`: whether the append time of each can be believed (taxi/positions/clock.py).
        """
        fixes = self.dropped.sift(fixes, is_near)
        slot = self._slots(fixes.driver.tolist())
        had_ms, had_offset = self._device_ms[slot], self._offset[slot]
        newer = (fixes.at_ms > had_ms) | ((fixes.at_ms == had_ms) & (fixes.offset > had_offset))
        if newer.any():
            self._store(slot[newer], _those(fixes, newer))

    def _store(self, slot: _Slots, fixes: FixColumns) -> None:
        """Write positions newer than what their slots hold."""
        rows = quantised(fixes.lng, fixes.lat, fixes.heading, fixes.speed)
        tile = self.grid.tile_of(rows.lng_e5, rows.lat_e5)
        chain, is_last, follows = succession(slot, fixes.at_ms)
        self._note_hops(slot[chain], tile[chain], follows, fixes.offset[chain])
        newest = chain[is_last]
        slot = slot[newest]
        self._device_ms[slot], self._offset[slot] = fixes.at_ms[newest], fixes.offset[newest]
        self._log_ms[slot], self._tile[slot] = fixes.append_ms[newest], tile[newest]
        self._lng_e5[slot], self._lat_e5[slot] = rows.lng_e5[newest], rows.lat_e5[newest]
        self._heading[slot], self._speed[slot] = rows.heading[newest], rows.speed[newest]
        self._touched[slot] = True
        earliest_ms = int(fixes.append_ms.min())
        self._oldest_ms = min(self._oldest_ms, earliest_ms)
        self._oldest_used_ms = min(self._oldest_used_ms, earliest_ms)

    def _note_hops(self, slot: _Slots, tile: npt.NDArray[np.int32], follows: _Mask, offset: _Longs) -> None:
        """Along the chain of newest positions: where each driver last came from another tile."""
        before = self._tile[slot]
        within = np.flatnonzero(follows)
        before[within] = tile[within - 1]
        hops = np.flatnonzero(tile != before)
        np.maximum.at(self._hop_offset, slot[hops], offset[hops])

    def set_status(self, driver: int, status: int, ev: int) -> None:
        """What events say of a driver as of the batch that ends at `ev`."""
        had = self._status_of.get(driver)
        if had is not None and had[0] == status:
            return
        self._status_of[driver] = (status, ev)
        slot = self._slot_of.get(driver)
        if slot is not None:
            self._status[slot], self._status_ev[slot], self._touched[slot] = status, ev, True

    # --- closing a cut ----------------------------------------------------------------------------

    def close(self, cursor: Cursor, cut_ms: int) -> None:
        """Settle which rows there are at this cut time, and drop what no client can ask for any more."""
        self._touch_expired(cut_ms)
        slots = np.flatnonzero(self._touched)
        slots = slots[np.argsort(self._driver[slots])]
        self._touched[slots] = False
        before = Side(self._rows_of(slots), self._row_tile[slots], self._present[slots])
        present = self._log_ms[slots] + self.expiry_ms > cut_ms
        after = Side(self._now(slots), self._tile[slots], present)
        self._take_rows(slots, before, after)
        self._step = UpdateParts(self.grid, before, after)
        gone = slots[~present & (before.present | (self._gone_loc[slots] == _NEVER))]
        self._gone_loc[gone], self._gone_ev[gone] = cursor.loc, cursor.ev
        self._gone_loc[slots[present]] = _NEVER
        self._prune(cut_ms)

    def _take_rows(self, slots: _Slots, before: Side, after: Side) -> None:
        """Take over rows as the cut has them, and keep the sums."""
        was, now = before.present, after.present
        self.sums.take_out(before.tile[was], self._lane_a[slots[was]], self._lane_b[slots[was]])
        self._lane_a[slots], self._lane_b[slots] = a, b = hash_drivers(after.rows)
        self.sums.add(after.tile[now], a[now], b[now])
        self._present[slots] = now
        self._row_lng_e5[slots], self._row_lat_e5[slots] = after.rows.lng_e5, after.rows.lat_e5
        self._row_at[slots], self._row_status[slots] = after.rows.at, after.rows.status
        self._row_heading[slots], self._row_speed[slots] = after.rows.heading, after.rows.speed
        self._row_tile[slots] = after.tile

    def _touch_expired(self, cut_ms: int) -> None:
        """Rows whose time is over differ, too."""
        if self._oldest_ms + self.expiry_ms > cut_ms:
            return
        alive = self._used & (self._log_ms + self.expiry_ms > cut_ms)
        self._touched |= self._present & ~alive
        self._oldest_ms = int(self._log_ms[alive].min(initial=_NO_TIME))

    def _prune(self, cut_ms: int) -> None:
        life_ms = self.expiry_ms + self.memory_ms
        if self._oldest_used_ms + life_ms > cut_ms:
            return
        forgotten = self._used & (self._log_ms + life_ms <= cut_ms)
        for slot in np.flatnonzero(forgotten).tolist():
            del self._slot_of[int(self._driver[slot])]
            self._free.append(slot)
        self._used[forgotten] = False
        self._oldest_used_ms = int(self._log_ms[self._used].min(initial=_NO_TIME))

    # --- asking -----------------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Number of rows."""
        return self.sums.of(None).rows

    def held(self, tiles: Tiles | None) -> Sum:
        """What the rows in these tiles add up to."""
        return self.sums.of(tiles)

    def step(self, tiles: Tiles | None) -> bytes:
        """The drivers section of the update from the previous cut to this one."""
        assert self._step is not None, "no cut has closed"
        return self._step.of(tiles)

    def image(self, tiles: Tiles | None) -> bytes:
        """The drivers section for who has nothing."""
        present = self._present if tiles is None else self._present & self.grid.mask(tiles)[self._tile]
        return one_block(np.zeros(0, np.uint32), self._sorted(present))

    def changes(self, since: Cursor, old: Tiles | None, new: Tiles | None) -> bytes:
        """The drivers section for who has the rows of the tiles `old` as of `since`.

        A record of offset o is behind a cursor if o >= its `loc` or `ev`, which are next offsets; a cut of
        cursor values (`_status_ev`, `_gone_loc`, `_gone_ev`) is behind it if they are greater.
        """
        wanted, known = self.grid.mask(new)[self._tile], self.grid.mask(old)[self._tile]
        fresh = self._offset >= since.loc
        present = self._present & wanted
        changed = present & (fresh | (self._status_ev > since.ev) | ~known)
        # Who has not hopped since was in this very tile; who has may have been anywhere.
        left = self._used & ~present & (known | (self._hop_offset >= since.loc))
        left &= self._present | (self._gone_loc > since.loc) | (self._gone_ev > since.ev)
        return one_block(np.sort(self._driver[left]), self._sorted(changed))

    def counts(self, statuses: int) -> list[int]:
        """Rows by status, from 0 to `statuses` − 1."""
        return [int(n) for n in np.bincount(self._row_status[self._present], minlength=statuses)]

    def place_at(self, driver: int, log_ms: int) -> tuple[float, float] | None:
        """The newest position of a driver, in degrees; None unless it was appended near this log time."""
        slot = self._slot_of.get(driver)
        if slot is None or abs(int(self._log_ms[slot]) - log_ms) > _NEAR_MS:
            return None
        return int(self._lng_e5[slot]) / 1e5, int(self._lat_e5[slot]) / 1e5

    def _sorted(self, chosen: _Mask) -> DriverColumns:
        slots = np.flatnonzero(chosen)
        return self._rows_of(slots[np.argsort(self._driver[slots])])

    def _now(self, slots: _Slots) -> DriverColumns:
        return DriverColumns(
            self._driver[slots],
            self._lng_e5[slots],
            self._lat_e5[slots],
            self._device_ms[slots].astype(np.uint32),
            self._heading[slots],
            self._speed[slots],
            self._status[slots],
        )

    def _rows_of(self, slots: _Slots) -> DriverColumns:
        return DriverColumns(
            self._driver[slots],
            self._row_lng_e5[slots],
            self._row_lat_e5[slots],
            self._row_at[slots],
            self._row_heading[slots],
            self._row_speed[slots],
            self._row_status[slots],
        )

    # --- slots ------------------------------------------------------------------------------------

    def _slots(self, drivers: list[int]) -> _Slots:
        known = np.fromiter(map(self._slot_of.get, drivers, repeat(_NEVER)), np.intp, len(drivers))
        if (known == _NEVER).any():
            return np.array([self._slot(driver) for driver in drivers], np.intp)
        return known

    def _slot(self, driver: int) -> int:
        slot = self._slot_of.get(driver)
        if slot is None:
            slot = self._slot_of[driver] = self._new_slot()
            self._driver[slot], self._used[slot], self._present[slot] = driver, True, False
            self._device_ms[slot] = self._offset[slot] = self._gone_loc[slot] = self._gone_ev[slot] = _NEVER
            self._tile[slot] = self._hop_offset[slot] = _NEVER
            self._log_ms[slot] = 0
            self._status[slot], self._status_ev[slot] = self._status_of.get(driver, (0, _NEVER))
        return slot

    def _new_slot(self) -> int:
        if self._free:
            return self._free.pop()
        if self._size == len(self._driver):
            self._grow(max(1024, 2 * self._size))
        self._size += 1
        return self._size - 1

    def _grow(self, size: int) -> None:
        for name, column in vars(self).items():
            if isinstance(column, np.ndarray):
                grown = np.zeros(size, column.dtype)
                grown[: len(column)] = column
                setattr(self, name, grown)


def _those(fixes: FixColumns, chosen: _Mask) -> FixColumns:
    return fixes if chosen.all() else fixes.take(chosen)
