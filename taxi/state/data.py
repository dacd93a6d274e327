# SPDX-License-Identifier: Apache-2.0
"""What the state of a city consists of, and queries on it. The folds change it."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from msgspec import Struct, field

from taxi import messages as m
from taxi.city_time import CityTime, Period
from taxi.messages.states import ENDED, DriverStatus, RideState
from taxi.state.rows import Driver, Ride, RunningScenario, Totals

_SHIFTS_MAX: Final = 32


class CityData(Struct, kw_only=True, dict=True):
    """The fields of a city's state, and queries on them. `CityState` adds the fold of events."""

    city: str = ""
    """The city's name, from `EpochStarted`."""
    epoch: str = ""
    batch: int = 0
    """The number of the last closed batch; it only grows within an epoch."""
    now_ms: int = 0
    """Log time of the last closed batch; it never decreases."""
    born_ms: int = 0
    """Log time of the first batch with a time above 0."""
    commands_offset: int = 0
    """How far the last batch had read `taxi.commands`: the next offset."""
    locations_offset: int = 0
    """How far the last batch had read `taxi.locations`: the next offset."""
    commands_digest: str = ""
    """A digest of the last command that was read."""
    locations_digest: str = ""
    """A digest of the last position that was read."""
    policy: m.PolicyActivated | None = None
    """The current policy with its parameters."""
    drivers: dict[int, Driver] = field(default_factory=dict)
    """Driver number → driver."""
    rides: dict[str, Ride] = field(default_factory=dict)
    """Ride id → ride; ended rides stay for `ENDED_KEPT_MS`."""
    commands: dict[str, int] = field(default_factory=dict)
    """Command id → log time of its answer, oldest first. Without commands rejected for a reason in
    `NOT_YET`."""
    displaced: list[str] = field(default_factory=list)
    """Rides whose driver got another ride in this batch and which have no new driver yet. Empty after a
    batch."""
    totals: Totals = field(default_factory=Totals)
    shifts: list[tuple[int, int]] = field(default_factory=list)
    """(position from which on, what is added to its times to get log time), ascending; the newest few."""
    periods: list[Period] = field(default_factory=list)
    """How fast people lived since when (see `time`), ascending; the newest few."""
    scenarios: dict[str, RunningScenario] = field(default_factory=dict)
    """Name → scenario under way, the oldest first."""
    scenarios_changed_ms: int = 0
    """Log time at which a scenario last began or ended."""

    @cached_property
    def by_state(self) -> dict[RideState, dict[str, Ride]]:
        """State → the rides in it: an index of `rides` that each fold updates.

        Ended rides are in the order in which they ended. A ride that changes its state becomes the last one.
        """
        lots: dict[RideState, dict[str, Ride]] = {state: {} for state in RideState}
        for name, ride in self.rides.items():
            lots[ride.state][name] = ride
        for state in ENDED:
            ended = sorted(lots[state].items(), key=lambda item: item[1].ended_ms)
            lots[state] = dict(ended)
        return lots

    @cached_property
    def derived(self) -> dict[type, Any]:
        """A place for values that readers of the state compute from it, by type.

        They are neither encoded nor compared. Their owners must check whether they are still valid.
        """
        return {}

    def status(self, driver: int) -> DriverStatus:
        """The status of a driver; OFFLINE if there is no such driver.

        A driver whose shift has ended is never LOST, because no signal is expected.
        """
        known = self.drivers.get(driver)
        if known is None or not (known.on_shift or known.ride):
            return DriverStatus.OFFLINE
        if known.lost_ms:
            return DriverStatus.LOST
        if known.ride is not None:
            return _BUSY[self.rides[known.ride].state]
        return DriverStatus.IDLE

    def idle(self) -> list[int]:
        """Drivers whose status is IDLE, in no particular order."""
        return [
            number
            for number, driver in self.drivers.items()
            if driver.ride is None and driver.on_shift and not driver.lost_ms
        ]

    def ride_of(self, driver: int) -> Ride | None:
        """The ride that a driver is offered or has; None if there is none."""
        known = self.drivers.get(driver)
        return self.rides[known.ride] if known is not None and known.ride is not None else None

    @property
    def time(self) -> CityTime:
        """How log time becomes city time."""
        return CityTime(self.periods)

    @property
    def shift_ms(self) -> int:
        """What is added to the broker's time now to get log time."""
        return self.shifts[-1][1] if self.shifts else 0

    def shift_at(self, locations_offset: int) -> int:
        """What is added to the times of the position at this offset."""
        return shift_at(self.shifts, locations_offset)

    def shift(self, locations_from: int, shift_ms: int) -> None:
        """From this position on, so much is added."""
        if (locations_from, shift_ms) not in self.shifts:
            self.shifts = [*self.shifts, (locations_from, shift_ms)][-_SHIFTS_MAX:]

    def stand_at(self, closed: m.BatchClosed) -> None:
        """Take over batch number, log time and input offsets from a `BatchClosed`, without any check."""
        self.batch, self.now_ms = closed.batch, closed.at_ms
        self.commands_offset, self.commands_digest = closed.commands_offset, closed.commands_digest
        self.locations_offset, self.locations_digest = closed.locations_offset, closed.locations_digest
        if closed.shift_ms != self.shift_ms:  # the event that announced it is gone
            self.shift(closed.locations_offset, closed.shift_ms)


def shift_at(shifts: Sequence[tuple[int, int]], locations_offset: int) -> int:
    """What is added to the times of the position at this offset."""
    return next((ms for first, ms in reversed(shifts) if first <= locations_offset), 0)


_BUSY: Final = {
    RideState.OFFERED: DriverStatus.OFFERED,
    RideState.ASSIGNED: DriverStatus.TO_PICKUP,
    RideState.ARRIVED: DriverStatus.AT_PICKUP,
    RideState.ON_TRIP: DriverStatus.ON_TRIP,
}
