# SPDX-License-Identifier: Apache-2.0
"""The state of a city: the fold of `taxi.events`, shared by dispatcher, gateway and simulator.

A ride's life is a table (`MOVES`): which event may happen in which state, and where it leads. A driver's
status is never stored: it follows from the shift, the signal and the ride (`status`), so the two can't
disagree. An event that the table forbids raises `IllegalTransitionError`: the dispatcher has a bug.
"""

from collections.abc import Callable
from functools import cached_property
from itertools import takewhile
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct, field

from taxi import messages as m
from taxi.fixes import EXPIRY_MS
from taxi.states import ENDED, DriverStatus, RideState

REMEMBERED_MS: Final = 3_600_000
"""For how long (log time) a command's id is known, so that a repeat is a repeat."""
EVENTS_LOST: Final = "events_lost"
"""Why an epoch started whose city begins empty."""
ENDED_KEPT_MS: Final = EXPIRY_MS + 180_000
"""For how long an ended ride stays in the state: its row, the resume horizon, and some slack."""


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
        touched = _FOLDS[type(event)](self, event)
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

_WAITING: Final = (RideState.REQUESTED, RideState.OFFERED)
_TAKEN: Final = (RideState.ASSIGNED, RideState.ARRIVED)

MOVES: Final[dict[type[m.Event], tuple[tuple[RideState, ...], RideState]]] = {
    m.RideOffered: ((RideState.REQUESTED,), RideState.OFFERED),
    m.OfferDeclined: ((RideState.OFFERED,), RideState.REQUESTED),
    m.OfferExpired: ((RideState.OFFERED,), RideState.REQUESTED),
    m.RideAssigned: ((RideState.OFFERED,), RideState.ASSIGNED),
    m.RideReassigned: ((RideState.REQUESTED, RideState.ASSIGNED), RideState.ASSIGNED),
    m.RideReleased: ((RideState.OFFERED, *_TAKEN), RideState.REQUESTED),
    m.DriverArrived: ((RideState.ASSIGNED,), RideState.ARRIVED),
    m.TripStarted: ((RideState.ARRIVED,), RideState.ON_TRIP),
    m.TripCompleted: ((RideState.ON_TRIP,), RideState.COMPLETED),
    m.RideCancelled: ((*_WAITING, *_TAKEN, RideState.ON_TRIP), RideState.CANCELLED),
    m.RideNoShow: ((RideState.ARRIVED,), RideState.NO_SHOW),
    m.RideExpired: ((RideState.REQUESTED,), RideState.EXPIRED),
}
"""Event → (states in which it may happen, state it leads to)."""


def _move(city: CityState, event: Any) -> Ride:
    """Take the event's ride to its next state; the driver it names must be the ride's own."""
    ride = _movable(city, event)
    if ride.driver is not None and getattr(event, "driver", ride.driver) not in (ride.driver, None):
        raise IllegalTransitionError(f"{event} while its driver is {ride.driver}")
    _stand(city, ride, MOVES[type(event)][1])
    return ride


def _stand(city: CityState, ride: Ride, state: RideState) -> None:
    lots = city.by_state
    del lots[ride.state][ride.ride]
    ride.state = state
    lots[state][ride.ride] = ride


def _movable(city: CityState, event: Any) -> Ride:
    """The event's ride, in a state in which the event may happen."""
    ride = city.rides.get(event.ride)
    if ride is None or ride.state not in MOVES[type(event)][0]:
        raise IllegalTransitionError(f"{event} while the ride is {ride.state.name if ride else 'unknown'}")
    return ride


def _allow(event: m.Event, driver: Driver, *, if_so: bool) -> None:
    """A driver's own events, as `MOVES` is for rides."""
    if not if_so:
        raise IllegalTransitionError(f"{event} of {driver}")


def _touched(ride: Ride, driver: int | None) -> Touched:
    return Touched(() if driver is None else (driver,), (ride.ride,))


def _free(city: CityState, ride: Ride) -> int | None:
    """Part ride and driver; a shift that was to end with the ride ends now."""
    number = ride.driver
    if number is not None:
        driver = city.drivers[number]
        driver.ride = None
        if driver.leaving:
            driver.on_shift = driver.leaving = False
    return number


