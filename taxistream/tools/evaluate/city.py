# SPDX-License-Identifier: Apache-2.0
"""A city in virtual time: the simulator's world and the dispatcher's core, called in turn each second.

Positions are written directly into the dispatcher's newest positions: those that matter for a decision at
each batch, the others every ten seconds, so that no driver counts as lost. Everything else is as in the live
system.
"""

import time
from collections.abc import Iterator
from itertools import repeat
from typing import Final, NamedTuple

import msgspec
import numpy as np

from dispatcher.batch_input import BatchInput, EpochToBegin, ReadCommand
from dispatcher.core import DecisionConfig, decide
from dispatcher.inputs import URGENT
from dispatcher.limits import DecisionLimits
from dispatcher.policies.tuning import Tuning
from simulator.drivers import Drivers
from simulator.fleet import Fleet
from simulator.opening import Opening, opening_of
from simulator.riders import Riders
from simulator.streets import Streets
from simulator.world import World
from taxi.messages import AnyCommand, AnyEvent
from taxi.messages.states import RideState
from taxi.positions.newest import NewestFix, NewestFixes
from taxi.runtime import tracing
from taxi.state import CityState
from taxistream.tools.evaluate import warm_start
from taxistream.tools.evaluate.demand import TestRiders
from taxistream.tools.evaluate.scenario import START_MS, Scenario

_TRACE: Final = tracing.root("evaluate")
_EVERYBODY_EVERY_S: Final = 10
_TIMED_EVERY_S: Final = 14
"""Seconds between batches whose CPU time is measured. They include batches with and without re-matching in
the same proportion as all batches."""


class EvaluationStep(NamedTuple):
    """A decided batch."""

    at_s: int
    """City time."""
    events: list[AnyEvent]
    cpu_ms: float | None
    """CPU time of the decision; measured for some of the batches in which the policy decides, else None."""


class VirtualCity:
    """One run of one policy. Iterate over `steps` to run it."""

    def __init__(
        self,
        streets: Streets,
        setting: Scenario,
        policy: str,
        seed: int,
        *,
        test_half: int = 1,
        tuning: Tuning | None = None,
        is_live: bool = False,
    ) -> None:
        """`is_live`: it opens as a live city does, with the live city's riders, instead of the warm start."""
        behavior = setting.behavior()
        roads = streets.roads
        self.setting = setting
        self.decision_config = DecisionConfig(
            policy=policy,
            limits=DecisionLimits(patience_ms=setting.patience_s * 1000),
            tuning=tuning or Tuning(),
            speed=setting.speed,
        )
        self.city, self.newest = CityState(), NewestFixes()
        homes = Fleet.home_spots(streets, setting.drivers, seed)
        opening, trips = Opening(), list[warm_start.WarmStartTrip]()
        self.riders: Riders
        if is_live:
            rate_per_s = setting.load * behavior.requests_per_driver_s * setting.drivers
            self.riders = Riders(roads, streets.demand, behavior, seed=seed, rate_per_s=rate_per_s)
            opening = opening_of(streets, self.riders, behavior, homes, seed=seed, now_ms=START_MS)
            spots = opening.spots(homes)
        else:
            self.riders = TestRiders(roads, streets.demand.half(test_half), behavior, setting, seed)
            trips = warm_start.trips_under_way(roads, self.riders, setting.drivers)
            spots = warm_start.spots(homes, trips)
        self.fleet = Fleet(streets, behavior, seed, spots)
        self.fleet.stepped_ms[:] = START_MS
        drivers = Drivers(behavior, seed, setting.drivers)
        self.world = World(self.city, roads, self.fleet, drivers, self.riders, behavior, opening)
        self._seen = np.full((3, setting.drivers), np.nan)
        self.roads = roads
        self._interval_ms = self.decision_config.limits.policy_interval_ms
        self._commands = self._locations = 0
        self._open(list(warm_start.events(trips)))

    def _open(self, events: list[AnyEvent]) -> None:
        self.world.hear(events, START_MS)

    def steps(self) -> Iterator[EvaluationStep | None]:
        """Run the city second by second (city time). Yields the decided batch, or None if none was due.

        A driver moves once a second of the clock, as in the live city.
        """
        said: list[AnyCommand] = []
        for second in range(self.setting.lasts_s):
            now_ms = START_MS + second * 1000 // self.setting.speed
            self.world.tick(second, now_ms)
            said += self.world.take_commands()
            is_due = now_ms % self._interval_ms == 0
            if is_due or any(isinstance(command, URGENT) for command in said):
                yield self._decide(second, now_ms, said, is_due=is_due)
                said = []
            else:
                yield None

    def _decide(self, second: int, now_ms: int, said: list[AnyCommand], *, is_due: bool) -> EvaluationStep:
        if is_due:
            self._see(second, now_ms)
        self._commands += len(said)
        batch_input = BatchInput(
            commands=tuple(ReadCommand(command, now_ms, _TRACE) for command in said),
            commands_offset=self._commands,
            locations_offset=self._locations,
            heard_ms=now_ms,
            epoch_to_begin=None if self.city.epoch else EpochToBegin("0" * 16, "birth"),
        )
        is_timed = is_due and second % _TIMED_EVERY_S == 0  # reading the clock is slow on some systems
        began_s = time.thread_time() if is_timed else 0.0
        decided = decide(self.city, self.newest, batch_input, self.roads, self.decision_config)
        cpu_ms = (time.thread_time() - began_s) * 1000 if is_timed else None
        events = [one.event for one in decided]
        self.world.react(events, [driver for event in events for driver in _drivers(event)], now_ms)
        return EvaluationStep(second, events, cpu_ms)

    def _see(self, second: int, now_ms: int) -> None:
        """Update the newest positions of drivers whose place may matter for this batch."""
        fleet = self.fleet
        rows = np.arange(len(fleet))
        place = np.array((fleet.arc, fleet.share, fleet.side_m))
        if second % _EVERYBODY_EVERY_S:
            fetching = [r.driver for r in self.city.by_state[RideState.ASSIGNED].values() if r.driver]
            rows = np.append(self.world.idle_rows, np.array(fetching, np.intp) - 1)
            rows = rows[(place[:, rows] != self._seen[:, rows]).any(axis=0)]
        self._seen[:, rows] = place[:, rows]
        sight = self.fleet.see(rows)
        lng, lat = np.round(sight.points, 6).T.tolist()
        heading = np.round(sight.heading).astype(np.int64).tolist()
        offsets = range(self._locations + 1, self._locations + len(rows) + 1)
        seen = map(NewestFix, repeat(now_ms), offsets, repeat(now_ms), lng, lat, heading)
        self.newest.drivers.update(zip((rows + 1).tolist(), seen, strict=True))
        self._locations += len(rows)
        self.newest.heard_ms = now_ms


def _drivers(event: AnyEvent) -> list[int]:
    """The drivers in an event."""
    named = (getattr(event, "driver", None), getattr(event, "from_driver", None))
    return [driver for driver in named if driver is not None]


def tuned(**changes: int) -> Tuning:
    """The default tuning with these changes. Raises TypeError for an unknown field."""
    return msgspec.structs.replace(Tuning(), **changes)
