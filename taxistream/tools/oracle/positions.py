# SPDX-License-Identifier: Apache-2.0
"""The newest position of every driver before any offset of `taxi.locations`."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from taxi.bus import Record
from taxistream.tools.documented_fix import DocumentedFix, decode_fix
from taxistream.tools.oracle.driver_index import DriverIndex, widened

OLD_MS: Final = 5_000
AHEAD_MS: Final = 1_000
_ALONE_MS: Final = 5_000
"""By how much one position may move log time past the median of the last five."""
_APART_MS: Final = 30_000
"""How far an append time may be from that median."""
_BACK_MS: Final = 5_000
"""If the median falls by more, the clock was set back."""
EXPIRY_MS: Final = 60_000
_MARK_EACH: Final = 4_000
"""Positions between two marks. The state at an offset is computed from the last mark before it."""
KEPT_MAX: Final = 4_000_000
"""The most positions to keep; more than five minutes of 10,000 drivers."""
KEPT_MIN: Final = 100_000

I64 = npt.NDArray[np.int64]


FIX: Final = np.dtype(
    [
        ("offset", np.int64),
        ("slot", np.int64),
        ("at_ms", np.int64),
        ("append_ms", np.int64),
        ("x", np.int32),
        ("y", np.int32),
        ("heading", np.uint8),
        ("speed", np.uint8),
    ]
)
"""A position that was its driver's newest from its offset on."""


_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
COUNTS, UNREADABLE, LATE, AHEAD, UNBELIEVED = range(5)
"""What becomes of a record: it counts, or why it does not."""
_WHY: Final = ("", "unreadable", "late", "ahead", "unbelieved")


class _Read(NamedTuple):
    """A record in log time."""

    record: Record
    fix: DocumentedFix | None
    """None if it does not count."""
    fate: int
    append_ms: int
    clock_ms: int
    """Log time after it."""


class Position(NamedTuple):
    """A position that was its driver's newest from its offset on."""

    offset: int
    at_ms: int
    append_ms: int
    lng_e5: int
    lat_e5: int


class Growing:
    """An array that grows at its end and shrinks at its beginning. The index of an entry never changes."""

    def __init__(self, dtype: Any) -> None:
        self.base = 0
        self.end = 0
        self._held = np.zeros(1024, dtype)

    @property
    def column(self) -> npt.NDArray[Any]:
        """The entries from index `base` on."""
        return self._held[: self.end - self.base]

    def extend(self, more: npt.NDArray[Any]) -> None:
        """Append entries."""
        size = self.end - self.base
        if size + len(more) > len(self._held):
            wide = np.zeros(2 * (size + len(more)), self._held.dtype)
            wide[:size] = self._held[:size]
            self._held = wide
        self._held[size : size + len(more)] = more
        self.end += len(more)

    def prune_before(self, index: int) -> None:
        """Remove all entries before `index`."""
        if index > self.base:
            self._held = self.column[index - self.base :].copy()
            self.base = index


