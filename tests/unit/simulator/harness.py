# SPDX-License-Identifier: Apache-2.0
"""The real shell against a memory broker and an obliging dispatcher, in virtual time."""

import asyncio
from typing import Any

from msgspec import structs

from simulator.settings import CityBehavior, Settings
from simulator.shell import main
from simulator.streets import Streets
from taxi import topics
from taxi.bus import Outgoing
from taxi.bus.memory.bus import MemoryLimits
from taxi.messages import AnyCommand, Fix
from taxi.messages.codec import decode, encode
from testing.memory_world import MemoryWorld, Spy
from testing.simulator_obliging import Obliging
from testing.simulator_worlds import QUICK, START_MS
from testing.virtual_time import Node, SimTask

LIMITS = MemoryLimits(give_up_s=1.0, request_s=0.3, end_transaction_s=0.2)


class SimulatorHarness(MemoryWorld):
    """A broker, a dispatcher, and simulators that can be killed."""

    def __init__(self, streets: Streets, seed: int = 1, *, drivers: int = 8, load: float = 5.0) -> None:
        super().__init__(seed, start_ms=START_MS, limits=LIMITS, look_every_s=0.1)
        self.streets = streets
        self.settings = Settings(drivers=drivers, load=load, seed=seed)
        self.dispatcher = Obliging()
        self.heard: list[AnyCommand] = []
        """Every command as written, repeats included."""
        self._births = 0

    def start(self, behavior: CityBehavior = QUICK, *, gps_noise: bool = False) -> tuple[Node, Spy, SimTask]:
        """A simulator, as the first or the next process."""
        self._births += 1
        return self.spawn(
            f"simulator {self._births}",
            structs.replace(self.settings, gps_noise=gps_noise),
            "0" * 16,
            lambda env: main(env, roads=self.streets.roads, demand=self.streets.demand, behavior=behavior),
        )

    def configure(self, **fields: Any) -> None:
        """Settings of the simulators that start from now on."""
        self.settings = structs.replace(self.settings, **fields)

    def say(self, command: AnyCommand) -> None:
        """A command of somebody else."""
        place = self.broker.partition(topics.COMMANDS, 0)
        place.append([Outgoing(None, encode(command))], self.now_ms())

    async def dispatch(self) -> None:
        """A batch each second, for ever, at the broker's side: what goes wrong hits the simulator alone.

        A batch arrives in two pieces, so that readers see half of one.
        """
        commands, events = (self.broker.partition(name, 0) for name in (topics.COMMANDS, topics.EVENTS))
        offset = 0
        while True:
            fetched = commands.fetch(offset, 10_000, committed=False)
            offset = fetched.next_offset
            said = [decode(topics.COMMANDS, record) for record in fetched.records]
            self.heard += said
            batch = [Outgoing(None, encode(e)) for e in self.dispatcher.decide(said, self.now_ms())]
            events.append(batch[: len(batch) // 2], self.now_ms())
            await asyncio.sleep(0.3)
            events.append(batch[len(batch) // 2 :], self.now_ms())
            await asyncio.sleep(0.7)

    def fixes(self) -> list[Fix]:
        """Every fix on the log."""
        place = self.broker.partition(topics.LOCATIONS, 0)
        records = place.fetch(0, 10**6, committed=False).records
        return [decode(topics.LOCATIONS, record) for record in records]

    async def sleep_until(self, at_s: float) -> None:
        """Let the world go on until this time of the loop."""
        await asyncio.sleep(at_s - self.loop.now)
