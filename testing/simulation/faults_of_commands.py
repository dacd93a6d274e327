# SPDX-License-Identifier: Apache-2.0
"""Faults of those who ask: far too much at once, and things in the wrong order."""

import asyncio
import itertools
import random

from taxi import messages as m
from taxi import topics
from taxi.bus import Outgoing
from taxi.messages import codec
from taxi.scenarios import load_plans
from testing.simulation.faults_of_processes import ProcessFaults
from testing.simulation.scale import SCENARIOS_DIR, city
from testing.simulation.world import DISPATCHERS, World

MANY = (300, 450)
"""Commands at once: to decide them in one go takes longer than a session (scale.DECIDE_S)."""
FLOODS_MAX = 3
"""In one world: a dispatcher here decides some 60 commands a second, and must catch up before the end."""
RIDES_AMONG = 8
SCENARIOS_SHARE = 0.5
"""Of worlds in which there are scenarios."""
SCENARIO_PAUSE_S = 5.0
"""Mean time between two of them."""
UNKNOWN_DRIVER = 2_000_001
"""The number of the first unknown driver."""


class CommandFaults(ProcessFaults):
    """Floods, and riders in a hurry."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._serial = itertools.count(1)
        self._floods = 0

    async def backlog(self) -> None:
        """No dispatcher decides while many commands come."""
        if self._floods == FLOODS_MAX:
            return
        async with asyncio.TaskGroup() as killed:
            for name in DISPATCHERS:
                killed.create_task(self._kill_now(name))
            await asyncio.sleep(self.random.random())
            self._flood()

    async def flood(self) -> None:
        """Write many commands at once."""
        self._flood()

    def _flood(self) -> None:
        if self._floods == FLOODS_MAX:
            return
        self._floods += 1
        where = self.random.randrange(len(self.world.cities))
        count = self.random.randrange(*MANY)
        self.world.tell("somebody", "floods", city=where, commands=count)
        commands: list[m.Command] = [
            m.GoOffline(command_id=f"flood-{serial}", driver=UNKNOWN_DRIVER + serial)
            for serial in itertools.islice(self._serial, count)
        ]
        for _ in range(RIDES_AMONG):
            commands.insert(
                self.random.randrange(len(commands)), self._request(where, f"flood-{self._new()}")
            )
        self._say(where, *commands)

    async def hasty_rider(self) -> None:
        """Cancels before the request is there, and again later, under the same id."""
        where, ride = self.random.randrange(len(self.world.cities)), f"hasty-{self._new()}"
        cancel = m.CancelRide(command_id=f"{ride}:cancel", ride=ride)
        self._say(where, cancel)
        await asyncio.sleep(self._brief(3.0))
        self._say(where, self._request(where, ride))
        await asyncio.sleep(self._brief(5.0))
        self._say(where, cancel)

    async def hold_scenarios(self) -> None:
        """In some worlds one scenario after the other begins; some are stopped before their time."""
        world, chance = self.world, random.Random(f"scenarios {self.world.seed}")
        if chance.random() >= self._share("hold_scenarios", SCENARIOS_SHARE):
            return
        plans = load_plans(SCENARIOS_DIR)
        while True:
            await asyncio.sleep(chance.expovariate(1 / SCENARIO_PAUSE_S))
            where, name = chance.randrange(len(world.cities)), chance.choice(sorted(plans))
            serial = self._new()
            world.tell("nemesis", "starts a scenario", scenario=name, city=where)
            self._say(where, plans[name].start(name, world.cities[where], f"scenario-{serial}"))
            if chance.random() < 0.5:
                await asyncio.sleep(chance.uniform(0.5, 6.0))
                self._say(where, m.StopScenario(command_id=f"scenario-{serial}-stop", scenario=name))

    def _new(self) -> int:
        return next(self._serial)

    def _request(self, where: int, ride: str) -> m.RequestRide:
        roads, _ = city(self.world.cities[where])
        pickup, dropoff = self.random.sample(range(roads.n_nodes), 2)
        return m.RequestRide(
            command_id=f"{ride}:request",
            ride=ride,
            rider=ride,
            pickup=roads.place(pickup),
            dropoff=roads.place(dropoff),
        )

    def _say(self, where: int, *commands: m.Command) -> None:
        records = [Outgoing(None, codec.encode(command)) for command in commands]
        self.world.broker.partition(topics.COMMANDS, where).append(records, self.world.now_ms())
