# SPDX-License-Identifier: Apache-2.0
"""A strict parser of updates: every byte must be as docs/protocol.md says."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

IMAGE, STALE = 1, 2
HEADER: Final = struct.Struct("<BBH3I5Q6I")
_BLOCK: Final = struct.Struct("<5I")
_RIDE_BYTES: Final = 44
U32 = npt.NDArray[np.uint32]


class NotAnUpdateError(ValueError):
    """The bytes violate the layout; the text says where."""


class Header(NamedTuple):
    """The header of an update: its first 80 bytes."""

    version: int
    flags: int
    generation: int
    drivers_bytes: int
    rides_bytes: int
    feed_bytes: int
    loc_before: int
    ev_before: int
    loc: int
    ev: int
    at_ms: int
    epoch_check: int
    lane_a: int
    lane_b: int
    drivers_held: int
    rides_held: int
    zero: int

    @property
    def is_image(self) -> bool:
        """Whether the update is an image."""
        return bool(self.flags & IMAGE)


class Moves(NamedTuple):
    """Rows encoded as differences. `dt` is the difference of the times minus one second, in milliseconds."""

    number: U32
    dx: npt.NDArray[np.int32]
    dy: npt.NDArray[np.int32]
    dt: npt.NDArray[np.int32]
    heading: npt.NDArray[np.uint8]
    speed: npt.NDArray[np.uint8]


@dataclass
class Block:
    """The driver rows of one tile."""

    gone: U32
    number: U32
    x: npt.NDArray[np.int32]
    y: npt.NDArray[np.int32]
    at: U32
    heading: npt.NDArray[np.uint8]
    speed: npt.NDArray[np.uint8]
    status: npt.NDArray[np.uint8]
    status_changed: U32
    """Drivers of which only the status changed; `changed_to` has it."""
    changed_to: npt.NDArray[np.uint8]
    moves: Moves


@dataclass
class DecodedUpdate:
    """A parsed update."""

    header: Header
    blocks: list[Block]
    rides_gone: list[str]
    rides: dict[str, bytes]
    """Id → record."""
    feed: list[Any]

    @property
    def driver_updates(self) -> int:
        """How many driver rows it sets or changes."""
        return sum(len(b.number) + len(b.status_changed) + len(b.moves.number) for b in self.blocks)


def read_header(message: bytes) -> Header:
    """Parse the header of an update. Raises NotAnUpdateError."""
    if len(message) < HEADER.size:
        raise NotAnUpdateError(f"{len(message)} bytes")
    return Header(*HEADER.unpack_from(message))


def read_update(message: bytes) -> DecodedUpdate:
    """Parse an update. Raises NotAnUpdateError."""
    header = read_header(message)
    _check_header(header, len(message))
    drivers_end = HEADER.size + header.drivers_bytes
    rides_end = drivers_end + header.rides_bytes
    try:
        blocks = _blocks(message[HEADER.size : drivers_end])
        gone, rides = _rides(message[drivers_end:rides_end])
        feed = _feed(message[rides_end:])
    except (struct.error, IndexError, ValueError) as error:
        raise NotAnUpdateError(str(error)) from None
    return DecodedUpdate(header, blocks, gone, rides, feed)


def _check_header(header: Header, size: int) -> None:
    announced = HEADER.size + header.drivers_bytes + header.rides_bytes + header.feed_bytes
    if header.version != 1:
        raise NotAnUpdateError(f"version {header.version}")
    if announced != size:
        raise NotAnUpdateError(f"{size} bytes, and the header says {announced}")
    if header.zero or header.flags & ~(IMAGE | STALE) or (header.drivers_bytes | header.rides_bytes) % 4:
        raise NotAnUpdateError("reserved bits or unaligned sections")
    if header.is_image and (header.loc_before or header.ev_before):
        raise NotAnUpdateError("an image that follows something")


class _Cursor:
    """Reads a section from its beginning to its end."""

    def __init__(self, section: bytes) -> None:
        self.section = section
        self.at = 0

    def take(self, dtype: Any, count: int) -> npt.NDArray[Any]:
        found = np.frombuffer(self.section, dtype, count, self.at)
        self.at += found.nbytes
        return found

    def pad(self, start: int = 0) -> None:
        """Skip padding to a multiple of four bytes from `start`. Raises NotAnUpdateError if not zero."""
        end = self.at + -(self.at - start) % 4
        if any(self.section[self.at : end]) or end > len(self.section):
            raise NotAnUpdateError("padding that is not zero")
        self.at = end


def _blocks(section: bytes) -> list[Block]:
    if not section:
        return []
    walk = _Cursor(section)
    (count,) = walk.take("<u4", 1)
    blocks = [_block(walk) for _ in range(count)]
    if walk.at != len(section):
        raise NotAnUpdateError(f"{len(section) - walk.at} bytes after the blocks")
    return blocks


def _block(walk: _Cursor) -> Block:
    start = walk.at
    n_gone, n_set, n_status, n_moved, moved_bytes = map(int, walk.take("<u4", 5))
    gone = walk.take("<u4", n_gone)
    number, x, y, at = (walk.take(kind, n_set) for kind in ("<u4", "<i4", "<i4", "<u4"))
    heading, speed, status = (walk.take("u1", n_set) for _ in range(3))
    walk.pad(start)
    status_changed, changed_to = walk.take("<u4", n_status), walk.take("u1", n_status)
    walk.pad(start)
    moves = _moves(walk.take("u1", moved_bytes), n_moved)
    for name, numbers in (("set", number), ("status", status_changed), ("moved", moves.number)):
        if len(numbers) > 1 and not (numbers[1:] > numbers[:-1]).all():
            raise NotAnUpdateError(f"{name} rows that do not ascend")
    return Block(gone, number, x, y, at, heading, speed, status, status_changed, changed_to, moves)


def _moves(part: npt.NDArray[np.uint8], count: int) -> Moves:
    heading, speed = part[:count], part[count : 2 * count]
    values, used = _varints(part[2 * count :], 4 * count)
    rest = part[2 * count + used :]
    if len(part) % 4 or len(rest) > 3 or rest.any():
        raise NotAnUpdateError("the moved part is not as long as its rows")
    number = np.cumsum(values[:count], dtype=np.uint64).astype(np.uint32)
    dx, dy, dt = (_unzigzag(values[count * n : count * (n + 1)]) for n in (1, 2, 3))
    return Moves(number, dx, dy, dt, heading, speed)


def _varints(data: npt.NDArray[np.uint8], count: int) -> tuple[npt.NDArray[np.uint64], int]:
    """The first `count` varints, and their number of bytes."""
    if not count:
        return np.zeros(0, np.uint64), 0
    ends = np.flatnonzero(data < 0x80)[:count]
    if len(ends) < count:
        raise NotAnUpdateError("varints that end early")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 5:
        raise NotAnUpdateError("a varint of more than five bytes")
    used = int(ends[-1]) + 1
    place = np.arange(used) - np.repeat(starts, lengths)
    parts = (data[:used].astype(np.uint64) & np.uint64(0x7F)) << (7 * place).astype(np.uint64)
    values: npt.NDArray[np.uint64] = np.add.reduceat(parts, starts)
    if (values >> np.uint64(32)).any():
        raise NotAnUpdateError("a varint beyond 32 bits")
    return values, used


def _unzigzag(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    v = values.astype(np.uint32)
    sign = np.where(v & 1, np.uint32(0xFFFFFFFF), np.uint32(0))
    return ((v >> np.uint32(1)) ^ sign).view(np.int32)


def _rides(section: bytes) -> tuple[list[str], dict[str, bytes]]:
    if not section:
        return [], {}
    n_gone, n_set = struct.unpack_from("<2I", section)
    at, gone = 8, []
    for _ in range(n_gone):
        end = at + 1 + section[at]
        gone.append(section[at + 1 : end].decode("ascii"))
        at = end
    walk = _Cursor(section)
    walk.at = at
    walk.pad()
    rides = dict(_records(section[walk.at :], n_set))
    if len(rides) != n_set:
        raise NotAnUpdateError("a ride is there twice")
    return gone, rides


def _records(section: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    at = 0
    for _ in range(count):
        length = section[at]
        end = at + _RIDE_BYTES + length + -length % 4
        record = section[at:end]
        if not 1 <= length <= 40 or end > len(section) or any(record[_RIDE_BYTES + length :]):
            raise NotAnUpdateError("a ride record that is none")
        yield record[_RIDE_BYTES : _RIDE_BYTES + length].decode("ascii"), record
        at = end
    if at != len(section):
        raise NotAnUpdateError(f"{len(section) - at} bytes after the rides")


def _feed(section: bytes) -> list[Any]:
    if not section:
        return []
    (count,) = struct.unpack_from("<I", section)
    feed: list[Any] = json.loads(section[4:].decode())
    if len(feed) != count:
        raise NotAnUpdateError(f"{len(feed)} feed events, {count} announced")
    return feed
