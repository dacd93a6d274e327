# SPDX-License-Identifier: Apache-2.0
"""Measures how long something that should grow all the time did not."""


class Pauses:
    """The longest time without growth of a number since a moment."""

    def __init__(self) -> None:
        self._value = -1
        self._grew_s = 0.0
        self._longest_s = 0.0
        self._grown = 0

    def begin(self, now_s: float) -> None:
        """Measure from now on."""
        self._grew_s, self._longest_s, self._grown = now_s, 0.0, 0

    def see(self, value: int, now_s: float) -> None:
        """Take the present value into account."""
        if value > self._value:
            self._longest_s = max(self._longest_s, now_s - self._grew_s)
            self._value, self._grew_s = value, now_s
            self._grown += 1

    def longest_s(self, now_s: float) -> float:
        """The longest pause, including the present one."""
        return max(self._longest_s, now_s - self._grew_s)

    def is_over(self, now_s: float, normal_s: float) -> bool:
        """Whether it grows again: twice since `begin`, and lately."""
        return self._grown >= 2 and now_s - self._grew_s <= normal_s