def _requested(city: CityState, event: m.RideRequested) -> Touched:
    if event.ride in city.rides:
        raise IllegalTransitionError(f"{event}: the ride exists")
    ride = Ride(
        ride=event.ride,
        rider=event.rider,
        pickup=event.pickup,
        dropoff=event.dropoff,
        requested_ms=event.at_ms,
    )
    city.by_state[ride.state][ride.ride] = city.rides[ride.ride] = ride
    return Touched((), (event.ride,))


def _offered(city: CityState, event: m.RideOffered) -> Touched:
    if city.status(event.driver) is not DriverStatus.IDLE:
        raise IllegalTransitionError(f"{event} while the driver is {city.status(event.driver).name}")
    ride = _move(city, event)
    ride.driver, ride.attempt = event.driver, event.attempt
    ride.eta_s, ride.expires_ms = event.eta_s, event.expires_ms
    city.drivers[event.driver].ride = event.ride
    return _touched(ride, event.driver)


def _given_back(city: CityState, event: Any) -> Touched:
    """Declined, expired or released: it waits again, with its original age, and not for this driver."""
    ride = _move(city, event)
    driver = _free(city, ride)
    ride.driver, ride.expires_ms, ride.assigned_ms, ride.arrived_ms = None, 0, 0, 0
    ride.driver_since_ms, ride.ordered = 0, False
    ride.refused.append(event.driver)
    return _touched(ride, driver)


def _assigned(city: CityState, event: m.RideAssigned) -> Touched:
    ride = _move(city, event)
    ride.assigned_ms, ride.eta_s, ride.expires_ms = event.at_ms, event.eta_s, 0
    ride.driver_since_ms = event.at_ms
    _unbind(city.drivers[event.driver])
    return _touched(ride, ride.driver)


def _reassigned(city: CityState, event: m.RideReassigned) -> Touched:
    """One move of a chain: the ride takes a driver who is idle, or on the way to another ride."""
    ride, driver = _movable(city, event), city.drivers.get(event.driver, Driver())
    held = city.ride_of(event.driver)
    willing = driver.on_shift and not (driver.leaving or driver.lost_ms or event.driver in ride.refused)
    may_go = held is None or (held.state is RideState.ASSIGNED and held is not ride)
    _allow(event, driver, if_so=willing and may_go)
    if held is not None:
        city.displaced.append(held.ride)
    before = _give_up(city, ride)
    ride.assigned_ms = ride.assigned_ms or event.at_ms
    _stand(city, ride, RideState.ASSIGNED)
    ride.driver, ride.attempt, ride.eta_s = event.driver, event.attempt, event.eta_s
    ride.driver_since_ms, ride.ordered = event.at_ms, True
    ride.swaps += before is not None
    driver.ride = ride.ride
    _unbind(driver)
    return Touched((event.driver,) if before is None else (before, event.driver), (ride.ride,))


def _give_up(city: CityState, ride: Ride) -> int | None:
    """A ride's driver is free for others, unless an earlier move of the chain gave them one already."""
    if ride.ride in city.displaced:
        city.displaced.remove(ride.ride)
        return ride.driver
    return _free(city, ride)


def _unbind(driver: Driver) -> None:
    driver.bound_for, driver.bound_until_ms = None, 0


def _repositioned(city: CityState, event: m.DriverRepositioned) -> Touched:
    driver = city.drivers.get(event.driver, Driver())
    _allow(event, driver, if_so=city.status(event.driver) is DriverStatus.IDLE)
    driver.bound_for, driver.bound_until_ms = event.to, event.until_ms
    return Touched((event.driver,))


def _arrived(city: CityState, event: m.DriverArrived) -> Touched:
    ride = _move(city, event)
    ride.arrived_ms = event.at_ms
    return _touched(ride, ride.driver)


def _started(city: CityState, event: m.TripStarted) -> Touched:
    ride = _move(city, event)
    ride.started_ms = event.at_ms
    return _touched(ride, ride.driver)


def _ended(city: CityState, event: Any) -> Touched:
    ride = _move(city, event)
    driver = _free(city, ride)
    ride.ended_ms, ride.expires_ms = event.at_ms, 0
    ride.reason = getattr(event, "reason", "")
    name = ride.state.name.lower()
    setattr(city.totals, name, getattr(city.totals, name) + 1)
    return _touched(ride, driver)


