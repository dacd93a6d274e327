# SPDX-License-Identifier: Apache-2.0
"""Log time along the positions, written from docs/protocol.md alone: one position after the other."""

from typing import Final, NamedTuple

_ALONE_MS: Final = 5_000
_APART_MS: Final = 30_000
_BACK_MS: Final = 5_000
_LACKS_MAX: Final = 4
"""Positions before one that its clock depends on."""


class ShiftStart(NamedTuple):
    """From which position on times are shifted, and by how much."""

    locations_from: int
    shift_ms: int


class LocationsClock:
    """The state of the clock after a position."""

    def __init__(self) -> None:
        self.heard_ms = 0
        """Log time as of the last position."""
        self.shift_ms = 0
        self._greatest_ms = 0
        self._appended: list[int] = []
        self._set_back: list[ShiftStart] = []
        self._lacks = False
        """Whether reading began in the middle."""

    def take(self, offset: int, append_ms: int) -> bool:
        """The next position. Whether its append time can be believed.

        As long as the clock is not known, nothing follows from it: the first position could be the wrong one.
        """
        self._appended = [*self._appended[-4:], append_ms]
        median_ms = sorted(self._appended)[(len(self._appended) - 1) // 2]
        off_ms = append_ms - median_ms
        if not self.is_known:
            return abs(off_ms) <= _APART_MS
        if median_ms + self.shift_ms < self._greatest_ms - _BACK_MS:
            self.shift_ms = self._greatest_ms - median_ms
            self._set_back.append(ShiftStart(offset, self.shift_ms))
        self._greatest_ms = max(self._greatest_ms, median_ms + self.shift_ms)
        time_ms = append_ms if off_ms <= _ALONE_MS else median_ms
        self.heard_ms = max(self.heard_ms, time_ms + self.shift_ms)
        return abs(off_ms) <= _APART_MS

    def take_set_backs(self) -> list[ShiftStart]:
        """Where the broker's clock was found set back since this was last asked."""
        taken, self._set_back = self._set_back, []
        return taken

    @property
    def is_known(self) -> bool:
        """Whether it equals the dispatcher's clock."""
        return not self._lacks or len(self._appended) > _LACKS_MAX

    def begin_in_the_middle(self, shift_ms: int) -> None:
        """The next position is not the one after the last; only the shift is known."""
        self.start_new_topic()
        self.shift_ms, self._lacks, self._set_back = shift_ms, True, []

    def believe(self, shift_ms: int) -> None:
        """Take over by how much the batch that ends here shifts times. Usually it is known already."""
        change_ms, self.shift_ms = shift_ms - self.shift_ms, shift_ms
        self.heard_ms += change_ms
        self._greatest_ms += change_ms

    def start_new_topic(self) -> None:
        """What follows is from another topic of the same broker."""
        self._appended, self._greatest_ms, self.heard_ms = [], 0, 0
