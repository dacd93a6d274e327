# SPDX-License-Identifier: Apache-2.0
"""One cut as bytes, exactly as docs/protocol.md lays them out. Knows nothing of taxis beyond the layout."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.columns import DriverColumns
from gateway.hash import Lanes
from taxi.cursor import Cursor, epoch_check

VERSION: Final = 1
IMAGE: Final = 1
STALE: Final = 2
_HEADER: Final = struct.Struct("<BBH7I5Q6I")
_RIDE: Final = struct.Struct("<BBHI4i5I")
_WORD: Final = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Everything that one binary message says."""

    since: Cursor | None
    """The cut that it continues; None makes it an image."""
    cursor: Cursor
    at_ms: int
    """Cut time."""
    stale: bool
    lanes: Lanes
    drivers_held: int
    rides_held: int
    gone: Sequence[int]
    drivers: DriverColumns
    rides_gone: Sequence[bytes]
    rides: Sequence[bytes]
    """Records made by `ride_record`."""
    feed: Sequence[bytes]
    """Each a JSON array, in offset order."""

    def encode(self) -> bytes:
        """The message. The same frame gives the same bytes."""
        rides = self._rides_section()
        feed = b"[" + b",".join(self.feed) + b"]" if self.feed else b""
        head = _HEADER.pack(
            VERSION,
            (IMAGE if self.since is None else 0) | (STALE if self.stale else 0),
            0,
            len(self.gone),
            len(self.drivers.driver),
            len(self.rides_gone),
            len(self.rides),
            len(rides),
            len(self.feed),
            len(feed),
            self.since.loc if self.since else 0,
            self.since.ev if self.since else 0,
            self.cursor.loc,
            self.cursor.ev,
            self.at_ms,
            epoch_check(self.cursor.epoch),
            self.lanes.a,
            self.lanes.b,
            self.drivers_held,
            self.rides_held,
            0,
        )
        gone = np.asarray(self.gone, "<u4").tobytes()
        columns = b"".join(column.tobytes() for column in self.drivers)
        pad = bytes(-len(columns) % 4)  # header and gone are whole words already
        return b"".join((head, gone, columns, pad, rides, feed))

    def _rides_section(self) -> bytes:
        gone = b"".join(bytes((len(ride),)) + ride for ride in self.rides_gone)
        return b"".join((gone, bytes(-len(gone) % 4), *self.rides))


def ride_record(
    ride: bytes,
    *,
    state: int,
    attempt: int,
    driver: int,
    pickup_e5: tuple[int, int],
    dropoff_e5: tuple[int, int],
    times_ms: tuple[int | None, int | None, int | None, int | None, int | None],
) -> bytes:
    """A ride as it stands on the wire. Times: requested, assigned, arrived, started, ended."""
    times = (low_bits(t) for t in times_ms)
    head = _RIDE.pack(len(ride), state, attempt & 0xFFFF, driver, *pickup_e5, *dropoff_e5, *times)
    return head + ride + bytes(-(len(head) + len(ride)) % 4)


def low_bits(at_ms: int | None) -> int:
    """The low 32 bits of a time, 0 for none; a time that ends in 32 zeros is told a millisecond late."""
    return 0 if at_ms is None else at_ms & _WORD or 1
