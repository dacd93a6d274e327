# SPDX-License-Identifier: Apache-2.0
"""An index of drivers: each driver number has a slot, so that properties of all drivers are arrays."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Slots = npt.NDArray[np.int64]
UNKNOWN: Final = -1


class DriverIndex:
    """Driver number ↔ slot. Slots are assigned in the order of first occurrence and never change."""

    def __init__(self) -> None:
        self._slots: dict[int, int] = {}
        self._sorted = np.zeros(0, np.uint32)
        self._order: Slots = np.zeros(0, np.int64)
        self._numbers = np.zeros(0, np.uint32)

    def __len__(self) -> int:
        return len(self._slots)

    def slot(self, number: int) -> int:
        """The slot of a driver, assigned if necessary."""
        return self._slots.setdefault(number, len(self._slots))

    def known_slot(self, number: int) -> int | None:
        """The slot of a driver; None if the driver has no slot."""
        return self._slots.get(number)

    def slots(self, numbers: "npt.NDArray[np.uint32] | list[int]") -> Slots:
        """The slots of drivers, assigned if necessary."""
        give = self._slots
        return np.fromiter((give.setdefault(n, len(give)) for n in map(int, numbers)), np.int64, len(numbers))

    def find(self, numbers: npt.NDArray[np.uint32]) -> Slots:
        """The slots of drivers; UNKNOWN for drivers without a slot."""
        self._settle()
        if not len(self._sorted):
            return np.full(len(numbers), UNKNOWN, np.int64)
        at = np.minimum(np.searchsorted(self._sorted, numbers), len(self._sorted) - 1)
        return np.where(self._sorted[at] == numbers, self._order[at], UNKNOWN)

    @property
    def numbers(self) -> npt.NDArray[np.uint32]:
        """Slot → driver number. Later drivers do not change the array."""
        self._settle()
        return self._numbers

    def _settle(self) -> None:
        if len(self._numbers) != len(self._slots):
            self._numbers = np.fromiter(self._slots, np.uint32, len(self._slots))
            self._order = np.argsort(self._numbers, kind="stable").astype(np.int64)
            self._sorted = self._numbers[self._order]

    def named(self, slots: "npt.NDArray[Any]") -> list[int]:
        """The driver numbers of slots."""
        return [int(number) for number in self.numbers[slots]]


def widened(column: npt.NDArray[Any], size: int, fill: int = 0) -> npt.NDArray[Any]:
    """The column, enlarged if it has fewer than `size` entries."""
    if len(column) >= size:
        return column
    wide = np.full(max(size, 2 * len(column), 64), fill, column.dtype)
    wide[: len(column)] = column
    return wide
