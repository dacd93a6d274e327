# SPDX-License-Identifier: Apache-2.0
"""Hurts a world for a while, then heals it and waits."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from taxi import topics
from tests.simulation.loop import Node, State
from tests.simulation.sockets import Closed, Socket
from tests.simulation.world import CLIENTS, SERVICES, World

FAULTS_S = 40.0
CALM_S = 10.0
"""Everyone is healthy for at least so long …"""
PATIENCE_S = 60.0
"""… and at most for so long until every ride has ended."""
PAUSE_S = 1.8
"""Mean time between faults."""
DOWN_S_MAX = 4.0
FROZEN_S_MAX = 9.0
KEEP_S = 30.0
"""Retention takes what is older, but never what the newest snapshot still needs."""


class Nemesis:
    """Each seed has its own taste: faults are drawn with weights that differ from seed to seed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = random.Random(f"nemesis {world.seed}")
        faults: list[Callable[[], Awaitable[None]]] = [
            self.kill,
            self.kill_after_callbacks,
            self.freeze,
            self.stop,
            self.broker_down,
            self.loss,
            self.slowness,
            self.cut_a_socket,
            self.silence_a_socket,
            self.retention,
        ]
        usual = [4, 4, 4, 1.5, 1, 1.5, 1, 2, 1, 1]
        self._faults = faults
        self._weights = [weight * self.random.choice([0.2, 1, 1, 3]) for weight in usual]

    async def run(self) -> None:
        """Faults, then health, then time to recover."""
        world = self.world
        for name in (*SERVICES, *CLIENTS):
            world.start(name)
        async with asyncio.TaskGroup() as going_on:
            while world.loop.now < FAULTS_S:
                await asyncio.sleep(self.random.expovariate(1 / PAUSE_S))
                [fault] = self.random.choices(self._faults, self._weights)
                world.saw(f"fault: {fault.__name__}")
                going_on.create_task(self._fault(fault))
        self._heal()
        healed_s = world.loop.now
        await asyncio.sleep(CALM_S)
        while world.rides_are_open() and world.loop.now < healed_s + PATIENCE_S:  # noqa: ASYNC110
            await asyncio.sleep(1.0)  # the log rings no bell

    async def _fault(self, fault: Callable[[], Awaitable[None]]) -> None:
        await fault()

    def _heal(self) -> None:
        """Everyone is up, and nobody asks for another ride."""
        world = self.world
        world.tell("nemesis", "healed")
        world.calm.set()
        world.demand_stopped = True
        harshness = world.broker.harshness
        harshness.down, harshness.loss, harshness.slow, harshness.stragglers = False, 0.0, 1.0, 0.0
        world.sockets.slow = 1.0
        world.kill("simulator")
        for name, node in world.nodes.items():
            node.fuse = 0
            if node.state is State.DEAD:
                world.start(name)

    def _victim(self) -> str:
        everyone = [*SERVICES, SERVICES[0], SERVICES[1], CLIENTS[0]]
        return self.random.choice(everyone)

    def _brief(self, most_s: float) -> float:
        """Mostly short, sometimes long."""
        return self.random.random() ** 2 * most_s

    # --- processes ----------------------------------------------------------------------------------

    async def kill(self) -> None:
        """SIGKILL, and a restart some time later."""
        await self._kill_now(self._victim())

    async def kill_after_callbacks(self) -> None:
        """SIGKILL between two steps of a coroutine."""
        name = self._victim()
        node = self.world.nodes[name]
        node.fuse = 1 + self.random.randrange(200)
        await asyncio.sleep(1.5)
        if self.world.nodes[name] is node:
            await self._kill_now(name)

    async def _kill_now(self, name: str) -> None:
        world = self.world
        world.kill(name)
        node = world.nodes[name]
        await asyncio.sleep(self._brief(6.0))
        if world.nodes[name] is node:
            world.start(name)

    async def freeze(self) -> None:
        """SIGSTOP, often for longer than a session lasts; then SIGCONT."""
        world, name = self.world, self._victim()
        node = world.nodes[name]
        world.loop.freeze(node)
        world.tell(name, "frozen")
        await asyncio.sleep(self.random.random() * FROZEN_S_MAX)
        world.loop.thaw(node)
        world.tell(name, "thawed")

    async def stop(self) -> None:
        """SIGTERM: a service has some seconds to leave, and is then started again."""
        world, name = self.world, self.random.choice(SERVICES)
        node, main = world.nodes[name], world.mains[name]
        if node.state is not State.UP or main.done():
            return
        world.tell(name, "asked to stop")
        world.loop.call_soon(main.cancel, context=node.context)
        await asyncio.wait([main], timeout=5.0)
        if world.nodes[name] is not node:
            return
        world.saw("stopped cleanly" if main.done() else "stop cut short")
        if not main.done() and not self._was_hindered(node):
            world.fail("would not stop", name)
        await self._kill_now(name)

    def _was_hindered(self, node: Node) -> bool:
        """Frozen or killed meanwhile, or without a broker."""
        return node.state is not State.UP or self.world.broker.harshness.down

    # --- broker and network -------------------------------------------------------------------------

    async def broker_down(self) -> None:
        self.world.tell("broker", "down")
        self.world.broker.harshness.down = True
        await asyncio.sleep(self._brief(DOWN_S_MAX))
        self.world.broker.harshness.down = False
        self.world.tell("broker", "up")

    async def loss(self) -> None:
        harshness = self.world.broker.harshness
        harshness.loss = self.random.random() * 0.3
        await asyncio.sleep(self.random.random() * 3.0)
        harshness.loss = 0.0

    async def slowness(self) -> None:
        world = self.world
        world.broker.harshness.slow = world.sockets.slow = self.random.choice([10.0, 40.0])
        await asyncio.sleep(self.random.random() * 3.0)
        world.broker.harshness.slow = world.sockets.slow = 1.0

    async def cut_a_socket(self) -> None:
        """Both ends learn of it; what was under way is lost."""
        socket = self.world.sockets.pick()
        if socket is not None:
            self.world.sockets.forget(socket)
            for side in (socket, socket.other):
                side.break_off()

    async def silence_a_socket(self) -> None:
        """Nobody learns of it: what one end sends never arrives."""

        def is_gateways(socket: Socket) -> bool:
            return socket.node.name.startswith("gateway")

        socket = self.world.sockets.pick(is_gateways)
        if socket is not None:
            socket.is_deaf = socket.other.is_deaf = True

    async def retention(self) -> None:
        """What is old goes, except what the newest snapshot still needs: Kafka keeps days of it."""
        world = self.world
        old_ms = world.now_ms() - round(KEEP_S * 1000)
        for spec in topics.specs():
            partition = world.broker.partition(spec.name, 0)
            if spec.name == topics.SNAPSHOTS:
                partition.compact()
            elif spec.name in {topics.LOCATIONS, topics.COMMANDS}:
                partition.delete_before(partition.offset_at(old_ms))


__all__ = ["Closed", "Nemesis"]
