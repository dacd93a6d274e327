# SPDX-License-Identifier: Apache-2.0
"""The state itself: what the events say up to the last one applied."""

from functools import cached_property
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from taxi import messages as m
from taxi.city.folds import FOLDS
from taxi.city.rows import Driver, Ride, Totals, Touched
from taxi.states import DriverStatus, RideState


class CityState(Struct, kw_only=True, dict=True):
    """What the events say, up to the last one applied."""

    city: str = ""
    epoch: str = ""
    batch: int = 0
    now_ms: int = 0
    born_ms: int = 0
    """When the first batch that had heard anything closed."""
    commands_offset: int = 0
    locations_offset: int = 0
    commands_digest: str = ""
    locations_digest: str = ""
    policy: m.PolicyActivated | None = None
    drivers: dict[int, Driver] = field(default_factory=dict)
    rides: dict[str, Ride] = field(default_factory=dict)
    commands: dict[str, int] = field(default_factory=dict)
    """Ids of accepted and rejected commands → log time, oldest first."""
    displaced: list[str] = field(default_factory=list)
    """Rides whose driver this batch gave to another one, and which have not got theirs yet."""
    totals: Totals = field(default_factory=Totals)

    @cached_property
    def by_state(self) -> dict[RideState, dict[str, Ride]]:
        """The rides by where they stand; who came to stand there while this was kept comes last.

        Follows from `rides`; every fold keeps it up.
        """
        lots: dict[RideState, dict[str, Ride]] = {state: {} for state in RideState}
        for name, ride in self.rides.items():
            lots[ride.state][name] = ride
        return lots

    @cached_property
    def derived(self) -> dict[type, Any]:
        """What readers work out from the state, by their types; kept as long as it, and no part of it.

        It is neither written nor compared, and who keeps something here finds out whether it still holds.
        """
        return {}

    def apply(self, event: m.AnyEvent) -> Touched:
        """Fold one event in; say whose rows it touched. Raises IllegalTransitionError."""
        touched = FOLDS[type(event)](self, event)
        if event.command_id is not None:
            self.commands[event.command_id] = event.at_ms
        return touched

    def status(self, driver: int) -> DriverStatus:
        """What a driver is doing; OFFLINE where events know no such driver."""
        known = self.drivers.get(driver)
        if known is None:
            return DriverStatus.OFFLINE
        if known.lost_ms:
            return DriverStatus.LOST
        if known.ride is not None:
            return _BUSY[self.rides[known.ride].state]
        return DriverStatus.IDLE if known.on_shift else DriverStatus.OFFLINE

    def idle(self) -> list[int]:
        """Drivers whose status is IDLE, in no particular order."""
        return [
            number
            for number, driver in self.drivers.items()
            if driver.ride is None and driver.on_shift and not driver.lost_ms
        ]

    def ride_of(self, driver: int) -> Ride | None:
        """The ride that a driver is offered or drives."""
        known = self.drivers.get(driver)
        return self.rides[known.ride] if known is not None and known.ride is not None else None

    def stand_at(self, closed: m.BatchClosed) -> None:
        """How far the log and its inputs were read, whatever happened in it."""
        self.batch, self.now_ms = closed.batch, closed.at_ms
        self.commands_offset, self.commands_digest = closed.commands_offset, closed.commands_digest
        self.locations_offset, self.locations_digest = closed.locations_offset, closed.locations_digest

    def to_bytes(self) -> bytes:
        """As JSON; the same state always gives the same bytes."""
        return _ENCODER.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "CityState":
        """The state that `to_bytes` wrote. Raises msgspec.DecodeError."""
        return _DECODER.decode(data)


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(CityState)

_BUSY: Final = {
    RideState.OFFERED: DriverStatus.OFFERED,
    RideState.ASSIGNED: DriverStatus.TO_PICKUP,
    RideState.ARRIVED: DriverStatus.AT_PICKUP,
    RideState.ON_TRIP: DriverStatus.ON_TRIP,
}
