# SPDX-License-Identifier: Apache-2.0
"""What a cut tells, as plain data: rows of drivers and rides, and how they change (docs/protocol.md)."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

IMAGE: Final = 1
STALE: Final = 2
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
