# SPDX-License-Identifier: Apache-2.0
"""The newest fix of every driver before any offset of `taxi.locations`."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from loadtest.oracle.roll import Roll, Slots, widened
from taxi.bus import Record

OLD_MS: Final = 5_000
AHEAD_MS: Final = 1_000
EXPIRY_MS: Final = 60_000
_MARK_EACH: Final = 4_000
"""Fixes between two marks: from a mark it is a short way to any offset after it."""
_KEPT_MAX: Final = 4_000_000
"""Fixes held at most; more than five minutes of 10,000 drivers."""

I64 = npt.NDArray[np.int64]


class _Fix(msgspec.Struct, tag_field="type", tag="Fix", gc=False):
    """As docs/messages.md has it."""

    driver: Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1)]
    at_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    lng: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    heading: Annotated[int, msgspec.Meta(ge=0, le=360)] = 0
    speed: Annotated[float, msgspec.Meta(ge=0)] = 0.0


_DECODE: Final = msgspec.json.Decoder(_Fix).decode

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
"""A fix that was its driver's newest from its offset on."""


class Growing:
    """A column that grows at its end and is forgotten at its beginning; indices stay what they are."""

    def __init__(self, dtype: Any) -> None:
        self.base = 0
        self.end = 0
        self._held = np.zeros(1024, dtype)

    @property
    def column(self) -> npt.NDArray[Any]:
        """From index `base` on."""
        return self._held[: self.end - self.base]

    def extend(self, more: npt.NDArray[Any]) -> None:
        """Append."""
        size = self.end - self.base
        if size + len(more) > len(self._held):
            wide = np.zeros(2 * (size + len(more)), self._held.dtype)
            wide[:size] = self._held[:size]
            self._held = wide
        self._held[size : size + len(more)] = more
        self.end += len(more)

    def forget_before(self, index: int) -> None:
        """Let go of everything below."""
        if index > self.base:
            self._held = self.column[index - self.base :].copy()
            self.base = index


class Locations:
    """Feed it records in offset order; ask for any offset that it still covers."""

    def __init__(self, roll: Roll, start: int) -> None:
        self.start = self.end = start
        """It knows the records in between."""
        self.undecodable = 0
        self._roll = roll
        self._newest_ms: I64 = np.full(64, -1, np.int64)
        self._newest: I64 = np.full(64, -1, np.int64)
        """By slot: index of the newest fix."""
        self.fixes = Growing(FIX)
        self._offsets = Growing(np.int64)
        self._appends = Growing(np.int64)
        """Of every record, counting or not: its append time."""
        self._clock = Growing(np.int64)
        """Of every record: the greatest append time up to it."""
        self._marks: list[tuple[int, I64]] = [(0, self._newest.copy())]

    def feed(self, records: Sequence[Record]) -> None:
        """Take records in."""
        if not records:
            return
        appends = np.array([record.timestamp_ms for record in records], np.int64)
        before = int(self._clock.column[-1]) if len(self._clock.column) else 0
        self._offsets.extend(np.array([record.offset for record in records], np.int64))
        self._appends.extend(appends)
        self._clock.extend(np.maximum.accumulate(np.maximum(appends, before)))
        self._take(self._read(records))
        self.end = records[-1].offset + 1
        if self.fixes.end - self.fixes.base > _KEPT_MAX:
            self._forget()

    def _read(self, records: Sequence[Record]) -> npt.NDArray[Any]:
        """The fixes that count, in offset order."""
        rows = []
        for record in records:
            try:
                fix = _DECODE(record.value or b"")
            except (msgspec.DecodeError, UnicodeDecodeError):
                self.undecodable += 1
                continue
            if record.timestamp_ms - OLD_MS <= fix.at_ms <= record.timestamp_ms + AHEAD_MS:
                rows.append((record, fix))
        found = np.zeros(len(rows), FIX)
        if rows:
            fixes = [fix for _, fix in rows]
            found["offset"] = [record.offset for record, _ in rows]
            found["append_ms"] = [record.timestamp_ms for record, _ in rows]
            found["slot"] = self._roll.slots([fix.driver for fix in fixes])
            found["at_ms"] = [fix.at_ms for fix in fixes]
            found["x"] = np.rint(np.array([fix.lng for fix in fixes]) * 1e5)
            found["y"] = np.rint(np.array([fix.lat for fix in fixes]) * 1e5)
            found["heading"] = np.rint(np.array([fix.heading for fix in fixes]) * (256 / 360)) % 256
            found["speed"] = np.minimum(np.rint(np.array([fix.speed for fix in fixes]) * 2), 255)
        return found

    def _take(self, found: npt.NDArray[Any]) -> None:
        """Keep those that are newer than what their driver had; of equal device times the later one is."""
        self._newest_ms = widened(self._newest_ms, len(self._roll), -1)
        self._newest = widened(self._newest, len(self._roll), -1)
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

    def _forget(self) -> None:
        half = self.fixes.base + _KEPT_MAX // 2
        kept = next(at for at, _ in self._marks if at >= half)
        offset = int(self.fixes.column[kept - self.fixes.base - 1]["offset"]) + 1
        self._marks = [(at, newest) for at, newest in self._marks if at >= kept]
        self.fixes.forget_before(kept)
        record = self._offsets.base + int(np.searchsorted(self._offsets.column, offset))
        for column in (self._offsets, self._appends, self._clock):
            column.forget_before(record)
        self.start = offset

    # --- asking -----------------------------------------------------------------------------------

    def newest_at(self, loc: int) -> I64:
        """Of each slot the index of the newest fix before `loc`; below `fixes.base` where there is none."""
        column = self.fixes.column
        end = self.fixes.base + int(np.searchsorted(column["offset"], loc))
        at, newest = next(mark for mark in reversed(self._marks) if mark[0] <= end or mark is self._marks[0])
        newest = widened(newest.copy(), len(self._roll), -1)
        more = column[at - self.fixes.base : end - self.fixes.base]
        newest[more["slot"]] = np.arange(at, end)  # of several to one slot the last holds
        return newest

    def clock_ms(self, loc: int) -> int:
        """The greatest append time before `loc`."""
        at = int(np.searchsorted(self._offsets.column, loc))
        return int(self._clock.column[at - 1]) if at else 0

    def appended_ms(self, first: int, end: int) -> I64:
        """When the records first ≤ offset < end were appended."""
        a, b = np.searchsorted(self._offsets.column, [first, end])
        return self._appends.column[a:b]


__all__ = ["EXPIRY_MS", "Locations", "Slots"]
