# SPDX-License-Identifier: Apache-2.0
"""The life of a ride by a table of its own, and its record on the wire."""

import struct
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self

from loadtest.oracle.hashing import Lanes, ride_lanes

ENDED: Final = frozenset({"completed", "cancelled", "no-show", "expired"})
STATES: Final = {
    name: number
    for number, name in enumerate(
        (
            *("requested", "offered", "assigned", "arrived", "on trip"),
            *("completed", "cancelled", "no-show", "expired"),
        ),
        start=1,
    )
}
_AFTER: Final = {
    "RideOffered": "offered",
    "OfferDeclined": "requested",
    "OfferExpired": "requested",
    "RideReleased": "requested",
    "RideAssigned": "assigned",
    "RideReassigned": "assigned",
    "DriverArrived": "arrived",
    "TripStarted": "on trip",
    "TripCompleted": "completed",
    "RideCancelled": "cancelled",
    "RideNoShow": "no-show",
    "RideExpired": "expired",
}
_STAMPS: Final = {"assigned": "assigned_ms", "arrived": "arrived_ms", "on trip": "started_ms"}
_RECORD: Final = struct.Struct("<BBHI4i5I")


def _e5(place: list[float]) -> tuple[int, int]:
    return round(place[0] * 1e5), round(place[1] * 1e5)


def _low(at_ms: int | None) -> int:
    """Low 32 bits; 0 means "not yet", so a time whose low bits are 0 is told as 1."""
    return 0 if at_ms is None else (at_ms & 0xFFFFFFFF) or 1


@dataclass(frozen=True)
class Ride:
    """A ride after some event."""

    name: str
    state: str
    pickup: tuple[int, int]
    dropoff: tuple[int, int]
    requested_ms: int
    attempt: int = 0
    driver: int | None = None
    assigned_ms: int | None = None
    arrived_ms: int | None = None
    started_ms: int | None = None
    ended_ms: int | None = None

    @classmethod
    def requested(cls, body: dict[str, Any]) -> Self:
        """A new one."""
        places = _e5(body["pickup"]), _e5(body["dropoff"])
        return cls(body["ride"], "requested", *places, body["at_ms"])

    @cached_property
    def record(self) -> bytes:
        """As it stands in a cut."""
        name = self.name.encode("ascii")
        times = (self.requested_ms, self.assigned_ms, self.arrived_ms, self.started_ms, self.ended_ms)
        head = _RECORD.pack(
            len(name),
            STATES[self.state],
            self.attempt,
            self.driver or 0,
            *self.pickup,
            *self.dropoff,
            *map(_low, times),
        )
        return head + name + bytes(-len(name) % 4)

    @cached_property
    def lanes(self) -> Lanes:
        """What it adds to the state hash."""
        return ride_lanes(self.record)


def moved(ride: Ride, body: dict[str, Any]) -> Ride:
    """The ride after an event that is about it; one that moves nothing leaves it as it is."""
    after = _AFTER.get(body["type"])
    if after is None:
        return ride
    if after == "offered":
        return replace(ride, state=after, driver=body["driver"], attempt=body["attempt"])
    if after == "requested":
        return replace(ride, state=after, driver=None, assigned_ms=None, arrived_ms=None)
    if body["type"] == "RideReassigned":
        came_ms = ride.assigned_ms or body["at_ms"]
        return replace(ride, state=after, driver=body["driver"], attempt=body["attempt"], assigned_ms=came_ms)
    return replace(ride, state=after, **{_STAMPS.get(after, "ended_ms"): body["at_ms"]})
