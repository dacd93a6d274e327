# SPDX-License-Identifier: Apache-2.0
"""The oracle's own fold of the raw log. It shares no code with gateway, dispatcher or CityState.

It reads JSON with the standard library and keeps plain dictionaries; written from docs/protocol.md and
taxi/messages.py alone. What it can't fold is a broken promise, said by raising `Broken`.
"""

import json
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from typing import Any

from taxi.bus.memory_log import Fate, Partition
from taxi.client.rows import DriverRow, RideRow

OLD_MS, AHEAD_MS = 5_000, 1_000
ENDED = {"completed": 6, "cancelled": 7, "no-show": 8, "expired": 9}
STATES = {"requested": 1, "offered": 2, "assigned": 3, "arrived": 4, "on trip": 5, **ENDED}
BUSY = {"offered": 2, "assigned": 3, "arrived": 4, "on trip": 5}


class Broken(Exception):  # noqa: N818 - a promise, not a program
    """The log itself breaks a rule: (rule, details)."""


@dataclass(frozen=True)
class RideFact:
    """A ride after some batch."""

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
    """Since when the driver comes by order, if so."""

    def row(self) -> RideRow:
        return RideRow(
            self.name,
            STATES[self.state],
            self.attempt,
            self.driver,
            self.pickup,
            self.dropoff,
            self.requested_ms,
            self.assigned_ms,
            self.arrived_ms,
            self.started_ms,
            self.ended_ms,
        )


@dataclass(frozen=True)
class DriverFact:
    """A driver after some batch."""

    on_shift: bool = False
    leaving: bool = False
    lost: bool = False
    ride: str | None = None


@dataclass(frozen=True)
class Event:
    """A committed record of `taxi.events`."""

    offset: int
    kind: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Boundary:
    """The city after a batch: what a client at this `ev` must hold, locations aside."""

    ev: int
    batch: int
    now_ms: int
    epoch: str
    drivers: dict[int, DriverFact]
    rides: dict[str, RideFact]

    def status(self, driver: int) -> int:
        """As the wire numbers it."""
        known = self.drivers.get(driver)
        if known is None:
            return 0
        if known.lost:
            return 6
        if known.ride is not None:
            return BUSY[self.rides[known.ride].state]
        return 1 if known.on_shift else 0


def e5(degrees: float) -> int:
    return round(degrees * 1e5)


def place(pair: list[float]) -> tuple[int, int]:
    return e5(pair[0]), e5(pair[1])


# --- events -----------------------------------------------------------------------------------------


