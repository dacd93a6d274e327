# SPDX-License-Identifier: Apache-2.0
"""Nobody waits beside idle drivers, but for somebody who is about to be free.

Worked out from the log, the fixes and the streets; written from docs/policies.md, not from the dispatcher.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

from taxi import topics
from taxi.roads import RoadNetwork
from tests.simulation.oracle_fold import Boundary, Event, EventFold, FixFact, LocationFold, RideFact, place
from tests.simulation.oracle_streets import Streets

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
    """Drivers whose trips should have ended long ago, and these: nobody is held for them."""

    def held(self) -> list[RideFact]:
        """Who waits, and could have been offered to somebody idle."""
        return [ride for ride in self.waiting if self.idle.keys() - ride.refused]


@dataclass
class Held:
    """The rule over a whole log."""

    events: EventFold
    locations: LocationFold
    roads: RoadNetwork
    tally: Counter[str] = field(default_factory=Counter)

    def violations(self) -> Iterator[tuple[Any, ...]]:
        """Who waits beside an idle driver needs a trip that is about to end, each a trip of its own.

        A trip explains for no longer than the policy looks ahead and waits for who is late, in log time,
        which stands still while nobody decides. The first batch that matches after that must offer.
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

    def _not_held(self, batch: list[Event], late: dict[int, RideFact]) -> int:
        """How many were offered to somebody farther away than where one who is late should be by now."""
        drive_ms, rides = self._streets.drive_ms, self.events.last.rides
        offers = [event.body for event in batch if event.kind == "RideOffered"]
        return sum(
            any(
                drive_ms(trip.dropoff, rides[offer["ride"]].pickup) < offer["eta_s"] * 1000
                for trip in late.values()
            )
            for offer in offers
        )

    def _matched(self) -> Iterator[tuple[list[Event], Left, bool]]:
        """Batches in which log time passed a multiple of the policy's interval; what each left as it was.

        And whether rides that are being fetched were matched anew, too: then a trip may explain one of
        them, whose driver would go to the ride that waits.
        """
        limits: dict[str, Any] = {}
        known_from, comparable_from = 0, self._last_recreated()
        for batch, (before, after) in zip(
            self.events.batches, pairwise(self.events.boundaries.values()), strict=True
        ):
            for event in batch:
                limits = event.body["parameters"] if event.kind == "PolicyActivated" else limits
                known_from = _known_from(event, known_from)
            passed = partial(_passed, before.now_ms, after.now_ms)
            if passed(limits["policy_interval_ms"]) and after.batch >= comparable_from:
                left = self._left(after, limits, known_from, batch[-1].body["locations_offset"])
                yield batch, left, passed(limits["rematch_interval_ms"])

    def _last_recreated(self) -> int:
        """The batch from which on offsets are those of the fixes at hand."""
        return max((event.body["batch"] for event in self.events.events if _is_anew(event)), default=0)

    def _left(self, city: Boundary, limits: dict[str, Any], known_from: int, known_to: int) -> Left:
        out_of_patience_ms = city.now_ms - limits["patience_ms"]
        waiting = [
            ride
            for ride in city.rides.values()
            if ride.state == "requested" and ride.requested_ms > out_of_patience_ms
        ]
        left = Left(waiting)
        for number, driver in city.drivers.items():
            if not driver.on_shift or driver.lost or driver.leaving:
                continue
            if driver.ride is None:
                fix = self._fix(number, known_from, known_to)
                if fix is not None:
                    left.idle[number] = place([fix.body["lng"], fix.body["lat"]])
            elif (ride := city.rides[driver.ride]).state == "on trip":
                left_ms = self._left_ms(ride, city.now_ms)
                if left_ms <= -limits["ahead_late_ms_max"] - ROUNDING_MS:
                    left.late[number] = ride
                elif left_ms < limits["ahead_ms"]:
                    left.soon[number] = ride
        return left

    def _fix(self, driver: int, known_from: int, known_to: int) -> FixFact | None:
        """By which whoever decided must know a driver: the last one read, if it can't have been lost."""
        history = self.locations.newest.get(driver, [])
        index = bisect_left(history, known_to, key=lambda fix: fix.offset)
        return history[index - 1] if index > 0 and history[index - 1].offset >= known_from else None

    def _left_ms(self, ride: RideFact, now_ms: int) -> int:
        """Until the drive of a trip should be over; below 0: since when."""
        assert ride.started_ms is not None
        return self._streets.drive_ms(ride.pickup, ride.dropoff) - (now_ms - ride.started_ms)

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


def _is_anew(event: Event) -> bool:
    """Whether the fixes of a topic made anew are read from here on."""
    reason = event.body.get("reason", "")
    return event.kind == "EpochStarted" and reason in {"locations_recreated", "inputs_recreated"}


def _known_from(event: Event, known_from: int) -> int:
    """From which fix on they are known for certain; before, some may have been taken unread."""
    if _is_anew(event):
        return 0
    is_gap = event.kind == "InputSkipped" and event.body["topic"] == topics.LOCATIONS
    return int(event.body["next"]) if is_gap else known_from
