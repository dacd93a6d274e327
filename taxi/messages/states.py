# SPDX-License-Identifier: Apache-2.0
"""The states of drivers and rides, with their numbers in the protocol (docs/protocol.md)."""

from enum import IntEnum


class DriverStatus(IntEnum):
    """What a driver is doing. It depends on events only, never on positions."""

    OFFLINE = 0
    IDLE = 1
    OFFERED = 2
    TO_PICKUP = 3
    AT_PICKUP = 4
    ON_TRIP = 5
    LOST = 6


class RideState(IntEnum):
    """The state of a ride. The last four are final."""

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