@dataclass
class EventFold:
    """All committed events and the city after each batch."""

    events: list[Event] = field(default_factory=list)
    batches: list[list[Event]] = field(default_factory=list)
    """Each with its `BatchClosed` last; what no `BatchClosed` follows is in none."""
    boundaries: dict[int, Boundary] = field(default_factory=dict)
    """By `ev`; 0 is the start."""
    _drivers: dict[int, DriverFact] = field(default_factory=dict)
    _rides: dict[str, RideFact] = field(default_factory=dict)
    _epoch: str = ""
    _limits: dict[str, Any] = field(default_factory=dict)
    """What the last `PolicyActivated` said."""

    @classmethod
    def of(cls, partition: Partition) -> "EventFold":
        fold = cls(boundaries={0: Boundary(0, 0, 0, "", {}, {})})
        run: list[Event] = []
        transactions: set[int] = set()
        for offset, entry in enumerate(partition.entries):
            fate = entry.transaction.fate if entry.transaction else Fate.COMMITTED
            if entry.is_marker or fate is not Fate.COMMITTED:
                continue
            assert entry.record.value is not None
            body = json.loads(entry.record.value)
            event = Event(offset, body["type"], body)
            fold.events.append(event)
            run.append(event)
            transactions.add(id(entry.transaction))
            if event.kind == "BatchClosed":
                if len(transactions) > 1:
                    raise Broken("a batch in several transactions", event.body["batch"])
                fold._close(run)
                run, transactions = [], set()
        return fold

    @property
    def last(self) -> Boundary:
        return next(reversed(self.boundaries.values()))

    def between(self, start: int, end: int) -> list[Event]:
        """Events with start ≤ offset < end."""

        def at(offset: int) -> int:
            return bisect_left(self.events, offset, key=lambda event: event.offset)

        return self.events[at(start) : at(end)]

    def _close(self, run: list[Event]) -> None:
        closed, before = run[-1].body, self.last
        number = closed["batch"]
        if any(event.body["batch"] != number for event in run):
            raise Broken("a batch with another's events", number)
        if closed["count"] != len(run):
            raise Broken("a batch is not whole", number, closed["count"], len(run))
        if number != before.batch + 1:
            raise Broken("batch numbers have a hole", before.batch, number)
        if closed["at_ms"] < before.now_ms:
            raise Broken("log time went back", number)
        self._chains_are_whole(run, number)
        for event in run[:-1]:
            self._apply(event)
        self._nobody_twice(number)
        ev = run[-1].offset + 1
        self.batches.append(run)
        self.boundaries[ev] = Boundary(
            ev, number, closed["at_ms"], self._epoch, dict(self._drivers), dict(self._rides)
        )

    def _nobody_twice(self, batch: int) -> None:
        held = [ride.driver for ride in self._rides.values() if ride.state in BUSY]
        if None in held or len(held) != len(set(held)):
            raise Broken("a driver on two rides, or a ride with none", batch, held)
        for number, driver in self._drivers.items():
            if driver.ride is not None and self._rides[driver.ride].driver != number:
                raise Broken("driver and ride disagree", batch, number, driver.ride)

    def _chains_are_whole(self, run: list[Event], batch: int) -> None:
        """Every move of a chain or none; no driver and no ride twice; each who loses a ride is heard of."""
        moves = [event.body for event in run if event.kind == "RideReassigned"]
        for chain, said in {(move["chain"], move.get("moves", 1)) for move in moves}:
            links = [move for move in moves if move["chain"] == chain]
            if len(links) != said:
                raise Broken("half a chain", batch, chain, said, links)
        for name in ("ride", "driver"):
            if len({move[name] for move in moves}) != len(moves):
                raise Broken(f"a {name} twice in the chains of a batch", batch, moves)

    def _reassign(self, event: Event) -> None:
        """By order: from one driver to another who is idle or on the way to a ride of the same batch."""
        body, ride = event.body, self._rides.get(event.body["ride"])
        if ride is None or ride.state not in {"requested", "assigned"}:
            raise Broken("illegal transition", event.kind, body, ride)
        if body.get("from_driver") != ride.driver or body["attempt"] != ride.attempt + 1:
            raise Broken("an order that does not know where the ride stands", body, ride)
        number = body["driver"]
        driver = self._drivers.get(number, DriverFact())
        if not driver.on_shift or driver.leaving or driver.lost or number in ride.refused:
            raise Broken("an order to a driver who can't or won't", body, driver, ride)
        if driver.ride is not None and self._rides[driver.ride].state != "assigned":
            raise Broken("an order to a driver who has a rider or an offer", body, driver)
        if ride.driver is not None and self._drivers[ride.driver].ride == ride.name:
            self._free(ride.driver)
        self._drivers[number] = replace(self._drivers[number], ride=ride.name)
        at_ms = body["at_ms"]
        self._rides[ride.name] = replace(
            ride,
            state="assigned",
            driver=number,
            attempt=body["attempt"],
            assigned_ms=ride.assigned_ms or at_ms,
            ordered_ms=at_ms,
        )

    def _apply(self, event: Event) -> None:
        kind, body = event.kind, event.body
        if kind == "EpochStarted":
            self._epoch = body["epoch"]
        elif kind == "PolicyActivated":
            self._limits = body["parameters"]
        elif kind == "RideRequested":
            self._request(event)
        elif kind == "RideReassigned":
            self._reassign(event)
        elif "ride" in body and kind in MOVES:
            self._move(event)
        elif kind == "DriverRepositioned":
            self._is_idle(body["driver"], "a drive for a driver who is not idle")
        elif kind in SHIFTS:
            number = body["driver"]
            self._drivers[number] = SHIFTS[kind](self._drivers.get(number, DriverFact()))
        elif kind not in {"CommandRejected", "InputSkipped"}:
            raise Broken("an event that nobody knows", kind, event.offset)

    def _request(self, event: Event) -> None:
        body = event.body
        if body["ride"] in self._rides:
            raise Broken("a ride requested twice", body["ride"])
        self._rides[body["ride"]] = RideFact(
            body["ride"], "requested", place(body["pickup"]), place(body["dropoff"]), body["at_ms"]
        )

    def _move(self, event: Event) -> None:
        body, (allowed, after) = event.body, MOVES[event.kind]
        ride = self._rides.get(body["ride"])
        if ride is None or ride.state not in allowed:
            raise Broken("illegal transition", event.kind, body, ride)
        if ride.driver is not None and body.get("driver") not in {None, ride.driver}:
            raise Broken("another driver's event", event.kind, body, ride)
        if event.kind == "RideExpired" and body["at_ms"] < ride.requested_ms + self._limits["patience_ms"]:
            raise Broken("a ride gave up before its time", body, ride)
        changed = replace(ride, state=after, **_stamps(event))
        if event.kind == "RideOffered":
            self._take(body["driver"], ride)
        elif after == "requested":
            self._may_let_go(event, ride)
            refused = ride.refused | {body["driver"]}
            none: dict[str, Any] = {
                "driver": None,
                "assigned_ms": None,
                "arrived_ms": None,
                "ordered_ms": None,
            }
            changed = replace(changed, refused=refused, **none)
        if after in ENDED or after == "requested":
            self._free(ride.driver)
        self._rides[ride.name] = changed

    def _may_let_go(self, event: Event, ride: RideFact) -> None:
        """Only who came by order may refuse, and only for so long."""
        if event.body.get("reason") == "refused" and (
            ride.state != "assigned"
            or ride.ordered_ms is None
            or ride.ordered_ms + self._limits["refuse_ms"] < event.body["at_ms"]
        ):
            raise Broken("refused what was no order, or too late", event.body, ride)

    def _take(self, number: int, ride: RideFact) -> None:
        driver = self._is_idle(number, "an offer to a driver who is not idle")
        if number in ride.refused:
            raise Broken("an offer to a driver who refused the ride", number, ride)
        self._drivers[number] = replace(driver, ride=ride.name)

    def _is_idle(self, number: int, otherwise: str) -> DriverFact:
        driver = self._drivers.get(number, DriverFact())
        if not driver.on_shift or driver.lost or driver.ride is not None:
            raise Broken(otherwise, number, driver)
        return driver

    def _free(self, number: int | None) -> None:
        if number is not None:
            driver = self._drivers[number]
            stays = driver.on_shift and not driver.leaving
            self._drivers[number] = replace(driver, ride=None, on_shift=stays, leaving=False)


