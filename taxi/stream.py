# SPDX-License-Identifier: Apache-2.0
"""The browser stream seen from a client (docs/protocol.md): decode a cut, hold the rows, check the hash.

Plain Python on purpose, and no line shared with the gateway's encoder: it is what that is tested against.
"""

import struct
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from taxi.cursor import Cursor, epoch_check

VERSION: Final = 1
SUBPROTOCOL: Final = "taxi.v1"
IMAGE: Final = 1
STALE: Final = 2
_HEADER: Final = struct.Struct("<BBH7I5Q6I")
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
    gone: tuple[int, ...]
    drivers: tuple[DriverRow, ...]
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
    version, flags, generation, n_gone, n, n_rides_gone, n_rides, rides_bytes, n_feed, feed_bytes = head[:10]
    loc_before, ev_before, loc, ev, at_ms = head[10:15]
    if version != VERSION:
        raise StreamError(f"a cut of version {version}")
    at = _HEADER.size
    gone = struct.unpack_from(f"<{n_gone}I", message, at)
    at += 4 * n_gone
    columns = []
    for code, size in (("I", 4), ("i", 4), ("i", 4), ("I", 4), ("B", 1), ("B", 1), ("B", 1)):
        columns.append(struct.unpack_from(f"<{n}{code}", message, at))
        at += n * size
    at += -at % 4
    if len(message) != at + rides_bytes + feed_bytes:
        raise StreamError(f"a cut of {at + rides_bytes + feed_bytes} bytes came with {len(message)}")
    rides_gone, rides, hashes = _rides(message[at : at + rides_bytes], n_rides_gone, n_rides, at_ms)
    feed = msgspec.json.decode(message[at + rides_bytes :]) if feed_bytes else []
    if len(feed) != n_feed:
        raise StreamError(f"{len(feed)} feed events, {n_feed} announced")
    return Cut(
        flags=flags,
        generation=generation,
        loc_before=loc_before,
        ev_before=ev_before,
        loc=loc,
        ev=ev,
        at_ms=at_ms,
        epoch_check=head[15],
        hash=(head[16], head[17]),
        drivers_held=head[18],
        rides_held=head[19],
        gone=gone,
        drivers=tuple(
            DriverRow(driver, x, y, near(t, at_ms), heading, speed, status)
            for driver, x, y, t, heading, speed, status in zip(*columns, strict=True)
        ),
        rides_gone=rides_gone,
        rides=rides,
        ride_hashes=hashes,
        feed=tuple((offset, ms, name, body) for offset, ms, name, body in feed),
    )


def _rides(
    section: bytes, n_gone: int, n: int, cut_ms: int
) -> tuple[tuple[str, ...], tuple[RideRow, ...], tuple[tuple[int, int], ...]]:
    gone, rows, hashes, at = [], [], [], 0
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
            self._drop_driver(row.driver)
            self.drivers[row.driver] = row
            self._add(driver_hash(row), 1)
        for ride_row, lanes in zip(cut.rides, cut.ride_hashes, strict=True):
            self._drop_ride(ride_row.ride)
            self.rides[ride_row.ride], self._ride_hashes[ride_row.ride] = ride_row, lanes
            self._add(lanes, 1)
        self.cursor = Cursor(self.epoch, cut.loc, cut.ev)
        self._check(cut)

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
