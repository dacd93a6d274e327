# SPDX-License-Identifier: Apache-2.0
"""The browser stream seen from a client (docs/protocol.md): decode a cut, hold the rows, check the hash.

Plain Python on purpose, and no line shared with the gateway's encoder: it is what that is tested against.
"""

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from taxi.cursor import Cursor, epoch_check

VERSION: Final = 1
SUBPROTOCOL: Final = "taxi.v1"
IMAGE: Final = 1
STALE: Final = 2
_HEADER: Final = struct.Struct("<BBH3I5Q6I")
_BLOCK: Final = struct.Struct("<5I")
_STEP_MS: Final = 1_000
_RIDE: Final = struct.Struct("<BBHI4i5I")
_WORD: Final = 0xFFFFFFFF


class StreamError(ValueError):
    """What arrived is no cut, or not the one that had to come next."""


class DriverRow(NamedTuple):
    """A driver as the stream shows it: quantised, newest fix, status from events."""

    driver: int
    lng_e5: int
    lat_e5: int
    at_ms: int
    """Device time of the fix."""
    heading: int
    """1/256 turn clockwise from north."""
    speed: int
    """Half metres a second, capped at 255."""
    status: int
    """`DriverStatus`."""


class RideRow(NamedTuple):
    """A ride as the stream shows it. A time of None has not come yet."""

    ride: str
    state: int
    """`RideState`."""
    attempt: int
    driver: int | None
    pickup_e5: tuple[int, int]
    dropoff_e5: tuple[int, int]
    requested_ms: int | None
    assigned_ms: int | None
    arrived_ms: int | None
    started_ms: int | None
    ended_ms: int | None


class Moved(NamedTuple):
    """A driver row held, told by what it differs in. Heading and speed are as they are now."""

    driver: int
    lng_by_e5: int
    lat_by_e5: int
    at_by_ms: int
    """Modulo 2³², as a signed number."""
    heading: int
    speed: int


@dataclass(frozen=True)
class Cut:
    """One decoded binary message."""

    flags: int
    generation: int
    loc_before: int
    ev_before: int
    loc: int
    ev: int
    at_ms: int
    """Cut time: log time."""
    epoch_check: int
    hash: tuple[int, int]
    drivers_held: int
    rides_held: int
    blocks: int
    gone: tuple[int, ...]
    drivers: tuple[DriverRow, ...]
    """Complete rows."""
    status: tuple[tuple[int, int], ...]
    """Driver and status, of rows held."""
    moved: tuple[Moved, ...]
    rides_gone: tuple[str, ...]
    rides: tuple[RideRow, ...]
    ride_hashes: tuple[tuple[int, int], ...]
    feed: tuple[tuple[int, int, str, dict[str, Any]], ...]

    @property
    def is_image(self) -> bool:
        """Whether all rows held before are to be forgotten first."""
        return bool(self.flags & IMAGE)

    @property
    def is_stale(self) -> bool:
        """Whether the log has not moved for 5 s."""
        return bool(self.flags & STALE)


def near(low: int, cut_ms: int) -> int:
    """The time with these low 32 bits that is nearest to cut time."""
    ahead = (low - cut_ms) & _WORD
    return cut_ms + (ahead - 2**32 if ahead >= 2**31 else ahead)


def _fmix(h: int) -> int:
    h ^= h >> 16
    h = h * 0x85EBCA6B & _WORD
    h ^= h >> 13
    h = h * 0xC2B2AE35 & _WORD
    return h ^ h >> 16


def driver_hash(row: DriverRow) -> tuple[int, int]:
    """What a driver row adds to the two lanes."""
    x, y, t = row.lng_e5 & _WORD, row.lat_e5 & _WORD, row.at_ms & _WORD
    s = row.status | row.heading << 8 | row.speed << 16
    k = _fmix(row.driver * 0x9E3779B1 + s * 0x27D4EB2F + t * 0x165667B1 + 1 & _WORD)
    return _fmix((x ^ k) * 0x85EBCA77 + y & _WORD), _fmix((y ^ k) * 0xC2B2AE3D + x & _WORD)


