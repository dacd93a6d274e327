# SPDX-License-Identifier: Apache-2.0
"""A city in virtual time: the simulator's world and the dispatcher's core, second by second, nothing between.

Positions go straight into what the dispatcher knows, as a fix would: those that matter for a decision every
time, the others often enough that nobody is lost. All else is what the live city does.
"""

import time
from collections.abc import Iterator
from itertools import repeat
from typing import Final, NamedTuple

import msgspec
import numpy as np

from dispatcher.core import Mandate, decide
from dispatcher.cut import Cut, Epoch, ReadCommand
from dispatcher.inputs import URGENT
from dispatcher.limits import Limits
from dispatcher.policies.tuning import Tuning
from evaluate import opening
from evaluate.demand import TestRiders
from evaluate.setting import START_MS, Setting
from simulator.drivers import Drivers
from simulator.fleet import Fleet
from simulator.streets import Streets
from simulator.world import World
from taxi.city import CityState
from taxi.messages import AnyCommand, AnyEvent
from taxi.newest import NewestFixes, Seen
from taxi.runtime import tracing
from taxi.states import RideState

_TRACE: Final = tracing.root("evaluate")
_EVERYBODY_EVERY_S: Final = 10
_TIMED_EVERY_S: Final = 14
"""Among these are batches with and without re-matching, in the proportion of all."""


class Step(NamedTuple):
    """A batch that was decided."""

    at_s: int
    events: list[AnyEvent]
    cpu_ms: float | None
    """Of the decision, of some in which the policy had its turn."""


class VirtualCity:
    """One run. `steps` lets it live."""

    def __init__(
        self,
        streets: Streets,
        setting: Setting,
        policy: str,
        seed: int,
        *,
        test_half: int = 1,
        tuning: Tuning | None = None,
    ) -> None:
        habits = setting.habits()
        roads = streets.roads
        self.setting = setting
        self.mandate = Mandate(
            policy=policy, limits=Limits(patience_ms=setting.patience_s * 1000), tuning=tuning or Tuning()
        )
        self.city, self.newest = CityState(), NewestFixes()
        self.riders = TestRiders(roads, streets.demand.half(test_half), habits, setting, seed)
        trips = opening.trips_under_way(roads, self.riders, setting.drivers)
        homes = Fleet.home_spots(streets, setting.drivers, seed)
        self.fleet = Fleet(streets, habits, seed, opening.spots(homes, trips))
        self.fleet.stepped_ms[:] = START_MS
        drivers = Drivers(habits, seed, setting.drivers)
        self.world = World(self.city, roads, self.fleet, drivers, self.riders, habits)  # one fold for both
        self._seen = np.full((3, setting.drivers), np.nan)
        self.roads = roads
        self._interval_ms = self.mandate.limits.policy_interval_ms
        self._commands = self._locations = 0
        self._open(list(opening.events(trips)))

    def _open(self, events: list[AnyEvent]) -> None:
        self.world.hear(events, START_MS)

    def steps(self) -> Iterator[Step | None]:
        """Second by second: what was decided, None where nothing was."""
        said: list[AnyCommand] = []
        for second in range(self.setting.lasts_s):
            now_ms = START_MS + second * 1000
            self.world.tick(second, now_ms)
            said += self.world.take_commands()
            is_due = now_ms % self._interval_ms == 0
            if is_due or any(isinstance(command, URGENT) for command in said):
                yield self._decide(second, now_ms, said, is_due=is_due)
                said = []
            else:
                yield None

    def _decide(self, second: int, now_ms: int, said: list[AnyCommand], *, is_due: bool) -> Step:
        if is_due:
            self._see(second, now_ms)
        self._commands += len(said)
        cut = Cut(
            commands=tuple(ReadCommand(command, now_ms, _TRACE) for command in said),
            commands_offset=self._commands,
            locations_offset=self._locations,
            heard_ms=now_ms,
            epoch=None if self.city.epoch else Epoch("0" * 16, "birth"),
        )
        is_timed = is_due and second % _TIMED_EVERY_S == 0  # some systems make the clock dear
        began_s = time.thread_time() if is_timed else 0.0
        decided = decide(self.city, self.newest, cut, self.roads, self.mandate)
        cpu_ms = (time.thread_time() - began_s) * 1000 if is_timed else None
        events = [one.event for one in decided]
        self.world.react(events, [driver for event in events for driver in _drivers(event)], now_ms)
        return Step(second, events, cpu_ms)

    def _see(self, second: int, now_ms: int) -> None:
        """The newest fix of everybody whose place may matter, as the log would have it."""
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
        seen = map(Seen, repeat(now_ms), offsets, repeat(now_ms), lng, lat, heading)
        self.newest.drivers.update(zip((rows + 1).tolist(), seen, strict=True))
        self._locations += len(rows)
        self.newest.heard_ms = now_ms


def _drivers(event: AnyEvent) -> list[int]:
    """Whom an event is about."""
    named = (getattr(event, "driver", None), getattr(event, "from_driver", None))
    return [driver for driver in named if driver is not None]


def tuned(**changes: int) -> Tuning:
    """The default tuning, but for this. Raises TypeError for what there is not."""
    return msgspec.structs.replace(Tuning(), **changes)