def _online(city: CityState, event: m.DriverCameOnline) -> Touched:
    driver = city.drivers.get(event.driver, Driver())
    _allow(event, driver, if_so=not driver.on_shift or driver.leaving)
    city.drivers[event.driver] = driver
    driver.on_shift, driver.leaving, driver.since_ms = True, False, event.at_ms
    return Touched((event.driver,))


def _offline(city: CityState, event: m.DriverWentOffline) -> Touched:
    driver = city.drivers.get(event.driver, Driver())
    _allow(event, driver, if_so=driver.on_shift and not driver.leaving)
    if driver.ride is None:
        driver.on_shift = False
        _unbind(driver)
    else:
        driver.leaving = True
    return Touched((event.driver,))


def _lost(city: CityState, event: m.DriverLost) -> Touched:
    driver = city.drivers.get(event.driver, Driver())
    _allow(event, driver, if_so=not driver.lost_ms and (driver.on_shift or driver.ride is not None))
    driver.lost_ms = event.at_ms
    _unbind(driver)
    return Touched((event.driver,))


def _found(city: CityState, event: m.DriverFound) -> Touched:
    driver = city.drivers.get(event.driver, Driver())
    _allow(event, driver, if_so=driver.lost_ms > 0)
    driver.lost_ms, driver.since_ms = 0, event.at_ms
    return Touched((event.driver,))


def _epoch(city: CityState, event: m.EpochStarted) -> Touched:
    city.epoch, city.city = event.epoch, event.city
    city.batch = event.batch - 1  # an epoch may begin at any number; from there they grow by one
    return _start_empty(city) if event.reason == EVENTS_LOST else Touched()


def _start_empty(city: CityState) -> Touched:
    """Facts that nobody can read any more are no facts: every fold forgets them, wherever it began."""
    touched = Touched(tuple(city.drivers), tuple(city.rides))
    city.drivers, city.rides, city.commands, city.totals = {}, {}, {}, Totals()
    city.displaced = []
    for lot in city.by_state.values():
        lot.clear()
    return touched


def _policy(city: CityState, event: m.PolicyActivated) -> Touched:
    city.policy = event
    return Touched()


def _noted(_: CityState, __: m.Event) -> Touched:
    return Touched()


def _closed(city: CityState, event: m.BatchClosed) -> Touched:
    if event.batch != city.batch + 1 or event.at_ms < city.now_ms:
        raise IllegalTransitionError(f"{event} after batch {city.batch} at {city.now_ms}")
    if city.displaced:
        raise IllegalTransitionError(f"half a chain in batch {event.batch}: {city.displaced} have no driver")
    city.stand_at(event)
    city.born_ms = city.born_ms or event.at_ms
    _forget(city)
    return Touched()


def _forget(city: CityState) -> None:
    """Let go of old command ids and of rides that ended long ago: memory is bounded by the log's time."""
    known_since_ms = city.now_ms - REMEMBERED_MS
    for command_id, _ in list(takewhile(lambda item: item[1] <= known_since_ms, city.commands.items())):
        del city.commands[command_id]
    ended_by_ms = city.now_ms - ENDED_KEPT_MS
    for state in ENDED:
        lot = city.by_state[state]
        for name in [name for name, ride in lot.items() if ride.ended_ms and ride.ended_ms <= ended_by_ms]:
            del city.rides[name], lot[name]


_FOLDS: Final[dict[type[m.Event], Callable[[CityState, Any], Touched]]] = {
    m.EpochStarted: _epoch,
    m.PolicyActivated: _policy,
    m.DriverCameOnline: _online,
    m.DriverWentOffline: _offline,
    m.DriverLost: _lost,
    m.DriverFound: _found,
    m.RideRequested: _requested,
    m.RideOffered: _offered,
    m.OfferDeclined: _given_back,
    m.OfferExpired: _given_back,
    m.RideAssigned: _assigned,
    m.RideReassigned: _reassigned,
    m.DriverRepositioned: _repositioned,
    m.RideReleased: _given_back,
    m.DriverArrived: _arrived,
    m.TripStarted: _started,
    m.TripCompleted: _ended,
    m.RideCancelled: _ended,
    m.RideNoShow: _ended,
    m.RideExpired: _ended,
    m.CommandRejected: _noted,
    m.InputSkipped: _noted,
    m.BatchClosed: _closed,
}
"""Event → how it changes the state."""
