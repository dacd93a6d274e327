# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a message to an update (docs/protocol.md, "The update, byte by byte").

Plain Python on purpose, and no line shared with the gateway's encoder, which is tested against it.
"""

import itertools
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from taxi.client.hashing import ride_hash
from taxi.client.protocol import (
    BLOCK_COUNTS,
    HEADER,
    MOVED_AT_LESS_MS,
    RIDE,
    SET_COLUMNS,
    STATUS_COLUMNS,
    VERSION,
    BlockCounts,
    RideFields,
    UpdateHeader,
)
from taxi.client.rows import DriverRow, Moved, RideRow, StreamError, Update, near

_WORD: Final = 0xFFFFFFFF


def decode_update(message: bytes) -> Update:
    """Decode a binary message.

    Raises:
        StreamError: the bytes are no update of this version, or not as long as they say.
    """
    try:
        return _decode(message)
    except (struct.error, IndexError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise StreamError(f"not an update: {error}") from None


def _decode(message: bytes) -> Update:
    head = UpdateHeader(*HEADER.unpack_from(message))
    if head.version != VERSION:
        raise StreamError(f"an update of version {head.version}")
    sizes = (head.drivers_bytes, head.rides_bytes, head.feed_bytes)
    ends = list(itertools.accumulate(sizes, initial=HEADER.size))
    if len(message) != ends[-1]:
        raise StreamError(f"an update of {ends[-1]} bytes came with {len(message)}")
    drivers, rides, feed = (message[start:end] for start, end in itertools.pairwise(ends))
    blocks = list(_blocks(drivers, head.at_ms)) if drivers else []
    rides_gone, ride_rows, hashes = _rides(rides, head.at_ms) if rides else ((), (), ())
    return Update(
        flags=head.flags,
        generation=head.generation,
        loc_before=head.loc_before,
        ev_before=head.ev_before,
        loc=head.loc,
        ev=head.ev,
        at_ms=head.at_ms,
        epoch_check=head.epoch_check,
        hash=(head.hash_a, head.hash_b),
        drivers_held=head.drivers_held,
        rides_held=head.rides_held,
        blocks=len(blocks),
        gone=tuple(driver for block in blocks for driver in block.gone),
        drivers=tuple(row for block in blocks for row in block.drivers),
        status=tuple(pair for block in blocks for pair in block.status),
        moved=tuple(one for block in blocks for one in block.moved),
        rides_gone=rides_gone,
        rides=ride_rows,
        ride_hashes=hashes,
        feed=_feed(feed) if feed else (),
    )


@dataclass(frozen=True)
class _Block:
    gone: tuple[int, ...]
    drivers: list[DriverRow]
    status: list[tuple[int, int]]
    moved: list[Moved]


class _Reader:
    """Takes columns from a section, one after the other."""

    def __init__(self, section: bytes) -> None:
        self._section = section
        self.at = 0

    def take(self, code: str, n: int) -> tuple[int, ...]:
        column = struct.unpack_from(f"<{n}{code}", self._section, self.at)
        self.at += struct.calcsize(f"<{n}{code}")
        return column

    def align(self) -> None:
        self.at += -self.at % 4

    def varint(self) -> int:
        value, bits = 0, 0
        while True:
            octet = self._section[self.at]
            self.at += 1
            value |= (octet & 127) << bits
            if octet < 128:
                break
            bits += 7
            if bits > 28:
                raise StreamError("a number of more than five bytes")
        if value > _WORD:
            raise StreamError("a number of more than 32 bits")
        return value

    def zigzag(self) -> int:
        value = self.varint()
        return value >> 1 ^ -(value & 1)


def _blocks(section: bytes, cut_ms: int) -> Iterator[_Block]:
    reader = _Reader(section)
    (count,) = reader.take("I", 1)
    if not count:
        raise StreamError("a drivers section without a block")
    for _ in range(count):
        yield _block(reader, cut_ms)
    if reader.at != len(section):
        raise StreamError(f"{len(section) - reader.at} bytes beside the drivers")


def _block(reader: _Reader, cut_ms: int) -> _Block:
    counts = BlockCounts(*reader.take("I", BLOCK_COUNTS.size // 4))
    gone = reader.take("I", counts.n_gone)
    columns = [reader.take(code, counts.n_set) for code in SET_COLUMNS]
    reader.align()
    drivers = [DriverRow(d, x, y, near(t, cut_ms), *rest) for d, x, y, t, *rest in zip(*columns, strict=True)]
    status = [reader.take(code, counts.n_status) for code in STATUS_COLUMNS]
    reader.align()
    end = reader.at + counts.moved_bytes
    moved = _moved(reader, counts.n_moved)
    reader.align()
    if reader.at != end:
        raise StreamError("the moved part is not as long as it says")
    return _Block(gone, drivers, list(zip(*status, strict=True)), moved)


def _moved(reader: _Reader, n: int) -> list[Moved]:
    headings, speeds = reader.take("B", n), reader.take("B", n)
    numbers = list(itertools.accumulate(reader.varint() for _ in range(n)))
    lngs, lats, ats = ([reader.zigzag() for _ in range(n)] for _ in range(3))
    grown = [at + MOVED_AT_LESS_MS for at in ats]
    return [Moved(*row) for row in zip(numbers, lngs, lats, grown, headings, speeds, strict=True)]


def _feed(section: bytes) -> tuple[tuple[int, int, str, dict[str, Any]], ...]:
    (count,) = struct.unpack_from("<I", section)
    feed: Any = json.loads(section[4:].decode())
    if not isinstance(feed, list) or not all(map(_is_feed_event, feed)):
        raise StreamError("the feed is no list of events")
    if len(feed) != count:
        raise StreamError(f"{len(feed)} feed events, {count} announced")
    return tuple((offset, ms, name, body) for offset, ms, name, body in feed)


def _is_feed_event(event: object) -> bool:
    if not isinstance(event, list) or len(event) != 4:
        return False
    offset, ms, name, ids = event
    return isinstance(offset, int) and isinstance(ms, int) and isinstance(name, str) and isinstance(ids, dict)


def _rides(
    section: bytes, cut_ms: int
) -> tuple[tuple[str, ...], tuple[RideRow, ...], tuple[tuple[int, int], ...]]:
    n_gone, n = struct.unpack_from("<2I", section)
    gone, rows, hashes, at = [], [], [], 8
    for _ in range(n_gone):
        end = at + 1 + section[at]
        gone.append(section[at + 1 : end].decode("ascii"))
        at = end
    at += -at % 4
    for _ in range(n):
        size = RIDE.size + section[at]
        size += -size % 4
        record = section[at : at + size]
        rows.append(_ride(record, cut_ms))
        hashes.append(ride_hash(record))
        at += size
    if at != len(section):
        raise StreamError(f"{len(section) - at} bytes beside the rides")
    return tuple(gone), tuple(rows), tuple(hashes)


def _ride(record: bytes, cut_ms: int) -> RideRow:
    row = RideFields(*RIDE.unpack_from(record))
    times = (row.requested_ms, row.assigned_ms, row.arrived_ms, row.started_ms, row.ended_ms)
    return RideRow(
        record[RIDE.size : RIDE.size + row.id_bytes].decode("ascii"),
        row.state,
        row.attempt,
        row.driver or None,
        (row.pickup_lng_e5, row.pickup_lat_e5),
        (row.dropoff_lng_e5, row.dropoff_lat_e5),
        *(near(low, cut_ms) if low else None for low in times),
    )
