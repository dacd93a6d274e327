# SPDX-License-Identifier: Apache-2.0
"""Encodes the envelope of an update: header and three sections, with the layout of docs/protocol.md."""

import struct
from typing import Final, NamedTuple

from taxi.cursor import Cursor, epoch_check

VERSION: Final = 1
IMAGE: Final = 1
STALE: Final = 2
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
    at_ms: int,
    expected: ExpectedState,
    sections: Sections,
    stale: bool = False,
    generation: int = 0,
) -> bytes:
    """Encode one update.

    Args:
        since: The cursor that the update begins at; None makes it an image.
        cursor: The cursor that it leads to.
        at_ms: Log time of that cut.
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
        at_ms,
        epoch_check(cursor.epoch),
        expected.a,
        expected.b,
        expected.drivers_held,
        expected.rides_held,
        0,  # reserved
    )
    return b"".join((head, *sections))
