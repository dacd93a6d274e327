# SPDX-License-Identifier: Apache-2.0
"""Encodes the envelope of an update: a header, then the sections of drivers, rides and feed, without gaps.

The header has 80 bytes, little-endian (docs/protocol.md, "The update, byte by byte"):

       0  u8   version
       1  u8   flags           IMAGE and STALE
       2  u16  generation      of a new viewport, in its first update; else 0
       4  u32  drivers_bytes   a multiple of four
       8  u32  rides_bytes     a multiple of four
      12  u32  feed_bytes
      16  u64  loc_before      0 in an image
      24  u64  ev_before       0 in an image
      32  u64  loc
      40  u64  ev
      48  u64  at_ms           log time of the cut
      56  u32  epoch_check     CRC-32 of the epoch's text
      60  u32  hash_a          both sums of the state hash
      64  u32  hash_b
      68  u32  drivers_held    rows of the client after this update
      72  u32  rides_held
      76  u32  zero            reserved

An empty section has no bytes. The modules `blocks`, `rides` and `feed` of this package encode the sections.
taxi/client/protocol.toml has the same layout as data, and a test compares them.
"""

import struct
from typing import Final, NamedTuple

from taxi.cursor import Cursor, epoch_check

VERSION: Final = 1
IMAGE: Final = 1
"""Flag: the client discards all rows first."""
STALE: Final = 2
"""Flag: the gateway's input is old."""
_HEADER: Final = struct.Struct("<BBH3I5Q6I")
HEADER_BYTES: Final = _HEADER.size


class ExpectedState(NamedTuple):
    """The client's expected state after an update: both sums of the state hash, and the numbers of rows."""

    a: int
    b: int
    drivers_held: int
    rides_held: int


class Sections(NamedTuple):
    """The body of an update. The lengths of `drivers` and `rides` are multiples of four bytes."""

    drivers: bytes = b""
    rides: bytes = b""
    feed: bytes = b""


def seal(
    *,
    since: Cursor | None,
    cursor: Cursor,
    cut_ms: int,
    expected: ExpectedState,
    sections: Sections,
    stale: bool = False,
    generation: int = 0,
) -> bytes:
    """Encode one update.

    Args:
        since: The cursor that the update begins at; None makes it an image.
        cursor: The cursor that it leads to.
        cut_ms: Log time of that cut.
        expected: The client's expected state after it.
        sections: Its body.
        stale: Sets the flag that the gateway's input is old.
        generation: The client's number of the viewport change that this update answers; 0 if none.
    """
    head = _HEADER.pack(
        VERSION,
        (IMAGE if since is None else 0) | (STALE if stale else 0),
        generation,
        len(sections.drivers),
        len(sections.rides),
        len(sections.feed),
        since.loc if since else 0,
        since.ev if since else 0,
        cursor.loc,
        cursor.ev,
        cut_ms,
        epoch_check(cursor.epoch),
        expected.a,
        expected.b,
        expected.drivers_held,
        expected.rides_held,
        0,  # reserved
    )
    return b"".join((head, *sections))
