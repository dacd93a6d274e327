# SPDX-License-Identifier: Apache-2.0
"""The rows of a city's state, and what one event may change of them."""

from typing import NamedTuple

from msgspec import Struct, field

from taxi import messages as m
from taxi.states import RideState


class IllegalTransitionError(Exception):
    """An event that the state does not allow: a bug of whoever decided it."""


class Ride(Struct, kw_only=True):
    """A ride as of some batch. Times are log time, 0 = not yet."""

    ride: str
    rider: str
    pickup: m.Place
    dropoff: m.Place
    requested_ms: int
    state: RideState = RideState.REQUESTED
    attempt: int = 0
    driver: int | None = None
    """Who is offered it or drives it; stays after a completed ride."""
    eta_s: int = 0
    expires_ms: int = 0
    """When the offer lapses."""
    assigned_ms: int = 0
    """Since when a driver comes, whoever it is."""
    driver_since_ms: int = 0
    """Since when it is this one."""
    ordered: bool = False
    """This one comes by order (`RideReassigned`), not by accepting an offer."""
    swaps: int = 0
    """How often the driver was changed."""
    arrived_ms: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    reason: str = ""
    """Why it was cancelled."""
    refused: list[int] = field(default_factory=list)
    """Drivers who declined it, did not answer or lost it; in the order they did."""


class Driver(Struct, kw_only=True):
    """A driver as of some batch."""

    on_shift: bool = False
    leaving: bool = False
    """The shift ends with the ride."""
    since_ms: int = 0
    """When the shift began or the signal came back: from then on a fix is expected."""
    lost_ms: int = 0
    """Since when there is no signal; 0: there is."""
    ride: str | None = None
    bound_for: m.Place | None = None
    """Where an idle driver was asked to drive to."""
    bound_until_ms: int = 0
    """From then on that counts as done."""


class Touched(NamedTuple):
    """Whose rows an event may have changed."""

    drivers: tuple[int, ...] = ()
    rides: tuple[str, ...] = ()


class Totals(Struct, kw_only=True):
    """How rides ended since the birth of the log."""

    completed: int = 0
    cancelled: int = 0
    no_show: int = 0
    expired: int = 0
