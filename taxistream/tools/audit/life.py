# SPDX-License-Identifier: Apache-2.0
"""The state of rides and drivers, with the audit's own tables of transitions.

A transition that a table forbids is reported and then applied, so that one mistake is reported once.
"""

from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Final

from taxistream.tools.audit.deadlines import Deadlines
from taxistream.tools.audit.findings import AuditFindings
from taxistream.tools.audit.scenarios import KINDS, Scenarios

Body = dict[str, Any]

_ENDED_MS: Final = 3_600_000
"""How long an ended ride is remembered, in log time."""
OPEN: Final = frozenset({"requested", "offered", "assigned", "arrived", "on trip"})
BEFORE_PICKUP: Final = frozenset({"offered", "assigned", "arrived"})

MOVES: Final[dict[str, tuple[frozenset[str], str]]] = {
    "RideOffered": (frozenset({"requested"}), "offered"),
    "OfferDeclined": (frozenset({"offered"}), "requested"),
    "OfferExpired": (frozenset({"offered"}), "requested"),
    "RideAssigned": (frozenset({"offered"}), "assigned"),
    "RideReassigned": (frozenset({"requested", "assigned"}), "assigned"),
    "RideReleased": (BEFORE_PICKUP, "requested"),
    "DriverArrived": (frozenset({"assigned"}), "arrived"),
    "TripStarted": (frozenset({"arrived"}), "on trip"),
    "TripCompleted": (frozenset({"on trip"}), "completed"),
    "RideCancelled": (OPEN, "cancelled"),
    "RideNoShow": (frozenset({"arrived"}), "no-show"),
    "RideExpired": (frozenset({"requested"}), "expired"),
}
"""Event → (states of the ride in which it is allowed, the state after it)."""


@dataclass
class AuditedRide:
    """A ride that has not ended."""

    state: str
    requested_ms: int
    since_ms: int
    """When it entered this state."""
    since_batch: int
    driver: int | None = None
    attempt: int = 0
    expires_ms: int = 0
    silent_ms: int = 0
    """On a trip: since when its driver is without a signal."""
    silent_batch: int = 0
    """The batch in which that began; 0 if there is a signal."""
    refused: set[int] = field(default_factory=set)
    """Drivers who refused or released it; they must not get it again."""


@dataclass
class AuditedDriver:
    """The state of a driver, folded from the events."""

    on_shift: bool = False
    leaving: bool = False
    is_lost: bool = False
    rides: list[str] = field(default_factory=list)
    """At most one, except between the events of a batch."""


