# SPDX-License-Identifier: Apache-2.0
"""Rule: no ride waits near idle drivers, unless it is held for a driver who will soon be free.

Computed from the log, the positions and the streets; written from docs/policies.md, not from the dispatcher.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from taxi import topics
from taxi.roads.network import RoadNetwork
from taxistream.tools.documented_time import CityClock
from taxistream.tools.oracle.events import Boundary
from taxistream.tools.oracle.positions import Position, Positions
from taxistream.tools.oracle.rides import RideFact
from taxistream.tools.oracle.runs import LogEvent
from testing.simulation.oracle_streets import Streets

ROUNDING_MS = 1_000
"""A policy counts in whole seconds: somebody may be waited for by so much longer."""
TURNING_MS = 5_000
"""Where an idle driver can turn is known to within two blocks: by what the fixes alone say."""


@dataclass
class Left:
    """What a batch that matches has left as it was."""

    waiting: list[RideFact]
    idle: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Drivers who have nothing to do, and where they are known to be."""
    soon: dict[int, RideFact] = field(default_factory=dict)
    """Drivers whose trips should end soon, or should have ended a moment ago, and these trips."""
    late: dict[int, RideFact] = field(default_factory=dict)
    """Drivers whose trips should have ended long ago, and these trips. No ride may be held for them."""

    def held(self) -> list[RideFact]:
        """Who waits, and could have been offered to somebody idle."""
        return [ride for ride in self.waiting if self.idle.keys() - ride.refused]


