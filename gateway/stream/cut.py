# SPDX-License-Identifier: Apache-2.0
"""The envelope of a cut: header and three sections, exactly as docs/protocol.md lays them out."""

import struct
from typing import Final, NamedTuple

from taxi.cursor import Cursor, epoch_check

VERSION: Final = 1
IMAGE: Final = 1
STALE: Final = 2
_HEADER: Final = struct.Struct("<BBH3I5Q6I")
HEADER_BYTES: Final = _HEADER.size


class Held(NamedTuple):
    """What a client holds after a cut: two lanes of the state hash, and rows of either kind."""

    a: int
    b: int
    moving: int
    standing: int


class Sections(NamedTuple):
    """The body of a cut; the first two are multiples of four bytes long."""

    moving: bytes = b""
    standing: bytes = b""
    feed: bytes = b""


def seal(
    *,
    since: Cursor | None,
    cursor: Cursor,
    at_ms: int,
    held: Held,
    sections: Sections,
    stale: bool = False,
    generation: int = 0,
) -> bytes:
    """One binary message. `since`: the cut that it continues; None makes it an image."""
    head = _HEADER.pack(
        VERSION,
        (IMAGE if since is None else 0) | (STALE if stale else 0),
        generation,
        len(sections.moving),
        len(sections.standing),
        len(sections.feed),
        since.loc if since else 0,
        since.ev if since else 0,
        cursor.loc,
        cursor.ev,
        at_ms,
        epoch_check(cursor.epoch),
        held.a,
        held.b,
        held.moving,
        held.standing,
        0,
    )
    return b"".join((head, *sections))