class Life:
    """The state of all rides and drivers after the events so far."""

    def __init__(self, findings: AuditFindings) -> None:
        self._findings = findings
        self.rides: dict[str, AuditedRide] = {}
        self.drivers: dict[int, AuditedDriver] = {}
        self.deadlines = Deadlines(findings)
        self.scenarios = Scenarios(findings)
        self.knows_all = True
        """False if the log's beginning is deleted: then unknown rides and drivers may have existed before."""
        self._ended: dict[str, int] = {}
        """Ride → when it ended, oldest first. Events about it are not allowed."""
        self._touched: dict[int, None] = {}
        self._chains: dict[int, list[int]] = {}
        """Chain of this batch → the number of moves that each of its moves contains."""
        self._shifts = {
            "DriverCameOnline": self._online,
            "DriverWentOffline": self._offline,
            "DriverLost": self._lost,
            "DriverFound": self._found,
        }

    def take(self, event: Body) -> None:
        """Check and apply an event."""
        kind = event["type"]
        self.deadlines.take(event)
        if kind == "RideRequested":
            self._request(event)
        elif kind in MOVES:
            self._move(event)
        elif kind in self._shifts:
            driver = self._driver(event["driver"])
            self._touched[event["driver"]] = None
            if not self._shifts[kind](driver):
                self._findings.blame("illegal_transition", event, "of", driver)
            self._hear(event, driver)
        elif kind == "DriverRepositioned":
            self._must_be_idle(event)
        elif kind in KINDS:
            knows_speed = bool(self.deadlines.limits)  # both are in `PolicyActivated`
            self.scenarios.take(event, self.deadlines.time, knows_all=self.knows_all, knows_speed=knows_speed)
        elif kind == "PolicyActivated":
            self.deadlines.limits = event["parameters"]
            self.deadlines.renew(self.rides)
        elif kind == "EpochStarted" and event.get("reason") == "events_lost":
            self._findings.open_rides -= len(self.rides)
            self.rides.clear()
            self.drivers.clear()
            self.scenarios.forget_all()
            self.knows_all = True

    def close(self, closed: Body) -> None:
        """Check the rules that apply between batches."""
        for number in self._touched:
            driver, when = self._driver(number), f"in batch {closed['batch']}"
            if len(driver.rides) > 1:
                self._findings.blame("driver_on_two_rides", number, *driver.rides, when)
            if driver.is_lost and any(self.rides[name].state in BEFORE_PICKUP for name in driver.rides):
                self._findings.blame("lost_driver_fetches", number, *driver.rides, when)
        self._touched.clear()
        for chain, said in self._chains.items():
            if set(said) != {len(said)}:
                self._findings.blame("chain_not_whole", chain, said, f"in batch {closed['batch']}")
        self._chains.clear()
        if self.deadlines.close(self.rides, closed):
            self.scenarios.close(closed, self.deadlines.time)
        for name in list(
            takewhile(lambda ride: self._ended[ride] <= closed["at_ms"] - _ENDED_MS, self._ended)
        ):
            del self._ended[name]

    # --- rides --------------------------------------------------------------------------------------

    def _request(self, event: Body) -> None:
        name = event["ride"]
        if name in self.rides:
            self._findings.blame("illegal_transition", event, "while it is", self.rides[name].state)
            self._part(name, self.rides[name])
        self._findings.rides += 1
        self._ended.pop(name, None)
        at_ms = event["at_ms"]
        self._findings.open_rides += name not in self.rides
        self.rides[name] = AuditedRide("requested", at_ms, at_ms, event["batch"])
        self.deadlines.enter(name, self.rides[name])

    def _move(self, event: Body) -> None:
        allowed, after = MOVES[event["type"]]
        ride = self._ride(event, allowed)
        if ride is None:
            return
        if ride.state not in allowed:
            self._findings.blame("illegal_transition", event, "while it is", ride.state)
        self._check_driver(event, ride)
        if event["type"] == "RideOffered":
            self._offer(event, ride)
        elif event["type"] == "RideReassigned":
            self._order(event, ride)
        if ride.state != after:  # a change of driver does not restart the time limit
            ride.state, ride.since_ms, ride.since_batch = after, event["at_ms"], event["batch"]
        if after == "requested" and ride.driver is not None:
            ride.refused.add(ride.driver)
        if after not in BEFORE_PICKUP and after != "on trip":
            self._part(event["ride"], ride)
        if after in OPEN:
            self.deadlines.enter(event["ride"], ride)
        else:
            self._findings.completed += after == "completed"
            self._findings.open_rides -= 1
            del self.rides[event["ride"]]
            self._ended[event["ride"]] = event["at_ms"]

    def _ride(self, event: Body, allowed: frozenset[str]) -> AuditedRide | None:
        """The ride of an event.

        If its beginning is deleted, it is created in a state that allows the event.
        """
        ride = self.rides.get(event["ride"])
        if ride is not None:
            return ride
        if self.knows_all or event["ride"] in self._ended:
            self._findings.blame("illegal_transition", event, "of a ride that is not open")
            return None
        ride = AuditedRide(next(iter(sorted(allowed))), event["at_ms"], event["at_ms"], event["batch"])
        begins = event["type"] in {"RideOffered", "RideReassigned"}
        ride.attempt = event.get("attempt", 0) - begins
        self._findings.open_rides += 1
        self.rides[event["ride"]] = ride
        held_by = event.get("from_driver" if event["type"] == "RideReassigned" else "driver")
        if held_by is not None and event["type"] != "RideOffered":
            self._join(event["ride"], ride, held_by)
        return ride

    def _check_driver(self, event: Body, ride: AuditedRide) -> None:
        """Check that the event's driver and attempt are the ride's current ones."""
        is_rematch = event["type"] == "RideReassigned"
        named = event.get("from_driver" if is_rematch else "driver")
        if ride.driver is not None and named not in {None, ride.driver}:
            self._findings.blame("ride_with_two_drivers", event, "while its driver is", ride.driver)
        meant = event.get("attempt", ride.attempt)
        if event["type"] not in {"RideOffered", "RideReassigned"} and meant != ride.attempt:
            self._findings.blame("illegal_transition", event, "in attempt", ride.attempt)

    def _offer(self, event: Body, ride: AuditedRide) -> None:
        self._must_be_idle(event)
        self._next_attempt(event, ride)
        ride.expires_ms = event["expires_ms"]
        self._join(event["ride"], ride, event["driver"])

    def _order(self, event: Body, ride: AuditedRide) -> None:
        """Check and apply an order. The driver is idle, or loses a ride to another driver in this batch."""
        driver = self._driver(event["driver"])
        held = [self.rides[name].state for name in driver.rides]
        if driver.is_lost or driver.leaving or not driver.on_shift or set(held) - {"assigned"}:
            self._findings.blame("illegal_transition", event, "to", driver)
        self._chains.setdefault(event.get("chain", 0), []).append(event.get("moves", 1))
        self._next_attempt(event, ride)
        self._join(event["ride"], ride, event["driver"])

    def _must_be_idle(self, event: Body) -> None:
        driver = self._driver(event["driver"])
        if driver.rides:
            self._findings.blame("driver_on_two_rides", event, "while on", *driver.rides)
        if driver.is_lost or not driver.on_shift:
            self._findings.blame("illegal_transition", event, "to", driver)

    def _next_attempt(self, event: Body, ride: AuditedRide) -> None:
        if event["driver"] in ride.refused:
            self._findings.blame("refused_driver_again", event, "refused by", *sorted(ride.refused))
        if event["attempt"] != ride.attempt + 1:
            self._findings.blame("illegal_transition", event, "after attempt", ride.attempt)
        ride.attempt = event["attempt"]

    def _join(self, name: str, ride: AuditedRide, number: int) -> None:
        self._part(name, ride)
        ride.driver = number
        self._driver(number).rides.append(name)
        self._touched[number] = None

    def _part(self, name: str, ride: AuditedRide) -> None:
        """Take the ride from its driver. If the driver's shift was to end with it, it ends."""
        number, ride.driver, ride.silent_batch = ride.driver, None, 0
        if number is None:
            return
        driver = self._driver(number)
        if name in driver.rides:
            driver.rides.remove(name)
        if driver.leaving and not driver.rides:
            driver.on_shift = driver.leaving = False

    # --- drivers: each method applies an event and returns whether it was allowed ---------------------

    def _driver(self, number: int) -> AuditedDriver:
        if number not in self.drivers:
            self.drivers[number] = AuditedDriver(on_shift=not self.knows_all)
        return self.drivers[number]

    def _hear(self, event: Body, driver: AuditedDriver) -> None:
        """Record for the rides on a trip whether their driver has a signal."""
        for name in driver.rides:
            ride = self.rides[name]
            if ride.state == "on trip" and driver.is_lost != bool(ride.silent_batch):
                ride.silent_ms, ride.silent_batch = event["at_ms"], event["batch"] * driver.is_lost
                self.deadlines.silence(name, ride)

    def _online(self, driver: AuditedDriver) -> bool:
        lawful = not driver.on_shift or driver.leaving or not self.knows_all
        driver.on_shift, driver.leaving = True, False
        return lawful

    def _offline(self, driver: AuditedDriver) -> bool:
        lawful = driver.on_shift and not driver.leaving
        driver.on_shift = driver.leaving = bool(driver.rides)
        return lawful

    def _lost(self, driver: AuditedDriver) -> bool:
        lawful = not driver.is_lost and (driver.on_shift or bool(driver.rides))
        driver.is_lost = True
        return lawful

    def _found(self, driver: AuditedDriver) -> bool:
        lawful = driver.is_lost or not self.knows_all
        driver.is_lost = False
        return lawful
