# SPDX-License-Identifier: Apache-2.0
"""Ride rows as they are sent, and since which batch each is as it is.

A record of a ride, little-endian (docs/protocol.md, "Rides"); the id follows, padded with zeros to a multiple
of four bytes:

       0  u8   id_bytes        length of the id, 1 to 40
       1  u8   state
       2  u16  attempt         low 16 bits
       4  u32  driver          0: none
       8  i32  pickup_lng_e5
      12  i32  pickup_lat_e5
      16  i32  dropoff_lng_e5
      20  i32  dropoff_lat_e5
      24  u32  requested_ms    low 32 bits, 0: not yet; likewise all times
      28  u32  assigned_ms
      32  u32  arrived_ms
      36  u32  started_ms
      40  u32  ended_ms

A section has `u32` rides gone, `u32` records, the ids gone (`u8` length, ASCII) padded likewise, then the
records. taxi/client/protocol.toml has the same layout as data, and a test compares them.
"""

import struct
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway.updates.hash import Lanes, hash_ride
from taxi.cursor import Cursor

_RIDE: Final = struct.Struct("<BBHI4i5I")
_WORD: Final = 0xFFFFFFFF


class _Row(NamedTuple):
    record: bytes
    lanes: Lanes
    ev: int
    """The end of the batch that made it so."""
    ended_ms: int | None


class _Ended(NamedTuple):
    ride: str
    ended_ms: int


class _Gone(NamedTuple):
    ride: str
    cursor: Cursor
    cut_ms: int
    """Log time of that cut. A dispatcher that catches up ends rides in a past that every client is beyond."""


class RideTable:
    """Rows of rides not ended, or ended less than `expiry_ms` ago."""

    def __init__(self, *, expiry_ms: int, memory_ms: int) -> None:
        """`memory_ms`: how long after its expiry a row is remembered as gone (log time)."""
        self.expiry_ms = expiry_ms
        self.memory_ms = memory_ms
        self.lanes = Lanes()
        self._rows: dict[str, _Row] = {}
        """In the order of their last change."""
        self._ended: deque[_Ended] = deque()
        """In the order of their end."""
        self._gone: deque[_Gone] = deque()

    @property
    def held(self) -> int:
        """Number of rows."""
        return len(self._rows)

    def set(self, ride: str, record: bytes, ev: int, ended_ms: int | None) -> None:
        """The ride's record as of the batch that ends at `ev`."""
        had = self._rows.get(ride)
        if had is not None and had.record == record:
            return
        if ended_ms is not None and (had is None or had.ended_ms != ended_ms):
            self._ended.append(_Ended(ride, ended_ms))
        self.drop(ride)
        row = self._rows[ride] = _Row(record, hash_ride(record), ev, ended_ms)
        self.lanes = self.lanes.plus(row.lanes)

    def drop(self, ride: str) -> None:
        """The ride has no row any more."""
        row = self._rows.pop(ride, None)
        if row is not None:
            self.lanes = self.lanes.minus(row.lanes)

    def close(self, cursor: Cursor, cut_ms: int) -> None:
        """Let go of rides that ended long enough ago, as of this log time."""
        while self._ended and self._ended[0].ended_ms + self.expiry_ms <= cut_ms:
            ended = self._ended.popleft()
            row = self._rows.get(ended.ride)
            if row is not None and row.ended_ms != ended.ended_ms:
                continue  # a later ride has the same id
            self.drop(ended.ride)
            self._gone.append(_Gone(ended.ride, cursor, cut_ms))
        while self._gone and self._gone[0].cut_ms + self.memory_ms <= cut_ms:
            self._gone.popleft()

    def rows(self, since: Cursor | None) -> list[bytes]:
        """Records changed after `since`, by id; all of them if None."""
        if since is None:
            return [row.record for _, row in sorted(self._rows.items())]
        changed = []
        for ride in reversed(self._rows):
            row = self._rows[ride]
            if row.ev <= since.ev:
                break
            changed.append((ride, row.record))
        return [record for _, record in sorted(changed)]

    def gone(self, since: Cursor) -> list[bytes]:
        """Rides whose row may have stood at `since` and is no more, by id."""
        found = []
        for gone in reversed(self._gone):
            if gone.cursor.reached_by(since):
                break
            found.append(gone.ride)
        return [ride.encode("ascii") for ride in sorted(found)]


def rides_section(gone: Sequence[bytes], records: Sequence[bytes]) -> bytes:
    """Ids gone and records set as a section of an update; no bytes if there is neither."""
    if not gone and not records:
        return b""
    ids = b"".join(bytes((len(ride),)) + ride for ride in gone)
    counts = struct.pack("<2I", len(gone), len(records))
    return b"".join((counts, ids, bytes(-len(ids) % 4), *records))


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
    """Encode a record of a ride. Times: requested, assigned, arrived, started, ended."""
    times = (low_bits(t) for t in times_ms)
    head = _RIDE.pack(len(ride), state, attempt & 0xFFFF, driver, *pickup_e5, *dropoff_e5, *times)
    return head + ride + bytes(-(len(head) + len(ride)) % 4)


def low_bits(at_ms: int | None) -> int:
    """The low 32 bits of a time, 0 for none; a time that ends in 32 zeros is sent a millisecond late."""
    return 0 if at_ms is None else at_ms & _WORD or 1
