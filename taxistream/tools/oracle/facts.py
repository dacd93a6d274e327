# SPDX-License-Identifier: Apache-2.0
"""Applies the events of a batch to rides and drivers, and checks that each of them is legal."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from taxistream.tools.documented_time import CityClock
from taxistream.tools.oracle.errors import BrokenLogError
from taxistream.tools.oracle.rides import ENDED, MOVES, RideFact
from taxistream.tools.oracle.runs import LogEvent
from taxistream.tools.oracle.scenarios import ScenarioFact, scenarios_after

OFFLINE, IDLE, LOST = 0, 1, 6
BUSY: Final = {"offered": 2, "assigned": 3, "arrived": 4, "on trip": 5}
"""State of the ride → status of its driver, as a number of the protocol."""
_RIDE_KNOWN_MS: Final = 240_000
"""The id of a ride may be requested again so long after its end."""


@dataclass(frozen=True)
class DriverFact:
    """What events say about a driver."""

    on_shift: bool = False
    leaving: bool = False
    """The shift ends with the ride."""
    lost: bool = False
    ride: str | None = None


_RIDE_ID: Final = re.compile(r"[\x00-\x7f]{1,40}", re.DOTALL)
_SHIFTS: Final = {
    "DriverCameOnline": lambda d: replace(d, on_shift=True, leaving=False),
    "DriverWentOffline": lambda d: replace(d, leaving=True) if d.ride else replace(d, on_shift=False),
    "DriverLost": lambda d: replace(d, lost=True),
    "DriverFound": lambda d: replace(d, lost=False),
}
_NO_ROW: Final = {"BatchClosed", "CommandRejected", "InputSkipped", "ScenarioStarted", "ScenarioEnded"}


class CityFacts:
    """Rides and drivers after the batches so far."""

    def __init__(self) -> None:
        self.rides: dict[str, RideFact] = {}
        self.drivers: dict[int, DriverFact] = {}
        self.epoch = ""
        self.set_backs: list[tuple[int, int]] = []
        """From which position on times are shifted, and by how much."""
        self.changed: set[int] = set()
        """Drivers whose status the last batch may have changed."""
        self._touched: set[str] = set()
        """Rides that the last batch changed, or whose driver it changed."""
        self._limits: dict[str, Any] = {}
        """The parameters of the last `PolicyActivated`."""
        self.time = CityClock()
        self.scenarios: Mapping[str, ScenarioFact] = {}
        """Name → scenario under way, in the order in which they began."""
        self._before_ms = 0
        """`at_ms` of the batch before."""

    def apply(self, batch: Sequence[LogEvent]) -> None:
        """Apply a batch, its `BatchClosed` last.

        Raises:
            BrokenLogError: An event is not legal, or makes no sense. The facts are undefined then.
        """
        number = batch[-1].body["batch"]
        self.changed, self._touched = set(), set()
        try:
            self._chains_are_whole(batch, number)
            for event in batch:
                self._apply(event)
            self._no_driver_has_two_rides(number)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise BrokenLogError("an event that makes no sense", number, repr(error)) from error
        self._before_ms = batch[-1].body["at_ms"]

    def prune_ended_before(self, old_ms: int) -> None:
        """Remove rides that ended before a time."""
        gone = [ride.name for ride in self.rides.values() if (ride.ended_ms or old_ms) < old_ms]
        for name in gone:
            del self.rides[name]

    def status(self, number: int) -> int:
        """A driver's status, as a number of the protocol."""
        driver = self.drivers.get(number)
        if driver is None or not (driver.on_shift or driver.ride is not None):
            return OFFLINE
        if driver.lost:
            return LOST
        return IDLE if driver.ride is None else BUSY[self.rides[driver.ride].state]

    # --- one event --------------------------------------------------------------------------------

    def _apply(self, event: LogEvent) -> None:
        kind, body = event.kind, event.body
        self.time.take(kind, body)
        self.scenarios = scenarios_after(self.scenarios, kind, body)
        if kind == "EpochStarted":
            self.epoch = body["epoch"]
            if body.get("reason") == "events_lost":
                self.changed |= self.drivers.keys()
                self.drivers, self.rides = {}, {}
        elif kind == "PolicyActivated":
            self._limits = body.get("parameters", {})
        elif kind == "ClockSetBack":
            self.set_backs.append((body["locations_from"], body["shift_ms"]))
        elif kind == "RideRequested":
            self._request(event)
        elif kind in MOVES:
            self._move(event)
        elif kind == "DriverRepositioned":
            self._idle(body["driver"], "a drive for a driver who is not idle")
            _check_place(body["to"])
        elif kind in _SHIFTS:
            number = body["driver"]
            self._set(number, _SHIFTS[kind](self._driver(number)))
        elif kind not in _NO_ROW:
            raise BrokenLogError("an event of an unknown type", kind, event.offset)

    def _request(self, event: LogEvent) -> None:
        name = event.body["ride"]
        if _RIDE_ID.fullmatch(name) is None:
            raise BrokenLogError("an impossible ride id", name)
        _check_place(event.body["pickup"])
        _check_place(event.body["dropoff"])
        before = self.rides.get(name)
        if before is not None:
            is_forgotten = before.ended_ms is not None and before.ended_ms + _RIDE_KNOWN_MS <= self._before_ms
            if not is_forgotten:
                raise BrokenLogError("a ride requested twice", name)
        self.rides[name] = RideFact.requested(event.body)

    def _move(self, event: LogEvent) -> None:
        body, (allowed, state) = event.body, MOVES[event.kind]
        ride = self.rides.get(body["ride"])
        if ride is None or ride.state not in allowed:
            raise BrokenLogError("illegal transition", event.kind, body, ride)
        if event.kind == "RideReassigned":
            self._reassign(event, ride)
            return
        if ride.driver is not None and body.get("driver") not in {None, ride.driver}:
            raise BrokenLogError("another driver's event", event.kind, body, ride)
        patience_ms = self._limits.get("patience_ms", 0)
        lived_ms = self.time.lived_ms(ride.requested_ms, body["at_ms"])
        if event.kind == "RideExpired" and lived_ms < patience_ms:
            raise BrokenLogError("a ride gave up before its time", body, ride)
        if event.kind == "RideOffered":
            self._offer(body["driver"], ride)
        elif state == "requested":
            self._may_be_let_go(event, ride)
        if ride.driver is not None:
            if state in ENDED or state == "requested":
                self._free(ride.driver, ride)
            self.changed.add(ride.driver)
        self._put(ride.after(event))

    def _reassign(self, event: LogEvent, ride: RideFact) -> None:
        """By order: from one driver to another who is idle or on the way to a ride of the same batch."""
        body, number = event.body, event.body["driver"]
        if body.get("from_driver") != ride.driver or body["attempt"] != ride.attempt + 1:
            raise BrokenLogError("an order that does not know the state of the ride", body, ride)
        driver = self._driver(number)
        if not driver.on_shift or driver.leaving or driver.lost or number in ride.refused:
            raise BrokenLogError("an order to a driver who can't or won't", body, driver, ride)
        if driver.ride is not None and self.rides[driver.ride].state != "assigned":
            raise BrokenLogError("an order to a driver who has a rider or an offer", body, driver)
        if ride.driver is not None and self._driver(ride.driver).ride == ride.name:
            self._free(ride.driver, ride)
        self._set(number, replace(self._driver(number), ride=ride.name))
        self._put(ride.after(event))

    def _may_be_let_go(self, event: LogEvent, ride: RideFact) -> None:
        """Only a driver who comes by order may refuse, and only for so long."""
        if event.body.get("reason") != "refused":
            return
        refuse_ms = self._limits.get("refuse_ms")
        lived_ms = self.time.lived_ms(ride.ordered_ms or 0, event.body["at_ms"] - 1)
        is_late = refuse_ms is not None and refuse_ms <= lived_ms
        if ride.state != "assigned" or ride.ordered_ms is None or is_late:
            raise BrokenLogError("refused what was no order, or too late", event.body, ride)

    def _offer(self, number: int, ride: RideFact) -> None:
        driver = self._idle(number, "an offer to a driver who is not idle")
        if number in ride.refused:
            raise BrokenLogError("an offer to a driver who refused the ride", number, ride)
        self._set(number, replace(driver, ride=ride.name))

    # --- drivers ----------------------------------------------------------------------------------

    def _driver(self, number: int) -> DriverFact:
        return self.drivers.get(number, DriverFact())

    def _set(self, number: int, driver: DriverFact) -> None:
        if (ride := self._driver(number).ride) is not None:
            self._touched.add(ride)
        self.drivers[number] = driver
        self.changed.add(number)

    def _put(self, ride: RideFact) -> None:
        self.rides[ride.name] = ride
        self._touched.add(ride.name)

    def _idle(self, number: int, otherwise: str) -> DriverFact:
        """The driver, who must be idle; `otherwise` is the rule that is broken if not."""
        driver = self._driver(number)
        if not driver.on_shift or driver.lost or driver.ride is not None:
            raise BrokenLogError(otherwise, number, driver)
        return driver

    def _free(self, number: int, ride: RideFact) -> None:
        driver = self._driver(number)
        if driver.ride != ride.name:
            raise BrokenLogError("driver and ride disagree", number, driver, ride)
        stays = driver.on_shift and not driver.leaving
        self._set(number, replace(driver, ride=None, on_shift=stays, leaving=False))

    # --- a whole batch ----------------------------------------------------------------------------

    def _chains_are_whole(self, batch: Sequence[LogEvent], number: int) -> None:
        """Check that chains have all their moves, and no driver and no ride is in them twice."""
        moves = [event.body for event in batch if event.kind == "RideReassigned"]
        for chain, count in {(move["chain"], move.get("moves", 1)) for move in moves}:
            links = [move for move in moves if move["chain"] == chain]
            if len(links) != count:
                raise BrokenLogError("half a chain", number, chain, count, links)
        for name in ("ride", "driver"):
            if len({move[name] for move in moves}) != len(moves):
                raise BrokenLogError(f"a {name} twice in the chains of a batch", number, moves)

    def _no_driver_has_two_rides(self, number: int) -> None:
        """Check that each ride that was touched has its driver, and each driver that was changed the ride."""
        for name in self._touched & self.rides.keys():
            ride = self.rides[name]
            if ride.state in BUSY and (ride.driver is None or self._driver(ride.driver).ride != name):
                raise BrokenLogError("a driver on two rides, or a ride with none", number, ride)
        for driver in self.changed & self.drivers.keys():
            name_of_ride = self.drivers[driver].ride
            if name_of_ride is None:
                continue
            ride = self.rides[name_of_ride]
            if ride.driver != driver or ride.state not in BUSY:
                raise BrokenLogError("driver and ride disagree", number, driver, ride)


def _check_place(place: Sequence[float]) -> None:
    """Raises BrokenLogError for what is no longitude and latitude."""
    if not (abs(place[0]) <= 180 and abs(place[1]) <= 90):
        raise BrokenLogError("an impossible place", place)
