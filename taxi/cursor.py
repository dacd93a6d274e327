# SPDX-License-Identifier: Apache-2.0
"""A place in a city's log: epoch and both offsets as one, so that a mixed pair can't be built."""

import re
import zlib
from typing import Final, NamedTuple, Self

OFFSET_MAX: Final = 2**63 - 1
_TEXT: Final = re.compile(r"([0-9a-f]{1,32}):(0|[1-9][0-9]{0,18}):(0|[1-9][0-9]{0,18})", re.ASCII)


class Cursor(NamedTuple):
    """What lies before it has been applied: fixes below `loc`, events below `ev`."""

    epoch: str
    """Names the log, never a process."""
    loc: int
    """The next offset to read in `taxi.locations`."""
    ev: int
    """The offset after a `BatchClosed` in `taxi.events`; 0 at the start."""

    def __str__(self) -> str:
        return f"{self.epoch}:{self.loc}:{self.ev}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form. Raises ValueError."""
        match = _TEXT.fullmatch(text)
        if match is None or int(match[2]) > OFFSET_MAX or int(match[3]) > OFFSET_MAX:
            message = "a cursor reads epoch:loc:ev"
            raise ValueError(message)
        return cls(match[1], int(match[2]), int(match[3]))

    def reached_by(self, other: Self) -> bool:
        """Whether whoever stands at `other` has everything that this cursor stands for."""
        return self.epoch == other.epoch and self.loc <= other.loc and self.ev <= other.ev


def epoch_check(epoch: str) -> int:
    """CRC-32 of the epoch's text: what a cut carries of it."""
    return zlib.crc32(epoch.encode("ascii"))
