# SPDX-License-Identifier: Apache-2.0
"""The lives of a driver and of a ride, as numbers that also stand on the wire (docs/protocol.md)."""

from enum import IntEnum


class DriverStatus(IntEnum):
    """What a driver is doing. It comes from events alone, never from a position."""

    OFFLINE = 0
    IDLE = 1
    OFFERED = 2
    TO_PICKUP = 3
    AT_PICKUP = 4
    ON_TRIP = 5
    LOST = 6


class RideState(IntEnum):
    """Where a ride stands. The last four are its ends."""

    REQUESTED = 1
    OFFERED = 2
    ASSIGNED = 3
    ARRIVED = 4
    ON_TRIP = 5
    COMPLETED = 6
    CANCELLED = 7
    NO_SHOW = 8
    EXPIRED = 9


ENDED = frozenset({RideState.COMPLETED, RideState.CANCELLED, RideState.NO_SHOW, RideState.EXPIRED})
