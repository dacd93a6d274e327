# SPDX-License-Identifier: Apache-2.0
"""What an update holds, as plain data: rows of drivers and rides, and how they change (docs/protocol.md)."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from taxi.client.protocol import IMAGE_FLAG, STALE_FLAG

_WORD: Final = 0xFFFFFFFF


class StreamError(ValueError):
    """A message that is no update, or not the one that has to come next."""


class DriverRow(NamedTuple):
    """A driver as the stream shows it: quantised, newest position, status from events."""

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


class ScenarioUnderWay(NamedTuple):
    """Something out of the ordinary that happens in the city: rain, a strike."""

    name: str
    title: str
    """For people."""
    since_ms: int
    """Log time."""
    lasts_s: int
    """City time; it may be stopped earlier."""
    area: tuple[float, float, int] | None
    """Longitude and latitude of the centre in degrees, and the radius in metres; None: everywhere."""


class Moved(NamedTuple):
    """How a driver row that the client holds moved. Heading and speed are as they are now."""

    driver: int
    lng_by_e5: int
    lat_by_e5: int
    at_by_ms: int
    """Modulo 2³², as a signed number."""
    heading: int
    speed: int


@dataclass(frozen=True)
class Update:
    """One decoded binary message: the difference between two cuts, or an image.

    To be applied whole, in this order: `gone` and `rides_gone`, then the rest (`Replica.apply`).
    """

    flags: int
    generation: int
    """Of the view that was requested, in its first update; else 0."""
    loc_before: int
    """With `ev_before`, the cursor at which it begins; both 0 in an image."""
    ev_before: int
    loc: int
    """With `ev`, the cursor after it."""
    ev: int
    at_ms: int
    """Cut time: log time."""
    epoch_check: int
    hash: tuple[int, int]
    """The gateway's hash over the rows that a client holds after it."""
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
    """(offset, at_ms, type, ids) of each event between the two cuts, in offset order. Empty in an image."""

    @property
    def is_image(self) -> bool:
        """Whether it holds the full state, so that all rows held before are removed first."""
        return bool(self.flags & IMAGE_FLAG)

    @property
    def is_stale(self) -> bool:
        """Whether the log has not moved for 5 s."""
        return bool(self.flags & STALE_FLAG)


def near(low: int, cut_ms: int) -> int:
    """The time with these low 32 bits that is nearest to cut time."""
    ahead = (low - cut_ms) & _WORD
    return cut_ms + (ahead - 2**32 if ahead >= 2**31 else ahead)
