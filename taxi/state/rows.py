# SPDX-License-Identifier: Apache-2.0
"""The rides and drivers of a city's state."""

from typing import NamedTuple

from msgspec import Struct, field

from taxi import messages as m
from taxi.messages.states import RideState


class IllegalTransitionError(Exception):
    """The state does not allow an event, which is a bug of the dispatcher that decided it."""


def is_on_earth(place: m.Place) -> bool:
    """Whether it is a longitude and a latitude. Readers write places as whole numbers of fixed size."""
    lng, lat = place
    return -180 <= lng <= 180 and -90 <= lat <= 90


class Ride(Struct, kw_only=True):
    """The state of a ride. Times are log time; 0 means not yet."""

    ride: str
    rider: str
    pickup: m.Place
    dropoff: m.Place
    requested_ms: int
    state: RideState = RideState.REQUESTED
    attempt: int = 0
    driver: int | None = None
    """The driver who is offered it or has it. It stays after the ride has ended."""
    eta_s: int = 0
    expires_ms: int = 0
    """When the offer expires."""
    assigned_ms: int = 0
    """Since when it has a driver; a change of drivers does not change it."""
    driver_since_ms: int = 0
    """Since when it has this driver."""
    ordered: bool = False
    """The driver got it by an order (`RideReassigned`), not by accepting an offer."""
    swaps: int = 0
    """How often the driver was changed."""
    arrived_ms: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    reason: str = ""
    """Why it was cancelled."""
    refused: list[int] = field(default_factory=list)
    """Drivers who must not get it again, because they declined it, did not answer or released it; in
    order."""


class Driver(Struct, kw_only=True):
    """The state of a driver."""

    on_shift: bool = False
    leaving: bool = False
    """The shift ends with the ride."""
    since_ms: int = 0
    """When the shift began or the signal came back; from then on positions are expected."""
    lost_ms: int = 0
    """Since when there is no signal; 0 if there is one."""
    ride: str | None = None
    bound_for: m.Place | None = None
    """Where an idle driver was asked to drive to."""
    bound_until_ms: int = 0
    """Until when; the repositioning ends then, whether the driver has arrived or not."""


class RunningScenario(Struct, kw_only=True):
    """A scenario under way."""

    title: str
    since_ms: int
    """Log time."""
    lasts_s: int
    """City time."""
    area: m.Disc | None = None


class Touched(NamedTuple):
    """The drivers and rides that an event may have changed."""

    drivers: tuple[int, ...] = ()
    rides: tuple[str, ...] = ()


class Totals(Struct, kw_only=True):
    """Counts of ended rides since the last epoch that began empty."""

    completed: int = 0
    cancelled: int = 0
    no_show: int = 0
    expired: int = 0
