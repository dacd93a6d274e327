# SPDX-License-Identifier: Apache-2.0
"""The state of a ride, with the oracle's own table of transitions, and its encoding in an update."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self

from taxistream.tools.oracle.hashing import Lanes, ride_lanes
from taxistream.tools.oracle.runs import LogEvent

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
"""State → its number in the protocol."""
_OPEN: Final = STATES.keys() - ENDED
MOVES: Final = {
    "RideOffered": ({"requested"}, "offered"),
    "OfferDeclined": ({"offered"}, "requested"),
    "OfferExpired": ({"offered"}, "requested"),
    "RideReleased": ({"offered", "assigned", "arrived"}, "requested"),
    "RideAssigned": ({"offered"}, "assigned"),
    "RideReassigned": ({"requested", "assigned"}, "assigned"),
    "DriverArrived": ({"assigned"}, "arrived"),
    "TripStarted": ({"arrived"}, "on trip"),
    "TripCompleted": ({"on trip"}, "completed"),
    "RideCancelled": (_OPEN, "cancelled"),
    "RideNoShow": ({"arrived"}, "no-show"),
    "RideExpired": ({"requested"}, "expired"),
}
"""Event → the states in which it is legal, and the state after it."""
_TIMES: Final = {"assigned": "assigned_ms", "arrived": "arrived_ms", "on trip": "started_ms"}
_RECORD: Final = struct.Struct("<BBHI4i5I")


def place_e5(place: Sequence[float]) -> tuple[int, int]:
    """(longitude, latitude) in 1e-5 degrees."""
    return round(place[0] * 1e5), round(place[1] * 1e5)


def _low(at_ms: int | None) -> int:
    """The low 32 bits of a time. 0 means "not yet", so if they are 0, the result is 1."""
    return 0 if at_ms is None else (at_ms & 0xFFFFFFFF) or 1


@dataclass(frozen=True)
class RideFact:
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
    refused: frozenset[int] = frozenset()
    """Drivers who must never be given this ride again."""
    ordered_ms: int | None = None
    """Since when the driver comes by order; None if the driver accepted an offer."""

    @classmethod
    def requested(cls, body: dict[str, Any]) -> Self:
        """A new ride."""
        places = place_e5(body["pickup"]), place_e5(body["dropoff"])
        return cls(body["ride"], "requested", *places, body["at_ms"])

    def after(self, event: LogEvent) -> "RideFact":
        """The ride after an event of `MOVES`, whether it is legal or not."""
        body, state = event.body, MOVES[event.kind][1]
        if state == "offered":
            return replace(self, state=state, driver=body["driver"], attempt=body["attempt"])
        if state == "requested":
            refused = self.refused | {body["driver"]}
            gone: dict[str, Any] = dict.fromkeys(("driver", "assigned_ms", "arrived_ms", "ordered_ms"))
            return replace(self, state=state, refused=refused, **gone)
        if event.kind == "RideReassigned":
            return replace(
                self,
                state=state,
                driver=body["driver"],
                attempt=body["attempt"],
                assigned_ms=self.assigned_ms or body["at_ms"],
                ordered_ms=body["at_ms"],
            )
        return replace(self, state=state, **{_TIMES.get(state, "ended_ms"): body["at_ms"]})

    @cached_property
    def record(self) -> bytes:
        """The ride's record in an update."""
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
        """Its summands of the state hash."""
        return ride_lanes(self.record)
