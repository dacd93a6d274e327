# SPDX-License-Identifier: Apache-2.0
"""The newest fix and the status of every driver, as columns; and since which cursor each row stands.

A driver has a slot for as long as a client may have to be told that the row is gone. Slots are inner
matter: rows leave here sorted by driver number, and the hash never sees a slot.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.city.blocks import one_block
from gateway.city.columns import DriverColumns
from gateway.city.grid import Grid
from gateway.city.hash import Lanes, hash_drivers
from taxi.cursor import Cursor
from taxi.fixes import AHEAD_MS_MAX, OLD_MS_MAX
from taxi.messages import Fix

SKEW_MS: Final = OLD_MS_MAX + AHEAD_MS_MAX
"""Of two fixes, the one appended first can be the newer one by so much."""
_NEVER: Final = -1
_Longs = npt.NDArray[np.int64]
_Slots = npt.NDArray[np.intp]
_Mask = npt.NDArray[np.bool_]


class DriverTable:
    """Columns over slots; `fold` and `set_status` change them, `close` settles which rows there are."""

    def __init__(self, grid: Grid, *, expiry_ms: int, memory_ms: int) -> None:
        """`memory_ms`: how long after its expiry a row is remembered as gone (log time)."""
        self.grid = grid
        self.expiry_ms = expiry_ms
        self.memory_ms = max(memory_ms, SKEW_MS)
        self._slot_of: dict[int, int] = {}
        self._free: list[int] = []
        self._status_of: dict[int, tuple[int, int]] = {}
        """Driver → status, and the event offset since which it stands; with a fix or without."""
        self._size = 0
        self._driver = np.zeros(0, np.uint32)
        self._lng_e5 = np.zeros(0, np.int32)
        self._lat_e5 = np.zeros(0, np.int32)
        self._tile = np.zeros(0, np.int32)
        self._at_ms = np.zeros(0, np.int64)
        self._offset = np.zeros(0, np.int64)
        self._append_ms = np.zeros(0, np.int64)
        self._heading = np.zeros(0, np.uint8)
        self._speed = np.zeros(0, np.uint8)
        self._status = np.zeros(0, np.uint8)
        self._status_ev = np.zeros(0, np.int64)
        self._used = np.zeros(0, np.bool_)
        self._present = np.zeros(0, np.bool_)
        self._gone_loc = np.zeros(0, np.int64)
        self._gone_ev = np.zeros(0, np.int64)

    @property
    def total(self) -> int:
        """Number of rows."""
        return int(np.count_nonzero(self._present))

    def fold(self, fixes: Sequence[Fix], offsets: Sequence[int], appends_ms: Sequence[int]) -> None:
        """Take fixes in, in any order, repeated or late (the rule: taxi/fixes.py)."""
        at_ms, append_ms = _longs([fix.at_ms for fix in fixes]), _longs(appends_ms)
        kept = np.flatnonzero((append_ms - OLD_MS_MAX <= at_ms) & (at_ms <= append_ms + AHEAD_MS_MAX))
        if not len(kept):
            return
        offset = _longs(offsets)
        slot = np.array([self._slot(fixes[i].driver) for i in kept.tolist()], np.intp)
        order = np.lexsort((offset[kept], at_ms[kept], slot))
        last = np.append(slot[order][1:] != slot[order][:-1], True)
        newest, slot = kept[order[last]], slot[order[last]]
        chosen = [fixes[i] for i in newest.tolist()]
        self._store(slot, chosen, at_ms[newest], offset[newest], append_ms[newest])

    def _store(
        self,
        slot: _Slots,
        fixes: list[Fix],
        at_ms: _Longs,
        offset: _Longs,
        append_ms: _Longs,
    ) -> None:
        """Write one fix a slot, where it is newer than what stands there."""
        had_ms, had_offset = self._at_ms[slot], self._offset[slot]
        newer = (at_ms > had_ms) | ((at_ms == had_ms) & (offset > had_offset))
        slot = slot[newer]
        if not len(slot):
            return
        fixes = [fixes[i] for i in np.flatnonzero(newer).tolist()]
        self._at_ms[slot], self._offset[slot] = at_ms[newer], offset[newer]
        self._append_ms[slot] = append_ms[newer]
        self._lng_e5[slot] = np.rint(np.array([fix.lng for fix in fixes]) * 1e5)
        self._lat_e5[slot] = np.rint(np.array([fix.lat for fix in fixes]) * 1e5)
        self._tile[slot] = self.grid.tile_of(self._lng_e5[slot], self._lat_e5[slot])
        turns = np.rint(np.array([fix.heading for fix in fixes]) * (256 / 360))
        self._heading[slot] = turns.astype(np.int64) & 0xFF
        self._speed[slot] = np.minimum(np.rint(np.array([fix.speed for fix in fixes]) * 2), 255)

    def set_status(self, driver: int, status: int, ev: int) -> None:
        """What events say of a driver as of the batch that ends at `ev`."""
        had = self._status_of.get(driver)
        if had is not None and had[0] == status:
            return
        self._status_of[driver] = (status, ev)
        slot = self._slot_of.get(driver)
        if slot is not None:
            self._status[slot], self._status_ev[slot] = status, ev

    def close(self, cursor: Cursor, at_ms: int) -> None:
        """Settle which rows there are at this cut time, and forget what nobody can ask for any more."""
        present = self._used & (self._append_ms + self.expiry_ms > at_ms)
        gone = self._used & ~present & (self._present | (self._gone_loc == _NEVER))
        self._gone_loc[gone], self._gone_ev[gone] = cursor.loc, cursor.ev
        self._gone_loc[present] = _NEVER
        self._present = present
        forget = self._used & (self._append_ms + (self.expiry_ms + self.memory_ms) <= at_ms)
        for slot in np.flatnonzero(forget).tolist():
            del self._slot_of[int(self._driver[slot])]
            self._used[slot] = False
            self._free.append(slot)

    def held(self, inside: _Mask) -> tuple[int, Lanes]:
        """How many rows are in these tiles, and what they add up to."""
        slots = np.flatnonzero(self._present & inside[self._tile])
        return len(slots), hash_drivers(self._columns(slots))

    def changes(self, since: Cursor | None, old: _Mask, new: _Mask) -> bytes:
        """What changes for a client that holds the rows of the tiles `old` at `since` (None: it has none)."""
        shown = self._present & new[self._tile]
        if since is None:
            return one_block(np.zeros(0, np.uint32), self._sorted(shown))
        told = (self._offset >= since.loc) | (self._status_ev > since.ev) | ~old[self._tile]
        left = self._used & ~shown & ((self._offset >= since.loc) | old[self._tile])
        left &= self._present | (self._gone_loc > since.loc) | (self._gone_ev > since.ev)
        return one_block(np.sort(self._driver[left]), self._sorted(shown & told))

    def _sorted(self, chosen: _Mask) -> DriverColumns:
        slots = np.flatnonzero(chosen)
        return self._columns(slots[np.argsort(self._driver[slots])])

    def _columns(self, slots: _Slots) -> DriverColumns:
        return DriverColumns(
            self._driver[slots],
            self._lng_e5[slots],
            self._lat_e5[slots],
            self._at_ms[slots].astype(np.uint32),
            self._heading[slots],
            self._speed[slots],
            self._status[slots],
        )

    def counts(self, statuses: int) -> list[int]:
        """Rows by status, from 0 to `statuses` − 1."""
        return [int(n) for n in np.bincount(self._status[self._present], minlength=statuses)]

    def _slot(self, driver: int) -> int:
        slot = self._slot_of.get(driver)
        if slot is None:
            slot = self._slot_of[driver] = self._new_slot()
            self._driver[slot], self._used[slot], self._present[slot] = driver, True, False
            self._at_ms[slot] = self._offset[slot] = self._gone_loc[slot] = self._gone_ev[slot] = _NEVER
            self._append_ms[slot] = 0
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


def _longs(values: Sequence[int]) -> _Longs:
    return np.array(values, np.int64)
