# SPDX-License-Identifier: Apache-2.0
"""Every driver ever heard of has a slot: columns of all drivers at once are plain arrays."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Slots = npt.NDArray[np.int64]
UNKNOWN: Final = -1


class Roll:
    """Driver number ↔ slot. Slots are given out in the order of first mention, and never taken back."""

    def __init__(self) -> None:
        self._slots: dict[int, int] = {}
        self._sorted = np.zeros(0, np.uint32)
        self._order: Slots = np.zeros(0, np.int64)
        self.numbers = np.zeros(0, np.uint32)
        """By slot; as of the last `settle`."""

    def __len__(self) -> int:
        return len(self._slots)

    def slot(self, number: int) -> int:
        """The slot of a driver, new if need be."""
        return self._slots.setdefault(number, len(self._slots))

    def slots(self, numbers: "npt.NDArray[np.uint32] | list[int]") -> Slots:
        """The slots of many, new if need be."""
        give = self._slots
        return np.fromiter((give.setdefault(n, len(give)) for n in map(int, numbers)), np.int64, len(numbers))

    def find(self, numbers: npt.NDArray[np.uint32]) -> Slots:
        """The slots of many; UNKNOWN for who was never heard of."""
        self._settle()
        if not len(self._sorted):
            return np.full(len(numbers), UNKNOWN, np.int64)
        at = np.minimum(np.searchsorted(self._sorted, numbers), len(self._sorted) - 1)
        return np.where(self._sorted[at] == numbers, self._order[at], UNKNOWN)

    def _settle(self) -> None:
        if len(self.numbers) != len(self._slots):
            self.numbers = np.fromiter(self._slots, np.uint32, len(self._slots))
            self._order = np.argsort(self.numbers, kind="stable").astype(np.int64)
            self._sorted = self.numbers[self._order]

    def named(self, slots: "npt.NDArray[Any]") -> list[int]:
        """The numbers of some slots."""
        self._settle()
        return [int(number) for number in self.numbers[slots]]


def widened(column: npt.NDArray[Any], size: int, fill: int = 0) -> npt.NDArray[Any]:
    """The column with room for `size` slots."""
    if len(column) >= size:
        return column
    wide = np.full(max(size, 2 * len(column), 64), fill, column.dtype)
    wide[: len(column)] = column
    return wide
