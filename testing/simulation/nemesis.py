# SPDX-License-Identifier: Apache-2.0
"""Hurts a world for a while, then heals it and waits."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from testing.simulation.faults_of_commands import CommandFaults
from testing.simulation.faults_of_the_broker import BrokerFaults
from testing.simulation.faults_of_the_city import CityFaults
from testing.simulation.search import ALL_THE_TIME, DRAWN_ONCE, Search
from testing.simulation.world import World
from testing.virtual_time import State

CALM_S = 10.0
"""Everyone is healthy for at least so long …"""
SETTLED_S = 14.0
"""By then the group has found its shape: the longest pause before joining again, and two sessions."""
PATIENCE_S = 60.0
"""… and at most for so long until every ride has ended and every command is answered."""
FOCUS = 1.0
"""The weight of the faults that a search is for, in units of all others together."""

Fault = Callable[[], Coroutine[Any, Any, None]]


class Nemesis(CommandFaults, BrokerFaults, CityFaults):
    """Each seed has its own taste: faults are drawn with weights that differ from seed to seed."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        looked_at = bool(world.clients)
        usual: dict[Fault, float] = {
            self.kill: 4,
            self.kill_after_callbacks: 4,
            self.freeze: 4,
            self.stop: 1.5,
            self.broker_down: 1,
            self.loss: 1.5,
            self.slowness: 1,
            self.cut_a_socket: 2 * looked_at,
            self.silence_a_socket: looked_at,
            self.retention: 1,
            self.vandal: 2,
            self.damage: 1.5,
            self.foreign_events: 2,
            self.new_producer_id: 0.7,
            self.damage_events: 0.7,
            self.false_time: 1.5,
            self.set_clocks_back: 0.4,
            self.strand: 1.5,
            self.recreate: 0.7 * (not looked_at),
            self.late_requests: 1,
            self.down_in_a_transaction: 0.7,
            self.freeze_in_a_transaction: 0.7,
            self.late_commits: 0.7,
            self.hold_a_transaction: 2,
            self.jam: 3,
            self.backlog: 0.7,
            self.flood: 0.5,
            self.hasty_rider: 2,
        }
        self._faults = list(usual)
        self._weights = [weight * self.random.choice([0.2, 1, 1, 3]) for weight in usual.values()]
        self._direct(world.search, sum(usual.values()))

    def _direct(self, search: Search, usual: float) -> None:
        """Prefer the faults that the search names, which together weigh as much as all usually do."""
        names = [fault.__name__ for fault in self._faults]
        strangers = set(search.faults) - {*names, *DRAWN_ONCE, *ALL_THE_TIME}
        if strangers:
            raise ValueError(f"no such faults: {sorted(strangers)}")
        drawn = [name for name in search.faults if name in names]
        for index, name in enumerate(names):
            if name in drawn:
                self._weights[index] = FOCUS * usual / len(drawn)
            elif search.only:
                self._weights[index] = 0.0

    async def run(self) -> None:
        """Faults, then health, then time to recover."""
        self.set_clocks()
        for name in (*self.world.services, *self.world.clients):
            self.world.start(name)
        await self.hurt()
        await self.recover()

    async def hurt(self) -> None:
        """One fault after the other, many of them at the same time."""
        world, search = self.world, self.world.search
        if search.allows("strike_at_a_line"):
            world.on_line = self.strike_at_a_line
        async with asyncio.TaskGroup() as going_on:
            beside: list[Fault] = [self.strangers] if search.allows("strangers") else []
            beside += [self.change_speed] if search.allows("change_speed") else []
            beside += [self.hold_scenarios] if search.allows("hold_scenarios") else []
            beside += [self.another_city] if search.allows("another_city") else []
            beside += [self.remove_members] if search.allows("remove_members") else []
            beside += [self.lose_events] if search.allows("lose_events") else []
            tasks = [going_on.create_task(each()) for each in [*beside, self.close_the_lid]]
            while world.loop.now - self._slept_s < search.faults_s:
                await asyncio.sleep(self.random.expovariate(1 / search.pause_s))
                if any(self._weights):
                    [fault] = self.random.choices(self._faults, self._weights)
                    world.saw(f"fault: {fault.__name__}")
                    going_on.create_task(self._fault(fault))
            for task in tasks:
                task.cancel()
        world.on_line = None

    async def recover(self) -> None:
        """Health, and time until every ride has ended and every command is answered."""
        world = self.world
        self._heal()
        healed_s = world.loop.now
        world.loop.in_world(SETTLED_S, self._count_moves)
        await asyncio.sleep(CALM_S)
        while world.has_work_left() and world.loop.now < healed_s + PATIENCE_S:  # noqa: ASYNC110
            await asyncio.sleep(1.0)  # polled, as a log sends no event

    def _count_moves(self) -> None:
        """From now on no city has a reason to move."""
        self.world.moves_when_calm = self.world.broker.counts["assigned"]

    async def _fault(self, fault: Fault) -> None:
        await fault()

    def _heal(self) -> None:
        """Restart everything, and stop new requests."""
        world = self.world
        world.tell("nemesis", "healed")
        world.calm.set()
        world.demand_stopped = True
        harshness = world.broker.harshness
        harshness.down, harshness.loss, harshness.slow, harshness.stragglers = False, 0.0, 1.0, 0.0
        harshness.late_ends = 0.0
        world.sockets.slow = 1.0
        for name in world.services:
            if name.startswith("simulator"):
                world.kill(name)
        for name, node in world.nodes.items():
            node.light(0)
            world.loop.thaw(node)
            if node.state is State.DEAD:
                world.start(name)
