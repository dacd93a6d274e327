# SPDX-License-Identifier: Apache-2.0
"""The real shell against a memory broker, in virtual time. A test plays riders and drivers by hand."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from dispatcher.city_context import CityContext
from dispatcher.core import DecisionConfig
from dispatcher.settings import Settings
from dispatcher.shell import main
from taxi import messages as m
from taxi import topics
from taxi.bus import Outgoing, Record
from taxi.bus.memory.bus import MemoryLimits
from taxi.messages import codec
from taxi.runtime.env import Env, Offload, on_the_loop
from taxi.runtime.faults import Faults
from taxi.state import CityState
from taxi.state.batches import WholeBatches, producer_of
from testing.core_harness import GRID, START_MS, corner, online
from testing.memory_world import MemoryWorld, Spy
from testing.virtual_time import Node, SimTask

LIMITS = MemoryLimits(give_up_s=2.0, request_s=0.5, end_transaction_s=0.3)
END = 10**9


class DispatcherHarness(MemoryWorld):
    """A broker, and dispatchers that can be killed."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed, start_ms=START_MS, limits=LIMITS, look_every_s=0.02)
        self.dispatchers: list[tuple[Node, Spy, SimTask]] = []
        self.faults: list[Faults] = []
        """Of each dispatcher."""
        self.on_air: dict[int, int] = {}
        """Drivers who send a fix each second → their corner."""

    def run(self, scenario: Callable[["DispatcherHarness"], Any]) -> None:
        """Let the story happen; a dispatcher that died of a bug fails it."""
        try:
            self.loop.run_until_complete(self._with_radio(scenario))
            assert not self.loop.errors, self.loop.errors
        finally:
            self.dispatchers.clear()
            self.loop.shut_down()

    async def _with_radio(self, scenario: Callable[["DispatcherHarness"], Any]) -> None:
        radio = self.loop.create_task(self._radio())
        await scenario(self)
        radio.cancel()

    async def _radio(self) -> None:
        while True:
            for driver, node in sorted(self.on_air.items()):
                lng, lat = corner(node)
                self.write(topics.LOCATIONS, m.Fix(driver=driver, at_ms=self.now_ms(), lng=lng, lat=lat))
            await asyncio.sleep(1)

    # --- the world ----------------------------------------------------------------------------------

    def start(self, *, offload: Offload = on_the_loop) -> tuple[Node, Spy, SimTask]:
        """One more dispatcher. `offload`: how it runs what takes long."""

        def begin(env: Env[Settings]) -> Coroutine[Any, Any, None]:
            self.faults.append(env.faults)
            return main(replace(env, offload=offload), own=[CityContext(0, GRID, DecisionConfig())])

        name = f"dispatcher-{len(self.dispatchers) + 1}"
        epoch = f"{len(self.dispatchers):016x}"
        born = self.spawn(name, Settings(name=name), epoch, begin)
        self.dispatchers.append(born)
        return born

    async def start_live(self) -> None:
        """Start a dispatcher, and wait until it decides and driver 1 is on shift."""
        self.on_air[1] = 0
        _, spy, _ = self.start()
        self.say(online(1))
        await self.until(lambda: spy.is_ready and bool(self.answers("1:online")))

    def write(self, topic: str, *messages: m.Message) -> None:
        self.write_bytes(topic, *(codec.encode(message) for message in messages))

    def write_bytes(self, topic: str, *values: bytes | None) -> None:
        self.broker.partition(topic, 0).append([Outgoing(None, value) for value in values], self.now_ms())

    def say(self, *commands: m.AnyCommand) -> None:
        self.write(topics.COMMANDS, *commands)

    # --- the log ------------------------------------------------------------------------------------

    def records(self, topic: str) -> list[Record]:
        """What a read_committed reader sees."""
        place = self.broker.partition(topic, 0)
        return place.fetch(place.start, END, committed=True).records

    def events(self) -> list[m.AnyEvent]:
        records = self.records(topics.EVENTS)
        batches = WholeBatches()
        if self.broker.partition(topics.EVENTS, 0).start and records:
            batches = WholeBatches.joining(producer_of(records[0]))
        return [at.event for batch in batches.feed(records) for at in batch.events]

    def kinds(self) -> list[str]:
        return [m.tag_of(event) for event in self.events()]

    def city(self) -> CityState:
        """The fold of the whole log."""
        city = CityState()
        for event in self.events():
            city.apply(event)
        return city

    def letters(self) -> list[m.DeadLetter]:
        return [codec.decode(topics.DEAD_LETTERS, record) for record in self.records(topics.DEAD_LETTERS)]

    def answers(self, command_id: str) -> list[m.AnyEvent]:
        return [event for event in self.events() if event.command_id == command_id]