class Positions:
    """The newest positions at any offset in [`start`, `end`], from records in offset order."""

    def __init__(self, index: DriverIndex, start: int, kept_per_driver: int | None = None) -> None:
        """Begin to read.

        Args:
            index: Of the drivers.
            start: The offset of the first record.
            kept_per_driver: How many positions of each driver to keep, on average, at least KEPT_MIN in all;
                up to a half may be forgotten. None: KEPT_MAX in all.
        """
        self._kept_per_driver = kept_per_driver
        self.start = self.end = start
        """The range of offsets that can be asked for."""
        self._position = start
        """The reader's position."""
        self.held: list[Record] = []
        """Records that wait for an event: the clock was set back before them."""
        self.set_backs: list[tuple[int, int]] = []
        """From which position on times are shifted, and by how much, as far as was read."""
        self._appended: list[int] = []
        self._greatest_ms = self._now_ms = self._shift_ms = 0
        self._index = index
        self._newest_ms: I64 = np.full(64, -1, np.int64)
        self._newest: I64 = np.full(64, -1, np.int64)
        """Slot → index of the newest position in `fixes`, or −1."""
        self._asked: tuple[tuple[int, int, int], I64] = (-1, -1, -1), self._newest
        """The last question to `newest_at`, and its answer."""
        self.fixes = Growing(FIX)
        self._offsets = Growing(np.int64)
        self._appends = Growing(np.int64)
        """The append time of every record, also of dropped ones."""
        self._fates = Growing(np.uint8)
        self._clock = Growing(np.int64)
        """Of every record: log time after it."""
        self._marks: list[tuple[int, I64]] = [(0, self._newest.copy())]

    def prime(self, records: Sequence[Record]) -> None:
        """Records that come before the first: they only tell what time it was."""
        for record in records:
            with suppress(*_UNREADABLE):
                decode_fix(record.value or b"")
                self._appended = [*self._appended[-3:], record.timestamp_ms]

    def feed(
        self, records: Sequence[Record], position: int, announced: Sequence[tuple[int, int]] | None
    ) -> None:
        """Take records in.

        Args:
            records: The next ones.
            position: The reader's position after them.
            announced: From which position on times are shifted, and by how much, as far as events say. Where
                the broker's clock was set back and no event says by how much, records wait. None: the shift
                is computed from the positions, which must be read from the first one on.
        """
        shifts_ms = None if announced is None else dict(announced)
        if shifts_ms is not None and not len(self._offsets.column):
            self._shift_ms = ([0] + [shift for at, shift in shifts_ms.items() if at < self.start])[-1]
        records = [*self.held, *records]
        self.held = []
        read: list[_Read] = []
        for index, record in enumerate(records):
            one = self._time(record, shifts_ms)
            if one is None:
                self.held = records[index:]
                break
            read.append(one)
        if read:
            self._offsets.extend(np.array([one.record.offset for one in read], np.int64))
            self._appends.extend(np.array([one.append_ms for one in read], np.int64))
            self._fates.extend(np.array([one.fate for one in read], np.uint8))
            self._clock.extend(np.array([one.clock_ms for one in read], np.int64))
            self._take(self._columns([one for one in read if one.fix is not None]))
        self._position = max(self._position, position)
        self.end = self.held[0].offset if self.held else self._position
        if self.fixes.end - self.fixes.base > self._kept_max:
            self._prune()

    def _time(self, record: Record, announced: Mapping[int, int] | None) -> _Read | None:
        """The record in log time; None if it must wait for an event."""
        try:
            fix = decode_fix(record.value or b"")
        except _UNREADABLE:
            return _Read(record, None, UNREADABLE, record.timestamp_ms + self._shift_ms, self._now_ms)
        appended = [*self._appended[-4:], record.timestamp_ms]
        median_ms = sorted(appended)[(len(appended) - 1) // 2]
        falls = median_ms + self._shift_ms < self._greatest_ms - _BACK_MS
        if announced is None:
            if falls:
                self._shift(record.offset, self._greatest_ms - median_ms)
        elif record.offset in announced:
            self._shift(record.offset, announced[record.offset])
        elif falls:
            return None
        self._appended = appended
        append_ms, clock_ms = record.timestamp_ms + self._shift_ms, median_ms + self._shift_ms
        self._greatest_ms = max(self._greatest_ms, clock_ms)
        self._now_ms = max(self._now_ms, append_ms if append_ms <= clock_ms + _ALONE_MS else clock_ms)
        fix.at_ms += self._shift_ms
        fate = _fate(fix.at_ms, append_ms, clock_ms)
        return _Read(record, fix if fate == COUNTS else None, fate, append_ms, self._now_ms)

    def _shift(self, offset: int, shift_ms: int) -> None:
        self._shift_ms = shift_ms
        self.set_backs.append((offset, shift_ms))

    def _columns(self, rows: "Sequence[_Read]") -> npt.NDArray[Any]:
        """The positions that count, in offset order."""
        found = np.zeros(len(rows), FIX)
        if rows:
            fixes = [one.fix for one in rows if one.fix is not None]
            found["offset"] = [one.record.offset for one in rows]
            found["append_ms"] = [one.append_ms for one in rows]
            found["slot"] = self._index.slots([fix.driver for fix in fixes])
            found["at_ms"] = [fix.at_ms for fix in fixes]
            found["x"] = np.rint(np.array([fix.lng for fix in fixes]) * 1e5)
            found["y"] = np.rint(np.array([fix.lat for fix in fixes]) * 1e5)
            found["heading"] = np.rint(np.array([fix.heading for fix in fixes]) * (256 / 360)) % 256
            found["speed"] = np.minimum(np.rint(np.array([fix.speed for fix in fixes]) * 2), 255)
        return found

    def _take(self, found: npt.NDArray[Any]) -> None:
        """Keep positions that are not older than their driver's newest one, by device time."""
        self._newest_ms = widened(self._newest_ms, len(self._index), -1)
        self._newest = widened(self._newest, len(self._index), -1)
        kept, left = np.zeros(len(found), bool), np.arange(len(found))
        while len(left):
            slots = found["slot"][left]
            _, first = np.unique(slots, return_index=True)
            now = left[first]
            newer = now[found["at_ms"][now] >= self._newest_ms[found["slot"][now]]]
            self._newest_ms[found["slot"][newer]] = found["at_ms"][newer]
            kept[newer] = True
            left = np.delete(left, first)
        fresh = found[kept]
        self._newest[fresh["slot"]] = np.arange(self.fixes.end, self.fixes.end + len(fresh))
        self.fixes.extend(fresh)
        if self.fixes.end - self._marks[-1][0] >= _MARK_EACH:
            self._marks.append((self.fixes.end, self._newest.copy()))

    @property
    def _kept_max(self) -> int:
        if self._kept_per_driver is None:
            return KEPT_MAX
        return max(KEPT_MIN, self._kept_per_driver * len(self._index))

    def _prune(self) -> None:
        half = self.fixes.base + self._kept_max // 2
        kept = next(at for at, _ in self._marks if at >= half)
        offset = int(self.fixes.column[kept - self.fixes.base - 1]["offset"]) + 1
        self._marks = [(at, newest) for at, newest in self._marks if at >= kept]
        self.fixes.prune_before(kept)
        record = self._offsets.base + int(np.searchsorted(self._offsets.column, offset))
        for column in (self._offsets, self._appends, self._fates, self._clock):
            column.prune_before(record)
        self.start = offset

    # --- asking -----------------------------------------------------------------------------------

    def newest_at(self, loc: int) -> I64:
        """Slot → index of the newest position before `loc`; less than `fixes.base` if there is none."""
        question = loc, self.end, len(self._index)
        if self._asked[0] == question:
            return self._asked[1]
        column = self.fixes.column
        end = self.fixes.base + int(np.searchsorted(column["offset"], loc))
        at, newest = next(mark for mark in reversed(self._marks) if mark[0] <= end or mark is self._marks[0])
        newest = widened(newest.copy(), len(self._index), -1)
        more = column[at - self.fixes.base : end - self.fixes.base]
        newest[more["slot"]] = np.arange(at, end)  # if a slot occurs several times, the last one is assigned
        self._asked = question, newest
        return newest

    def newest_of(self, driver: int, loc: int) -> Position | None:
        """A driver's newest position before `loc`; None if there is none."""
        slot = self._index.known_slot(driver)
        at = -1 if slot is None else int(self.newest_at(loc)[slot])
        if at < self.fixes.base:
            return None
        fix = self.fixes.column[at - self.fixes.base]
        return Position(*(int(fix[name]) for name in ("offset", "at_ms", "append_ms", "x", "y")))

    def dropped(self) -> list[tuple[int, str]]:
        """Offsets of the records that do not count, and why."""
        found = np.flatnonzero(self._fates.column)
        return [(int(self._offsets.column[at]), _WHY[self._fates.column[at]]) for at in found]

    def clock_ms(self, loc: int) -> int:
        """Log time along the locations before `loc`."""
        at = int(np.searchsorted(self._offsets.column, loc))
        return int(self._clock.column[at - 1]) if at else 0

    def appended_ms(self, first: int, end: int) -> I64:
        """The append times of the records with offsets in [first, end)."""
        a, b = np.searchsorted(self._offsets.column, [first, end])
        return self._appends.column[a:b]


def _fate(at_ms: int, append_ms: int, clock_ms: int) -> int:
    if abs(append_ms - clock_ms) > _APART_MS:
        return UNBELIEVED
    if at_ms < append_ms - OLD_MS:
        return LATE
    return AHEAD if at_ms > append_ms + AHEAD_MS else COUNTS
