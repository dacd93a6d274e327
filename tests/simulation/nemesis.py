# SPDX-License-Identifier: Apache-2.0
"""Hurts a world for a while, then heals it and waits."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tests.simulation.faults import FAULTS_S
from tests.simulation.faults_of_processes import ProcessFaults
from tests.simulation.faults_of_the_broker import BrokerFaults
from tests.simulation.faults_of_the_town import TownFaults
from tests.simulation.loop import State
from tests.simulation.world import World

CALM_S = 10.0
"""Everyone is healthy for at least so long …"""
SETTLED_S = 14.0
"""By then the group has found its shape: the longest pause before joining again, and two sessions."""
PATIENCE_S = 60.0
"""… and at most for so long until every ride has ended."""
PAUSE_S = 1.8
"""Mean time between faults."""
FOCUS = 1.0
"""The weight of a fault in focus, in units of all others together."""

Fault = Callable[[], Coroutine[Any, Any, None]]


class Nemesis(ProcessFaults, BrokerFaults, TownFaults):
    """Each seed has its own taste: faults are drawn with weights that differ from seed to seed."""

    def __init__(self, world: World, focus: str = "") -> None:
        """`focus`: a fault to be drawn much more often."""
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
            self.recreate: 0.7 * (not looked_at),
            self.late_requests: 1,
            self.down_in_a_transaction: 0.7,
            self.freeze_in_a_transaction: 0.7,
            self.late_commits: 0.7,
            self.jam: 3,
        }
        self._faults = list(usual)
        self._weights = [weight * self.random.choice([0.2, 1, 1, 3]) for weight in usual.values()]
        for index, fault in enumerate(usual):
            if getattr(fault, "__name__", None) == focus:
                self._weights[index] = FOCUS * sum(usual.values())

    async def run(self) -> None:
        """Faults, then health, then time to recover."""
        for name in (*self.world.services, *self.world.clients):
            self.world.start(name)
        await self.hurt()
        await self.recover()

    async def hurt(self) -> None:
        """One fault after the other, many of them at the same time."""
        world = self.world
        world.on_line = self.strike_at_a_line
        async with asyncio.TaskGroup() as going_on:
            strangers = going_on.create_task(self.strangers())
            lid = going_on.create_task(self.close_the_lid())
            while world.loop.now - self._slept_s < FAULTS_S:
                await asyncio.sleep(self.random.expovariate(1 / PAUSE_S))
                [fault] = self.random.choices(self._faults, self._weights)
                world.saw(f"fault: {fault.__name__}")
                going_on.create_task(self._fault(fault))
            strangers.cancel()
            lid.cancel()
        world.on_line = None

    async def recover(self) -> None:
        """Health, and time until every ride has ended."""
        world = self.world
        self._heal()
        healed_s = world.loop.now
        world.loop.in_world(SETTLED_S, self._count_moves)
        await asyncio.sleep(CALM_S)
        while world.rides_are_open() and world.loop.now < healed_s + PATIENCE_S:  # noqa: ASYNC110
            await asyncio.sleep(1.0)  # the log rings no bell

    def _count_moves(self) -> None:
        """From now on no city has a reason to move."""
        self.world.moves_when_calm = self.world.broker.counts["assigned"]

    async def _fault(self, fault: Fault) -> None:
        await fault()

    def _heal(self) -> None:
        """Everyone is up, and nobody asks for another ride."""
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