def _stamps(event: Event) -> dict[str, Any]:
    """What an event writes on its ride beside the state."""
    body, at_ms = event.body, event.body["at_ms"]
    if event.kind == "RideOffered":
        return {"driver": body["driver"], "attempt": body["attempt"]}
    name = {
        "RideAssigned": "assigned_ms",
        "DriverArrived": "arrived_ms",
        "TripStarted": "started_ms",
        "TripCompleted": "ended_ms",
        "RideCancelled": "ended_ms",
        "RideNoShow": "ended_ms",
        "RideExpired": "ended_ms",
    }.get(event.kind)
    return {name: at_ms} if name else {}


MOVES = {
    "RideOffered": ({"requested"}, "offered"),
    "OfferDeclined": ({"offered"}, "requested"),
    "OfferExpired": ({"offered"}, "requested"),
    "RideAssigned": ({"offered"}, "assigned"),
    "RideReleased": ({"offered", "assigned", "arrived"}, "requested"),
    "DriverArrived": ({"assigned"}, "arrived"),
    "TripStarted": ({"arrived"}, "on trip"),
    "TripCompleted": ({"on trip"}, "completed"),
    "RideCancelled": ({"requested", "offered", "assigned", "arrived", "on trip"}, "cancelled"),
    "RideNoShow": ({"arrived"}, "no-show"),
    "RideExpired": ({"requested"}, "expired"),
}

SHIFTS = {
    "DriverCameOnline": lambda d: replace(d, on_shift=True, leaving=False),
    "DriverWentOffline": lambda d: replace(d, leaving=True) if d.ride else replace(d, on_shift=False),
    "DriverLost": lambda d: replace(d, lost=True),
    "DriverFound": lambda d: replace(d, lost=False),
}


# --- locations --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FixFact:
    """A fix that was the newest of its driver from its offset on."""

    offset: int
    at_ms: int
    append_ms: int
    body: dict[str, Any]

    def row(self, status: int) -> DriverRow:
        heading = round(self.body.get("heading", 0) * (256 / 360)) % 256
        speed = min(255, round(self.body.get("speed", 0.0) * 2))
        body = self.body
        return DriverRow(body["driver"], e5(body["lng"]), e5(body["lat"]), self.at_ms, heading, speed, status)


@dataclass
class LocationFold:
    """The newest fix of each driver before any offset, and the greatest append time before it."""

    newest: dict[int, list[FixFact]] = field(default_factory=dict)
    """By driver; each list ascending by offset."""
    append_ms: list[int] = field(default_factory=lambda: [0])
    """Index `loc`: the greatest append time of the records before it."""

    @classmethod
    def of(cls, partition: Partition) -> "LocationFold":
        fold = cls()
        for offset, entry in enumerate(partition.entries):
            stamp = entry.record.timestamp_ms
            fold.append_ms.append(max(fold.append_ms[-1], stamp))
            fix = _fix(entry.record.value)
            if fix is None or not stamp - OLD_MS <= fix["at_ms"] <= stamp + AHEAD_MS:
                continue
            history = fold.newest.setdefault(fix["driver"], [])
            if not history or fix["at_ms"] >= history[-1].at_ms:
                history.append(FixFact(offset, fix["at_ms"], stamp, fix))
        return fold

    def rows(self, loc: int, cut_ms: int, boundary: Boundary, expiry_ms: int) -> dict[int, DriverRow]:
        rows = {}
        for driver, history in self.newest.items():
            index = bisect_right(history, loc - 1, key=lambda fix: fix.offset)
            if index and history[index - 1].append_ms + expiry_ms > cut_ms:
                rows[driver] = history[index - 1].row(boundary.status(driver))
        return rows


def _fix(value: bytes | None) -> dict[str, Any] | None:
    """A fix, or None for what no reader can decode."""
    try:
        body = json.loads(value or b"")
    except ValueError:
        return None
    return body if isinstance(body, dict) and body.get("type") == "Fix" else None


def ride_rows(boundary: Boundary, cut_ms: int, expiry_ms: int) -> dict[str, RideRow]:
    return {
        ride.name: ride.row()
        for ride in boundary.rides.values()
        if ride.ended_ms is None or ride.ended_ms + expiry_ms > cut_ms
    }
