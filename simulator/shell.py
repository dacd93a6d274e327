# SPDX-License-Identifier: Apache-2.0
"""Runs the world against the log: positions and commands out, events in.

Three loops: `_drive` moves a tenth of the drivers ten times a second and publishes where they are; `_speak`
sends commands until they are answered; `_listen` folds events and lets people react. Each waits out a broker
that is away.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Final, NoReturn

import numpy as np

from simulator.event_log import EventLog
from simulator.fleet import FleetPositions, Rows
from simulator.gps import GpsDevices
from simulator.health import SimulatorReadiness
from simulator.outbox import Outbox
from simulator.positions_rate import PositionsRate
from simulator.records import asked_at, command_record, fix_records
from simulator.recovery import recover
from simulator.sender_clock import SenderClock
from simulator.settings import CityBehavior, Settings
from simulator.streets import Streets
from simulator.world import World
from taxi import topics
from taxi.bus import OffsetOutOfRange, Outgoing, Producer, Unavailable
from taxi.messages import (
    AnyCommand,
    AnyEvent,
    CommandRejected,
    RideCancelled,
    RideExpired,
    RideNoShow,
    RideOffered,
    TripCompleted,
    subject_of,
    tag_of,
)
from taxi.roads.network import RoadNetwork, TripDemand
from taxi.runtime import tracing
from taxi.runtime.city_on_log import is_another_city, wait_while_another_city
from taxi.runtime.env import Env
from taxi.runtime.held_back import HeldBack, check_held_back
from taxi.scenarios import plan_of
from taxi.state import IllegalTransitionError
from taxi.state.batches import Batch, LogGapError

METRICS: Final = {
    "simulator_fixes_total": "Position fixes published.",
    "simulator_positions_per_driver": "Positions a second of each driver, over the last 10 s; 1 is intended.",
    "simulator_speed": "How many times as fast as the clock people live, as the log says.",
    "simulator_commands_total": "Commands sent, repeats included.",
    "simulator_commands_unanswered": "Commands that no event has answered yet.",
    "simulator_commands_given_up": "Commands that nothing ever answered.",
    "simulator_broker_failures_total": "Calls that the broker did not answer.",
    "simulator_undecodable_total": "Records that could not be read.",
    "simulator_passed_over_total": "Events of other producers than the city's dispatcher.",
}
_FETCH_MS: Final = 100
_START_OVER_S: Final = 1.0
_COMMANDS_AT_ONCE: Final = 500
_SEEN_FIRST: Final = 10
_SCENARIOS_ASKED_MS_MAX: Final = 600_000
"""By the clock: a simulator that starts later than this does not start the scenarios of its settings."""


async def main(
    env: Env[Settings],
    *,
    roads: RoadNetwork | None = None,
    demand: TripDemand | None = None,
    behavior: CityBehavior | None = None,
) -> None:
    """Run until cancelled. `roads`, `demand`, `behavior`: those of another world than the settings name."""
    city, name = env.settings.own().folder, env.settings.own().name
    if roads is not None:
        name = roads.city.name
    streets = Streets((roads or RoadNetwork.load(city)).prepare(), demand or TripDemand.load(city))
    clock = SenderClock(env)
    while True:
        shell = Shell(env, streets, behavior or CityBehavior(), clock, name)
        try:
            await shell.run()
        except* (OffsetOutOfRange, LogGapError) as errors:
            env.log.warning("the log is not the one it was: starting over", reason=str(errors.exceptions[0]))
            await asyncio.sleep(_START_OVER_S)


class Shell:
    """One life of the simulator between two recoveries."""

    def __init__(
        self, env: Env[Settings], streets: Streets, behavior: CityBehavior, clock: SenderClock, city: str
    ) -> None:
        self._env = env
        self._city = city
        """Its name on the log."""
        self._clock = clock
        self._partition = env.settings.own().partition
        self._streets = streets
        self._behavior = behavior
        self._tick_s = 1 / behavior.ticks_per_s
        self._pulse = SimulatorReadiness(env, ("fixes", "commands", "events", "drivers"))
        self._positions_rate = PositionsRate(env, behavior.ticks_per_s, env.settings.drivers)
        plane = streets.roads.plane
        self._gps = GpsDevices(env.settings.seed, plane) if env.settings.gps_noise else None
        self._outbox = Outbox(int(behavior.resend_s * 1000))
        self._traces: dict[str, tracing.Trace] = {}

    async def run(self) -> None:
        """Recover, then run the three loops."""
        self._world, self._events = await self._recover()
        self._clock.shift_ms = self._world.state.shift_ms
        async with AsyncExitStack() as opened:
            opened.push_async_callback(self._events.close)
            fixes = await self._env.bus.producer(acks="leader")
            opened.push_async_callback(fixes.close)
            commands = await self._env.bus.producer(acks="all")
            opened.push_async_callback(commands.close)
            held_back = HeldBack(
                self._env,
                topics.EVENTS,
                self._partition,
                self._events.reader,
                code="events_held_back",
                consequence="Drivers and riders do not react to what happens behind it until it ends",
                blocks=True,
            )
            await self._learn_the_time(fixes)
            self._start_scenarios()
            async with asyncio.TaskGroup() as loops:
                loops.create_task(check_held_back(held_back), name="held back")
                loops.create_task(self._drive(fixes), name="drive")
                loops.create_task(self._speak(commands), name="speak")
                loops.create_task(self._listen(), name="listen")

    async def _recover(self) -> tuple[World, EventLog]:
        while True:
            try:
                world, events = await recover(self._env, self._streets, self._behavior)
            except Unavailable as error:
                await self._pulse.wait_out("events", error)
                continue
            if not is_another_city(world.state.city, self._city):
                return world, events
            await self._wait_while_another_city(world.state.city, events)

    async def _wait_while_another_city(self, on_log: str, events: EventLog) -> None:
        """Send nothing, and report the fault, until the log is another one."""
        read_to = events.reader.position
        await events.close()
        await wait_while_another_city(
            self._env,
            self._partition,
            read_to,
            on_log=on_log,
            own=self._city,
            consequence=f"The simulator moves no driver of {self._city} and sends nothing",
        )

    async def _learn_the_time(self, producer: Producer) -> None:
        """Say where a few drivers are: the answer tells the broker's time. No car moves before."""
        loop = asyncio.get_running_loop()
        rows = np.arange(min(_SEEN_FIRST, len(self._world.fleet)))
        while True:
            asked_s = loop.time()
            records = fix_records(rows, self._world.fleet.see(rows), self._clock.device_ms())
            try:
                await producer.send(topics.LOCATIONS, self._partition, records)
            except Unavailable as error:
                await self._pulse.wait_out("fixes", error)
            else:
                self._clock.learn(asked_s, producer.append_ms)
                return

    # --- scenarios --------------------------------------------------------------------------------

    def _start_scenarios(self) -> None:
        """Ask for the scenarios of the settings, once: a repeat has the same id."""
        settings, now_ms = self._env.settings, self._clock.now_ms()
        asked_ms = settings.scenarios_asked_ms or now_ms
        if now_ms - asked_ms > _SCENARIOS_ASKED_MS_MAX:
            return
        plans, city = settings.plans(), settings.own().name
        for name in settings.scenario_names():
            command = plan_of(plans, name).start(name, city, f"scenario:{name}:{asked_ms}")
            if command.command_id not in self._world.state.commands:
                self._outbox.put(asked_at([command], asked_ms), now_ms)

    def _check_scenarios(self) -> None:
        """Report scenarios under way that this simulator does not know, because they have no effect."""
        scenarios = self._world.scenarios
        if scenarios is None or not scenarios.unknown:
            self._env.faults.clear("scenario_unknown")
            return
        text = (
            f"the log says that a scenario is under way that this simulator has no file of: "
            f"{', '.join(scenarios.unknown)}. It has no effect. Add the file to TAXI_SCENARIOS_DIR, or stop "
            "it with `taxi scenario stop`"
        )
        self._env.faults.report("scenario_unknown", text)

    # --- the city moves ---------------------------------------------------------------------------

    async def _drive(self, producer: Producer) -> NoReturn:
        """Ten times a second a tenth of the fleet. A late tick shifts those after it; none is made up for."""
        loop = asyncio.get_running_loop()
        due, count = loop.time(), 0
        while True:
            now_ms, device_ms = self._clock.now_ms(), self._clock.device_ms()
            rows = self._world.tick(count, now_ms)
            self._check_scenarios()
            self._outbox.put(asked_at(self._world.take_commands(), device_ms), now_ms)
            records = self._reports(rows, device_ms)
            asked_s = loop.time()
            try:
                await producer.send(topics.LOCATIONS, self._partition, records)
            except Unavailable as error:  # positions are lossy: the next ones say more
                self._positions_rate.interrupted()
                await self._pulse.wait_out("fixes", error)
            else:
                if records:
                    self._clock.learn(asked_s, producer.append_ms)
                self._positions_rate.published()
                self._published(len(records))
            count += 1
            due = max(due + self._tick_s, loop.time())
            await asyncio.sleep(due - loop.time())

    def _reports(self, rows: Rows, device_ms: int) -> list[Outgoing]:
        """What the cars of these rows send."""
        seen = self._world.fleet.see(rows)
        silent = self._world.is_silent(seen.points, self._clock.now_ms())
        if silent.any():
            rows, seen = rows[~silent], FleetPositions(*(column[~silent] for column in seen))
        if self._gps is None:
            return fix_records(rows, seen, device_ms)
        return fix_records(*self._gps.report(rows, seen, device_ms))

    def _published(self, fixes: int) -> None:
        self._env.metrics.count("simulator_fixes_total", fixes)
        self._pulse.working("fixes")
        if not self._world.missing:
            self._pulse.working("drivers")

    # --- people speak -----------------------------------------------------------------------------

    async def _speak(self, producer: Producer) -> NoReturn:
        """Send what is due. After an unknown outcome the same goes again: repeats are harmless."""
        while True:
            commands = self._outbox.due(self._clock.now_ms(), _COMMANDS_AT_ONCE)
            records = [command_record(command, self._traces.get(subject_of(command))) for command in commands]
            try:
                if records:
                    await producer.send(topics.COMMANDS, self._partition, records)
            except Unavailable as error:
                self._outbox.unsent(commands, self._clock.now_ms())
                await self._pulse.wait_out("commands", error)
            else:
                self._spoken(commands)
            await asyncio.sleep(self._tick_s)

    def _spoken(self, commands: list[AnyCommand]) -> None:
        for command in commands:
            self._env.metrics.count("simulator_commands_total", type=tag_of(command))
        self._env.metrics.gauge("simulator_commands_unanswered", len(self._outbox))
        self._env.metrics.gauge("simulator_commands_given_up", self._outbox.given_up)
        self._pulse.working("commands")

    # --- people listen ----------------------------------------------------------------------------

    async def _listen(self) -> NoReturn:
        """Fold events a whole batch at a time, and let everybody react to it."""
        while True:
            try:
                batches = await self._events.next(wait_ms=_FETCH_MS)
            except Unavailable as error:
                await self._pulse.wait_out("events", error)
                continue
            self._pulse.working("events")
            for batch in batches:
                self._react(batch)

    def _react(self, batch: Batch) -> None:
        """Raises LogGapError for a batch that is not legal or of another city, or if city time restarts."""
        state, now_ms = self._world.state, self._clock.now_ms()
        lived_ms = state.time.at(now_ms)
        try:
            self._world.hear((at.event for at in batch.events), now_ms)
        except (IllegalTransitionError, KeyError) as error:
            raise LogGapError(f"batch {batch.closed.batch} is not legal: {error}") from error
        if is_another_city(state.city, self._city):
            raise LogGapError(f"the log is that of the city {state.city!r}")
        if state.time.at(now_ms) < lived_ms:
            raise LogGapError("the city's events were lost, and its time starts over")
        self._clock.shift_ms = state.shift_ms
        self._env.metrics.gauge("simulator_speed", state.time.speed)
        for at in batch.events:
            event = at.event
            if event.command_id is not None and not _came_too_late(event):
                self._outbox.answered(event.command_id)
            if isinstance(event, RideOffered) and (trace := tracing.parse(at.headers)):
                self._traces[event.ride] = trace
            elif isinstance(event, TripCompleted | RideCancelled | RideExpired | RideNoShow):
                self._traces.pop(event.ride, None)


def _came_too_late(event: AnyEvent) -> bool:
    """Whether a command was refused for its age alone. It is sent again: the broker's clock may be wrong."""
    return isinstance(event, CommandRejected) and event.reason in {"too_old", "patience_over"}