def ride_hash(record: bytes) -> tuple[int, int]:
    """What a ride row adds to the two lanes; over the words of its record."""
    a, b = 0x9747B28C, 0x5BD1E995
    for (word,) in struct.iter_unpack("<I", record):
        a = _fmix((a ^ word) * 0x85EBCA77 + 0x165667B1 & _WORD)
        b = _fmix((b + word & _WORD) * 0xC2B2AE3D + 0x27D4EB2F & _WORD)
    return a, b


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


def _after(row: DriverRow, moved: Moved, cut_ms: int) -> DriverRow:
    return row._replace(
        lng_e5=row.lng_e5 + moved.lng_by_e5,
        lat_e5=row.lat_e5 + moved.lat_by_e5,
        at_ms=near(row.at_ms + moved.at_by_ms & _WORD, cut_ms),
        heading=moved.heading,
        speed=moved.speed,
    )


@dataclass
class ClientState:
    """The rows that a client holds. Checks the chain of cursors, the counts and the hash at every cut."""

    epoch: str = ""
    """Of the last `ready`."""
    cursor: Cursor | None = None
    """Of the last cut applied."""
    drivers: dict[int, DriverRow] = field(default_factory=dict)
    rides: dict[str, RideRow] = field(default_factory=dict)
    lanes: tuple[int, int] = (0, 0)
    _ride_hashes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def ready(self, epoch: str) -> None:
        """A `ready` came: the log that the next cuts are of."""
        self.epoch = epoch

    def apply(self, cut: Cut) -> None:
        """Apply one whole cut. Raises StreamError where it does not continue, or the picture is wrong."""
        if cut.epoch_check != epoch_check(self.epoch):
            raise StreamError(f"a cut of another epoch than {self.epoch}")
        if cut.is_image:
            self.drivers, self.rides, self._ride_hashes, self.lanes = {}, {}, {}, (0, 0)
        elif self.cursor != Cursor(self.epoch, cut.loc_before, cut.ev_before):
            raise StreamError(f"a cut from {cut.loc_before}:{cut.ev_before} for a client at {self.cursor}")
        for driver in cut.gone:
            self._drop_driver(driver)
        for ride in cut.rides_gone:
            self._drop_ride(ride)
        for row in cut.drivers:
            self._set_driver(row)
        for driver, status in cut.status:
            self._set_driver(self._held(driver)._replace(status=status))
        for moved in cut.moved:
            self._set_driver(_after(self._held(moved.driver), moved, cut.at_ms))
        for ride_row, lanes in zip(cut.rides, cut.ride_hashes, strict=True):
            self._drop_ride(ride_row.ride)
            self.rides[ride_row.ride], self._ride_hashes[ride_row.ride] = ride_row, lanes
            self._add(lanes, 1)
        self.cursor = Cursor(self.epoch, cut.loc, cut.ev)
        self._check(cut)

    def _held(self, driver: int) -> DriverRow:
        if driver not in self.drivers:
            raise StreamError(f"a change of driver {driver}, who is not held")
        return self.drivers[driver]

    def _set_driver(self, row: DriverRow) -> None:
        self._drop_driver(row.driver)
        self.drivers[row.driver] = row
        self._add(driver_hash(row), 1)

    def _drop_driver(self, driver: int) -> None:
        row = self.drivers.pop(driver, None)
        if row is not None:
            self._add(driver_hash(row), -1)

    def _drop_ride(self, ride: str) -> None:
        if self.rides.pop(ride, None) is not None:
            self._add(self._ride_hashes.pop(ride), -1)

    def _add(self, lanes: tuple[int, int], sign: int) -> None:
        a, b = self.lanes
        self.lanes = (a + sign * lanes[0] & _WORD, b + sign * lanes[1] & _WORD)

    def _check(self, cut: Cut) -> None:
        held = (len(self.drivers), len(self.rides), self.lanes)
        told = (cut.drivers_held, cut.rides_held, cut.hash)
        if held != told:
            raise StreamError(f"the picture is wrong at {self.cursor}: {held} held, {told} told")
