# SPDX-License-Identifier: Apache-2.0
"""The cursor: a position in a city's log, with epoch and both offsets in one value."""

import re
import zlib
from typing import Final, NamedTuple, Self

OFFSET_MAX: Final = 2**63 - 1
_TEXT: Final = re.compile(r"([0-9a-f]{1,32}):(0|[1-9][0-9]{0,18}):(0|[1-9][0-9]{0,18})", re.ASCII)


class Cursor(NamedTuple):
    """A position in both logs: all positions before `loc` and all events before `ev` have been applied."""

    epoch: str
    """The epoch of the events. It identifies the log, not a process."""
    loc: int
    """The next offset to read in `taxi.locations`."""
    ev: int
    """The offset after a `BatchClosed` in `taxi.events`; 0 at the start."""

    def __str__(self) -> str:
        return f"{self.epoch}:{self.loc}:{self.ev}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text form `epoch:loc:ev`. Raises ValueError."""
        match = _TEXT.fullmatch(text)
        if match is None or int(match[2]) > OFFSET_MAX or int(match[3]) > OFFSET_MAX:
            message = "a cursor reads epoch:loc:ev"
            raise ValueError(message)
        return cls(match[1], int(match[2]), int(match[3]))

    def reached_by(self, other: Self) -> bool:
        """Whether `other` is of the same epoch and not before this cursor in either log."""
        return self.epoch == other.epoch and self.loc <= other.loc and self.ev <= other.ev


def epoch_check(epoch: str) -> int:
    """The CRC-32 of the epoch, which updates contain instead of the epoch."""
    return zlib.crc32(epoch.encode("ascii"))