@dataclass
class Held:
    """The rule over a whole log."""

    batches: list[list[LogEvent]]
    boundaries: dict[int, Boundary]
    """By `ev`; the first is before the first batch."""
    positions: Positions
    roads: RoadNetwork
    tally: Counter[str] = field(default_factory=Counter)
    _far: dict[tuple[int, int], bool] = field(default_factory=dict)
    _time: CityClock = field(default_factory=CityClock)
    """As of the batch at hand."""

    def violations(self) -> Iterator[tuple[Any, ...]]:
        """Check that each ride that waits near an idle driver has a trip of its own that is about to end.

        A trip explains a wait only for as long as the policy looks ahead and waits for late drivers. This is
        log time, which does not advance while no dispatcher decides. The first matching batch after that must
        offer.
        """
        for batch, left, others_move in self._matched():
            held = left.held()
            self.tally["a ride held back"] += len(held)
            self.tally["a ride not held for one who is late"] += self._not_held(batch, left.late)
            explains = {
                ride.name: [
                    driver
                    for driver, trip in left.soon.items()
                    if others_move or self._is_nearer(driver, trip, ride, left, batch[-1].body["at_ms"])
                ]
                for ride in held
            }
            if matched(explains) < len(held):
                rides = [(ride.name, ride.requested_ms) for ride in held]
                number, late = batch[-1].body["batch"], list(left.late)
                yield "held beside idle drivers", number, rides, list(left.idle), explains, late

    def _is_nearer(self, driver: int, trip: RideFact, ride: RideFact, left: Left, now_ms: int) -> bool:
        """Whether a driver who lets a rider out first is at the pickup before any who is idle would be."""
        if driver in ride.refused:
            return False
        drive_ms, pickup = self._streets.drive_ms, ride.pickup
        eta_ms = max(self._left_ms(trip, now_ms), 0) + drive_ms(trip.dropoff, pickup)
        idle_ms = min(drive_ms(at, pickup) for idle, at in left.idle.items() if idle not in ride.refused)
        return eta_ms <= idle_ms + TURNING_MS

    def _not_held(self, batch: list[LogEvent], late: dict[int, RideFact]) -> int:
        """How many were offered to somebody farther away than where one who is late should be by now."""
        drive_ms, rides = self._streets.drive_ms, next(reversed(self.boundaries.values())).rides
        offers = [event.body for event in batch if event.kind == "RideOffered"]
        return sum(
            any(
                drive_ms(trip.dropoff, rides[offer["ride"]].pickup) < offer["eta_s"] * 1000
                for trip in late.values()
            )
            for offer in offers
            if offer["ride"] in rides  # not lost since
        )

    def _matched(self) -> Iterator[tuple[list[LogEvent], Left, bool]]:
        """Batches in which log time passed a multiple of the policy's interval; what each left as it was.

        And whether rides that are being fetched were matched again, too: then a trip may explain one of
        them, whose driver would go to the ride that waits.
        """
        limits: dict[str, Any] = {}
        known_from, read_to, comparable_from = 0, 0, self._last_recreated()
        self._time = CityClock()
        for batch, (before, after) in zip(self.batches, pairwise(self.boundaries.values()), strict=True):
            for event in batch:
                self._time.take(event.kind, event.body)
                limits = event.body["parameters"] if event.kind == "PolicyActivated" else limits
                known_from = _known_from(event, known_from, read_to)
            read_to = batch[-1].body["locations_offset"]
            matches = limits and _passed(before.now_ms, after.now_ms, limits["policy_interval_ms"])
            if matches and after.batch >= comparable_from:
                left = self._left(after, limits, known_from, read_to)
                lived = self._time.at(before.now_ms), self._time.at(after.now_ms)
                yield batch, left, _passed(*lived, limits["rematch_interval_ms"])

    def _last_recreated(self) -> int:
        """The batch from which on offsets are those of the fixes at hand."""
        return max(
            (event.body["batch"] for batch in self.batches for event in batch if _is_new_topic(event)),
            default=0,
        )

    def _left(self, city: Boundary, limits: dict[str, Any], known_from: int, known_to: int) -> Left:
        waiting = [
            ride
            for ride in city.rides.values()
            if ride.state == "requested"
            and self._time.lived_ms(ride.requested_ms, city.now_ms) < limits["patience_ms"]
        ]
        left = Left(waiting)
        for number, driver in city.drivers.items():
            if not driver.on_shift or driver.lost or driver.leaving:
                continue
            if driver.ride is None:
                fix = self._fix(number, known_from, known_to)
                if fix is not None and self.is_far(fix):
                    self.tally["a driver far away"] += 1
                elif fix is not None:
                    left.idle[number] = fix.lng_e5, fix.lat_e5
            elif (ride := city.rides[driver.ride]).state == "on trip":
                left_ms = self._left_ms(ride, city.now_ms)
                if left_ms <= -limits["ahead_late_ms_max"] - ROUNDING_MS:
                    left.late[number] = ride
                elif left_ms < limits["ahead_ms"]:
                    left.soon[number] = ride
        return left

    def _fix(self, driver: int, known_from: int, known_to: int) -> Position | None:
        """The position by which the dispatcher must know a driver: the last one, unless it may be lost."""
        newest = self.positions.newest_of(driver, known_to)
        return newest if newest is not None and newest.offset >= known_from else None

    def is_far(self, fix: Position) -> bool:
        """Whether it is no place of this city: who is there can be given nothing."""
        at = fix.lng_e5, fix.lat_e5
        if at not in self._far:
            self._far[at] = self._streets.far_m((at[0] / 1e5, at[1] / 1e5)) > self.roads.city.snap_m_max
        return self._far[at]

    def far_away(self) -> Iterator[tuple[Any, ...]]:
        """Check that no driver far from all streets is offered a ride, gets one, or is repositioned."""
        known_from, read_to, comparable_from = 0, 0, self._last_recreated()
        for batch in self.batches:
            for event in batch:
                known_from = _known_from(event, known_from, read_to)
            closed = batch[-1].body
            read_to = closed["locations_offset"]
            if closed["batch"] < comparable_from:
                continue
            for event in batch:
                if event.kind in {"RideOffered", "RideReassigned", "DriverRepositioned"}:
                    fix = self._fix(event.body["driver"], known_from, read_to)
                    if fix is not None and self.is_far(fix):
                        yield "a ride for a driver far away", event.kind, event.body, fix

    def _left_ms(self, ride: RideFact, now_ms: int) -> int:
        """Until the drive of a trip should be over; below 0: since when."""
        assert ride.started_ms is not None
        lived_ms = self._time.lived_ms(ride.started_ms, now_ms)
        return self._streets.drive_ms(ride.pickup, ride.dropoff) - lived_ms

    @cached_property
    def _streets(self) -> Streets:
        return Streets(self.roads)


def matched(explains: dict[str, list[int]]) -> int:
    """How many of these can each have one of its drivers to itself (Kuhn 1955)."""
    given: dict[int, str] = {}

    def give(ride: str, asked: set[int]) -> bool:
        for driver in explains[ride]:
            if driver not in asked:
                asked.add(driver)
                if driver not in given or give(given[driver], asked):
                    given[driver] = ride
                    return True
        return False

    return sum(give(ride, set()) for ride in explains)


def _passed(before_ms: int, now_ms: int, interval_ms: int) -> bool:
    return now_ms // interval_ms > before_ms // interval_ms


def _is_new_topic(event: LogEvent) -> bool:
    """Whether the positions of a topic that was created again are read from here on."""
    reason = event.body.get("reason", "")
    return event.kind == "EpochStarted" and reason in {"locations_recreated", "inputs_recreated"}


def _known_from(event: LogEvent, known_from: int, read_to: int) -> int:
    """From which fix on they are known for certain; before, some may have been taken unread.

    A city that begins empty knows none before `read_to`, where the last batch had stopped.
    """
    if _is_new_topic(event):
        return 0
    if event.body.get("reason") == "events_lost":
        return read_to
    is_gap = event.kind == "InputSkipped" and event.body["topic"] == topics.LOCATIONS
    return int(event.body["next"]) if is_gap else known_from
