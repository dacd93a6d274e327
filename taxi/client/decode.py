# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a message to a cut (docs/protocol.md, "The cut, byte by byte").

Plain Python on purpose, and no line shared with the gateway's encoder: it is what that is tested against.
"""

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from taxi.client.hashing import ride_hash
from taxi.client.rows import Cut, DriverRow, Moved, RideRow, StreamError, near

VERSION: Final = 1
SUBPROTOCOL: Final = "taxi.v1"
_HEADER: Final = struct.Struct("<BBH3I5Q6I")
_STEP_MS: Final = 1_000
_RIDE: Final = struct.Struct("<BBHI4i5I")
_WORD: Final = 0xFFFFFFFF


def decode_cut(message: bytes) -> Cut:
    """A binary message as a cut. Raises StreamError."""
    try:
        return _decode(message)
    except (struct.error, IndexError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise StreamError(f"not a cut: {error}") from None


def _decode(message: bytes) -> Cut:
    head = _HEADER.unpack_from(message)
    version, flags, generation, *sizes = head[:6]
    loc_before, ev_before, loc, ev, at_ms = head[6:11]
    if version != VERSION:
        raise StreamError(f"a cut of version {version}")
    if len(message) != _HEADER.size + sum(sizes):
        raise StreamError(f"a cut of {_HEADER.size + sum(sizes)} bytes came with {len(message)}")
    ends = [_HEADER.size, *(_HEADER.size + sum(sizes[: n + 1]) for n in range(3))]
    sections = [message[start:end] for start, end in itertools.pairwise(ends)]
    blocks = list(_blocks(sections[0], at_ms)) if sections[0] else []
    rides_gone, rides, hashes = _rides(sections[1], at_ms) if sections[1] else ((), (), ())
    return Cut(
        flags=flags,
        generation=generation,
        loc_before=loc_before,
        ev_before=ev_before,
        loc=loc,
        ev=ev,
        at_ms=at_ms,
        epoch_check=head[11],
        hash=(head[12], head[13]),
        drivers_held=head[14],
        rides_held=head[15],
        blocks=len(blocks),
        gone=tuple(driver for block in blocks for driver in block.gone),
        drivers=tuple(row for block in blocks for row in block.drivers),
        status=tuple(pair for block in blocks for pair in block.status),
        moved=tuple(one for block in blocks for one in block.moved),
        rides_gone=rides_gone,
        rides=rides,
        ride_hashes=hashes,
        feed=_feed(sections[2]) if sections[2] else (),
    )


@dataclass(frozen=True)
class _Block:
    gone: tuple[int, ...]
    drivers: list[DriverRow]
    status: list[tuple[int, int]]
    moved: list[Moved]


class _Reader:
    """Columns out of a section, one after the other."""

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
        raise StreamError("a drivers section that says nothing")
    for _ in range(count):
        yield _block(reader, cut_ms)
    if reader.at != len(section):
        raise StreamError(f"{len(section) - reader.at} bytes beside the drivers")


def _block(reader: _Reader, cut_ms: int) -> _Block:
    n_gone, n_set, n_status, n_moved, moved_bytes = reader.take("I", 5)
    gone = reader.take("I", n_gone)
    columns = [reader.take(code, n_set) for code in "IiiIBBB"]
    reader.align()
    drivers = [DriverRow(d, x, y, near(t, cut_ms), *rest) for d, x, y, t, *rest in zip(*columns, strict=True)]
    status = [reader.take(code, n_status) for code in "IB"]
    reader.align()
    end = reader.at + moved_bytes
    moved = _moved(reader, n_moved)
    reader.align()
    if reader.at != end:
        raise StreamError("the moved part is not as long as it says")
    return _Block(gone, drivers, list(zip(*status, strict=True)), moved)


def _moved(reader: _Reader, n: int) -> list[Moved]:
    headings, speeds = reader.take("B", n), reader.take("B", n)
    numbers = list(itertools.accumulate(reader.varint() for _ in range(n)))
    lngs, lats, ats = ([reader.zigzag() for _ in range(n)] for _ in range(3))
    grown = [at + _STEP_MS for at in ats]
    return [Moved(*row) for row in zip(numbers, lngs, lats, grown, headings, speeds, strict=True)]


def _feed(section: bytes) -> tuple[tuple[int, int, str, dict[str, Any]], ...]:
    (count,) = struct.unpack_from("<I", section)
    feed = msgspec.json.decode(section[4:])
    if len(feed) != count:
        raise StreamError(f"{len(feed)} feed events, {count} announced")
    return tuple((offset, ms, name, body) for offset, ms, name, body in feed)


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
        size = _RIDE.size + section[at]
        size += -size % 4
        record = section[at : at + size]
        rows.append(_ride(record, cut_ms))
        hashes.append(ride_hash(record))
        at += size
    if at != len(section):
        raise StreamError(f"{len(section) - at} bytes beside the rides")
    return tuple(gone), tuple(rows), tuple(hashes)


def _ride(record: bytes, cut_ms: int) -> RideRow:
    length, state, attempt, driver, a, b, c, d, *times = _RIDE.unpack_from(record)
    requested, assigned, arrived, started, ended = (near(t, cut_ms) if t else None for t in times)
    ride = record[_RIDE.size : _RIDE.size + length].decode("ascii")
    return RideRow(
        ride, state, attempt, driver or None, (a, b), (c, d), requested, assigned, arrived, started, ended
    )
