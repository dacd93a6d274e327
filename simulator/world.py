# SPDX-License-Identifier: Apache-2.0
"""The world: cars that move, and people who act on what the log says.

It has no memory of its own beside where the cars are. What a driver does is worked out from the city's
state (`settle`) whenever an event touches the driver, and after a restart for everybody: there is one path.
A driver's next report is made only when the log has the one before, so reports never overtake.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from heapq import heappop, heappush
from typing import Final, TypeAlias

import numpy as np

from simulator.draws import Floats
from simulator.drivers import BREAK, Drivers, OfferAnswer
from simulator.fleet import Fleet, Mode, Rows
from simulator.opening import Opening
from simulator.riders import Riders
from simulator.scenario_effects import ScenarioEffects
from simulator.settings import CityBehavior
from simulator.streets import Bools
from taxi.messages import (
    AnswerOffer,
    AnyCommand,
    AnyEvent,
    GoOffline,
    GoOnline,
    Place,
    ReportProgress,
    RideRequested,
)
from taxi.messages.states import RideState
from taxi.roads.network import RoadNetwork
from taxi.state import CityState, Ride


class RideStage(IntEnum):
    """How far a driver has really come with a ride; the log follows."""

    TO_PICKUP = 0
    BOARDING = 1
    TO_DROPOFF = 2
    ALIGHTING = 3
    DONE = 4


_STAGE_OF: Final = {
    RideState.ASSIGNED: RideStage.TO_PICKUP,
    RideState.ARRIVED: RideStage.BOARDING,
    RideState.ON_TRIP: RideStage.TO_DROPOFF,
}
_REPORTS: Final = {
    RideState.ASSIGNED: (RideStage.BOARDING, "arrived"),
    RideState.ARRIVED: (RideStage.TO_DROPOFF, "picked_up"),
    RideState.ON_TRIP: (RideStage.DONE, "dropped_off"),
}
"""State on the log → how far the driver must have come to report what is next."""


_OPENS_MS: Final = 15_000
"""How long a taxi waits beside its rider when a city opens, if another one is given the ride. In log time,
because it waits for the dispatcher."""

_NO_TAXI_YET: Final = (RideState.REQUESTED, RideState.OFFERED, RideState.ASSIGNED)


@dataclass(slots=True)
class Job:
    """The one ride that a driver is on."""

    ride: str
    attempt: int
    stage: RideStage


@dataclass(frozen=True, slots=True, order=True)
class RiderGivesUp:
    """A rider without a taxi cancels."""

    ride: str

    @property
    def order(self) -> tuple[int, str, int, int]:
        """Before the timers of drivers that end at the same time."""
        return -1, self.ride, 0, 0


@dataclass(frozen=True, slots=True, order=True)
class OrderRefused:
    """A driver refuses a ride that was given by order."""

    row: int
    ride: str
    attempt: int

    @property
    def order(self) -> tuple[int, str, int, int]:
        """Among timers that end at the same time."""
        return self.row, self.ride, self.attempt, -2


@dataclass(frozen=True, slots=True, order=True)
class OfferAnswered:
    """A driver answers an offer."""

    row: int
    ride: str
    attempt: int

    @property
    def order(self) -> tuple[int, str, int, int]:
        """Among timers that end at the same time."""
        return self.row, self.ride, self.attempt, -1


@dataclass(frozen=True, slots=True, order=True)
class StageEnds:
    """A driver has waited long enough at a pickup or a drop-off."""

    row: int
    ride: str
    attempt: int
    stage: RideStage

    @property
    def order(self) -> tuple[int, str, int, int]:
        """Among timers that end at the same time."""
        return self.row, self.ride, self.attempt, self.stage


Timer: TypeAlias = RiderGivesUp | OrderRefused | OfferAnswered | StageEnds


class World:
    """Drivers 1 … n and the riders of one city. No draw is a sequence.

    Callers pass log time. Everything in here happens in city time, which the state derives from it: how fast
    people live is said by the log alone.
    """

    def __init__(
        self,
        state: CityState,
        roads: RoadNetwork,
        fleet: Fleet,
        drivers: Drivers,
        riders: Riders,
        behavior: CityBehavior,
        opening: Opening | None = None,
        scenarios: ScenarioEffects | None = None,
    ) -> None:
        self.state = state
        self.fleet = fleet
        self._roads = roads
        self._drivers = drivers
        self._riders = riders
        self._look_back_ms = int(behavior.look_back_s * 1000)
        self._no_show_ms = int(behavior.no_show_s * 1000)
        self._cruises = behavior.cruises
        self._rest_ms = int(behavior.park_s[1] * 1000)
        self._jobs: dict[int, Job] = {}
        self._offers: dict[int, tuple[str, int]] = {}
        self._sent_until_ms: dict[int, int] = {}
        """Row → the deadline of the last drive it was asked to make while idle: each is made once."""
        self._online = np.zeros(len(fleet), bool)
        self._busy = np.zeros(len(fleet), bool)
        self._missing = np.ones(len(fleet), bool)
        self._asked: dict[int, str] = {}
        self._timers: list[tuple[int, tuple[int, str, int, int], Timer]] = []
        """A heap of (when it ends in city time, ms; its order among those of the same time; the timer)."""
        self._rides_until_ms: int | None = None
        self._turns = behavior.ticks_per_s
        self._asks_most = len(fleet) // (2 * self._turns) + 1
        self._commands: list[AnyCommand] = []
        self.scenarios = scenarios
        """What scenarios do; None: nothing."""
        self._opened = opening or Opening()
        self._to_open = {one.row: one for one in self._opened.rides}
        """Row → the ride that somebody beside this taxi asks for as soon as it is online."""

    # --- what the log says ------------------------------------------------------------------------

    def hear(self, events: Iterable[AnyEvent], now_ms: int) -> None:
        """Fold a batch, then let those that it touched react. Raises IllegalTransitionError.

        `now_ms`, here and below: log time.
        """
        events = list(events)
        self.react(events, [driver for event in events for driver in self.state.apply(event).drivers], now_ms)

    def react(self, events: Iterable[AnyEvent], touched: Iterable[int], now_ms: int) -> None:
        """The same, for events that are in the state already, and the drivers that they touched."""
        for event in events:
            if isinstance(event, RideRequested):
                self._expect(self.state.rides[event.ride])
        city_ms = self.state.time.at(now_ms)
        for driver in dict.fromkeys(touched):
            self._settle(driver, city_ms)

    def settle_all(self, now_ms: int) -> None:
        """After a restart: bring everybody to what the state says."""
        city_ms = self.state.time.at(now_ms)
        for row in range(len(self.fleet)):
            self._settle(row + 1, city_ms)
        for ride in self.state.rides.values():
            self._expect(ride)

    def settle(self, driver: int, now_ms: int) -> None:
        """Bring one driver to what the state says; harmless at any moment, in any order."""
        self._settle(driver, self.state.time.at(now_ms))

    # From here on, times are city time, but for those in the state.

    def _settle(self, driver: int, now_ms: int) -> None:
        row = driver - 1
        if not 0 <= row < len(self.fleet):
            return
        known, ride = self.state.drivers.get(driver), self.state.ride_of(driver)
        self._online[row] = known is not None and known.on_shift and not known.leaving
        self._busy[row] = ride is not None
        if ride is not None and ride.state in _STAGE_OF:
            self._work(row, ride, now_ms)
            return
        if self._jobs.pop(row, None) is not None:
            self._idle(row)
        if ride is not None and ride.state is RideState.OFFERED:
            self._consider(row, ride, now_ms)
        else:
            self._offers.pop(row, None)
        if not self._online[row]:
            self.fleet.stand(row)
        elif row in self._to_open:
            self.fleet.park(row, now_ms + _OPENS_MS * self.state.time.speed)
        else:
            self._go_ahead(row, now_ms)
            if self.fleet.mode[row] == Mode.STAND:
                self._idle(row)

    def _idle(self, row: int) -> None:
        """Without a ride: wander about, or wait here."""
        if self._cruises:
            self.fleet.cruise(row)
        else:
            self.fleet.stand(row)

    def _go_ahead(self, row: int, now_ms: int) -> None:
        """Idle, and asked to drive to where riders are expected: there it waits for one."""
        driver = self.state.drivers[row + 1]
        if driver.bound_for is None or self.state.time.at(driver.bound_until_ms) <= now_ms:
            return
        if self._sent_until_ms.get(row) != driver.bound_until_ms:
            self._sent_until_ms[row] = driver.bound_until_ms
            self.fleet.send(row, self._node(driver.bound_for))

    def _expect(self, ride: Ride) -> None:
        """A rider waits: note when the impatient ones give up."""
        cancels = self._riders.cancels(ride.ride, self.state.time.at(ride.requested_ms))
        if cancels is not None and ride.state in _NO_TAXI_YET:
            self._start(cancels[0], RiderGivesUp(ride.ride))

    def _consider(self, row: int, ride: Ride, now_ms: int) -> None:
        """An offer: the answer comes later, or never."""
        offer = (ride.ride, ride.attempt)
        if self._offers.get(row) == offer:
            return
        self._offers[row] = offer
        answer = self._answer_to(*offer)
        if answer is not None:
            self._start(now_ms + answer.after_ms, OfferAnswered(row, *offer))

    def _answer_to(self, ride: str, attempt: int) -> OfferAnswer | None:
        """None: the driver says nothing."""
        return self._opened.answer(ride, attempt) or self._drivers.answer(ride, attempt)

    def _work(self, row: int, ride: Ride, now_ms: int) -> None:
        """A ride of one's own: begin at the state on the log, or go on; never back to where one has been."""
        job, logged = self._jobs.get(row), _STAGE_OF[ride.state]
        if job is None or (job.ride, job.attempt) != (ride.ride, ride.attempt):
            job = self._jobs[row] = Job(ride.ride, ride.attempt, logged)
            self._enter(row, job, ride, now_ms)
            self._think_over(row, ride)
        elif job.stage < logged:
            job.stage = logged
            self._enter(row, job, ride, now_ms)
        self._report(row, job, ride)

    def _think_over(self, row: int, ride: Ride) -> None:
        """A ride that was given by order may be refused, soon or never."""
        after_ms = self._drivers.refuses(ride.ride, ride.attempt) if ride.ordered else None
        if after_ms is not None and ride.state is RideState.ASSIGNED:
            since_ms = self.state.time.at(ride.driver_since_ms)
            self._start(since_ms + after_ms, OrderRefused(row, ride.ride, ride.attempt))

    # --- what drivers do --------------------------------------------------------------------------

    def _enter(self, row: int, job: Job, ride: Ride, now_ms: int) -> None:
        """Begin a stage of a ride."""
        match job.stage:
            case RideStage.TO_PICKUP:
                self.fleet.send(row, self._node(ride.pickup))
            case RideStage.TO_DROPOFF:
                self.fleet.send(row, self._node(ride.dropoff))
            case RideStage.BOARDING:
                self.fleet.stand(row)
                comes = self._riders.comes(ride.ride)
                boards_ms = self._opened.boards_ms(ride.ride) or self._riders.boarding_ms(ride.ride)
                wait_ms = boards_ms if comes else self._no_show_ms
                since_ms = self.state.time.at(ride.arrived_ms) if ride.arrived_ms else now_ms
                self._start(since_ms + wait_ms, StageEnds(row, job.ride, job.attempt, job.stage))
            case RideStage.ALIGHTING:
                alights_ms = self._opened.alights_ms(ride.ride) or self._riders.alighting_ms(ride.ride)
                self._start(now_ms + alights_ms, StageEnds(row, job.ride, job.attempt, job.stage))
            case RideStage.DONE:
                pass

    def _start(self, due_ms: int, timer: Timer) -> None:
        heappush(self._timers, (due_ms, timer.order, timer))

    def _advance(self, row: int, now_ms: int) -> None:
        """The driver has come a stage further."""
        job = self._jobs.get(row)
        ride = self.state.rides.get(job.ride) if job else None
        if job is None or ride is None:
            if self._cruises:
                self.fleet.park(row, now_ms + self._rest_ms)
            return
        if job.stage is RideStage.BOARDING and not self._riders.comes(job.ride):
            self._say(row, job, "no_show")
            return
        job.stage = RideStage(job.stage + 1)
        self._enter(row, job, ride, now_ms)
        self._report(row, job, ride)

    def _report(self, row: int, job: Job, ride: Ride) -> None:
        """Tell the log the next thing that it does not know yet."""
        reached, name = _REPORTS[ride.state]
        if job.stage >= reached:
            self._say(row, job, name)

    def _say(self, row: int, job: Job, stage: str) -> None:
        self._commands.append(
            ReportProgress(
                command_id=f"{row + 1}:{job.ride}:{job.attempt}:{stage}",
                driver=row + 1,
                ride=job.ride,
                attempt=job.attempt,
                stage=stage,
            )
        )

    def _node(self, place: Place) -> int:
        return self._roads.nearest_node(*place)[0]

    # --- time -------------------------------------------------------------------------------------

    def tick(self, count: int, now_ms: int) -> Rows:
        """Move those whose turn it is to now, and let everybody do what is due; the rows that moved."""
        return self._tick(count, self.state.time.at(now_ms))

    def _tick(self, count: int, now_ms: int) -> Rows:
        self.fleet.speed = self.state.time.speed
        if self.scenarios is not None:
            self.scenarios.follow(self.state)
            self.fleet.drive_percent = self.scenarios.drive_percent(now_ms)
        rows = np.arange(count % self._turns, len(self.fleet), self._turns)
        for row in self.fleet.step(rows, now_ms).tolist():
            self._advance(row, now_ms)
        while self._timers and self._timers[0][0] <= now_ms:
            self._end(heappop(self._timers)[-1], now_ms)
        self._change_shifts(rows, now_ms)
        self._request_rides(now_ms)
        if self._to_open:
            self._open(rows)
        return rows

    def is_silent(self, points: Floats, now_ms: int) -> Bools:
        """At which of `points` (n, 2), in degrees, a taxi's position is not sent."""
        if self.scenarios is None:
            return np.zeros(len(points), np.bool_)
        return self.scenarios.silent(points, self.state.time.at(now_ms))

    def take_commands(self) -> list[AnyCommand]:
        """What people have said since the last call, but for what the log has answered already."""
        said, self._commands = self._commands, []
        return [command for command in said if command.command_id not in self.state.commands]

    def job_of(self, driver: int) -> Job | None:
        """The ride that a driver is really on."""
        return self._jobs.get(driver - 1)

    @property
    def idle_rows(self) -> Rows:
        """Of drivers on shift without a ride, ascending."""
        return np.flatnonzero(self._online & ~self._busy)

    @property
    def missing(self) -> int:
        """Drivers on shift who are not online as far as the log says."""
        return int(self._missing.sum())

    def _end(self, timer: Timer, now_ms: int) -> None:
        """What follows when a timer ends, if things are still as they were when it started."""
        match timer:
            case RiderGivesUp():
                self._give_up(timer.ride, now_ms)
            case OfferAnswered():
                self._answer(timer.row, timer.ride, timer.attempt)
            case OrderRefused():
                self._refuse(timer.row, timer.ride, timer.attempt)
            case StageEnds():
                if self._jobs.get(timer.row) == Job(timer.ride, timer.attempt, timer.stage):
                    self._advance(timer.row, now_ms)

    def _answer(self, row: int, ride: str, attempt: int) -> None:
        """Answer, if the offer is still open."""
        answer = self._answer_to(ride, attempt)
        if answer is None or self._offers.get(row) != (ride, attempt):
            return
        self._commands.append(
            AnswerOffer(
                command_id=f"{row + 1}:{ride}:{attempt}:{'accept' if answer.accept else 'decline'}",
                driver=row + 1,
                ride=ride,
                attempt=attempt,
                accept=answer.accept,
            )
        )

    def _refuse(self, row: int, ride: str, attempt: int) -> None:
        """Refuse an order, if it still holds and the pickup is not reached."""
        if self._jobs.get(row) == Job(ride, attempt, RideStage.TO_PICKUP):
            self._commands.append(
                AnswerOffer(
                    command_id=f"{row + 1}:{ride}:{attempt}:refuse",
                    driver=row + 1,
                    ride=ride,
                    attempt=attempt,
                    accept=False,
                )
            )

    def _give_up(self, ride: str, now_ms: int) -> None:
        """An impatient rider still sees no taxi."""
        known = self.state.rides.get(ride)
        if known is None or known.state not in _NO_TAXI_YET:
            return
        cancels = self._riders.cancels(ride, now_ms)
        if cancels is not None:
            self._commands.append(cancels[1])

    def _change_shifts(self, rows: Rows, now_ms: int) -> None:
        """Ask for what is not so yet: online on shift, offline on a break (once a ride is over)."""
        parts, online = self._drivers.shift_part(rows, now_ms), self._online[rows]
        changed_ms = 0
        if self.scenarios is not None:
            parts[self.scenarios.on_strike(rows, now_ms)] = BREAK
            changed_ms = self.scenarios.changed_ms
        works = parts != BREAK
        self._missing[rows] = works & ~online
        requests = np.where(works, ~online, online & ~self._busy[rows])
        asked = 0
        for row, part in zip(rows[requests].tolist(), parts[requests].tolist(), strict=True):
            change: type[GoOnline | GoOffline] = GoOffline if part == BREAK else GoOnline
            name = f"{row + 1}:{self._drivers.shift_name(part, now_ms, changed_ms)}:{change.__name__}"
            if self._asked.get(row) != name and asked < self._asks_most:
                self._asked[row] = name
                self._commands.append(change(command_id=name, driver=row + 1))
                asked += 1

    def _request_rides(self, now_ms: int) -> None:
        """Riders who come forward now; of a longer pause only those of the last seconds."""
        look_back_ms = self._look_back_ms * self.state.time.speed
        since_ms = max(self._rides_until_ms or 0, now_ms - look_back_ms)
        self._rides_until_ms = now_ms
        requests = self._riders.requests(since_ms, now_ms)
        if self.scenarios is not None:
            requests = self._riders.with_excess(requests, since_ms, now_ms, self.scenarios)
        self._commands += requests

    def _open(self, rows: Rows) -> None:
        """A new city: riders beside the taxis that have come online ask for rides."""
        for row in rows[self._online[rows]].tolist():
            opened = self._to_open.pop(row, None)
            if opened is None or self._busy[row] or opened.ride in self.state.rides:
                continue
            next_node = int(self._roads.arc_to[self.fleet.arc[row]])
            request = opened.request(self._roads, next_node)
            if request is not None:
                self._commands.append(request)
