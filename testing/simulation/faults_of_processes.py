# SPDX-License-Identifier: Apache-2.0
"""Faults of processes, and of the machine that they all run on."""

import asyncio
import contextlib
import random

from taxi.topics import DISPATCHER_GROUP
from testing.simulation.faults import Faults
from testing.simulation.scale import BUS_LIMITS
from testing.simulation.world import DISPATCHERS
from testing.virtual_time import Node, State

FROZEN_S_MAX = 9.0
LID_SHARE = 0.15
"""Of worlds in which the machine sleeps once."""
REMOVALS_SHARE = 0.15
"""Of worlds in which members are removed from their group."""
REMOVED_AFTER_S = (1.0, 8.0)
"""The shortest and the longest time between two removals."""
ASSIGNED_STRUCK = 0.1
"""Share of assignments after which the dispatcher is frozen, until another has its cities."""
LINE_STRUCK = 0.01
"""Share of log lines after which their service is struck."""
STRUCK_OFTEN = 5.0
"""So many times as often if a search is for it."""


class ProcessFaults(Faults):
    """Kill, freeze, stop; and a laptop's lid."""

    # --- the machine --------------------------------------------------------------------------------

    async def close_the_lid(self) -> None:
        """In some worlds the laptop sleeps once, in the middle of everything else."""
        lid = random.Random(f"lid {self.world.seed}")
        search = self.world.search
        if search.allows("close_the_lid") and lid.random() < self._share("close_the_lid", LID_SHARE):
            await asyncio.sleep(lid.uniform(5.0, search.faults_s))
            self.sleep(lid.choice([10.0, 60.0, 600.0]))

    def sleep(self, seconds: float) -> None:
        """Nothing runs, the broker neither; time goes on."""
        self.world.tell("machine", "slept", seconds=seconds)
        self.world.saw("the machine slept")
        self.world.loop.sleep_through(seconds)
        self._slept_s += seconds

    async def change_speed(self) -> None:
        """In some worlds all dispatchers are restarted once, to decide at another speed."""
        world = self.world
        if world.plan.next_speed is None:
            return
        share = random.Random(f"change of speed {world.seed}").uniform(0.2, 0.8)
        await asyncio.sleep(share * world.search.faults_s)
        world.plan.speed = world.plan.next_speed
        world.tell("nemesis", "speed changed", speed=world.plan.speed)
        for name in DISPATCHERS:
            await self._kill_now(name)

    async def remove_members(self) -> None:
        """In some worlds dispatchers, dead or not, are removed from their group, as by a supervisor."""
        world, own = self.world, random.Random(f"removals {self.world.seed}")
        if own.random() >= self._share("remove_members", REMOVALS_SHARE):
            return
        while True:
            await asyncio.sleep(own.uniform(*REMOVED_AFTER_S))
            groups = world.broker.groups
            members = groups.members(DISPATCHER_GROUP)
            if members and not world.broker.harshness.down:
                groups.leave(DISPATCHER_GROUP, own.choice(members))
                world.saw("a member removed from its group")

    # --- processes ----------------------------------------------------------------------------------

    async def kill(self) -> None:
        """SIGKILL, and a restart some time later."""
        await self._kill_now(self._victim())

    async def kill_after_callbacks(self) -> None:
        """SIGKILL between two steps of a coroutine."""
        name = self._victim()
        node = self.world.nodes[name]
        node.light(1 + self.random.randrange(200))
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
        world, name = self.world, self.random.choice(self.world.services)
        node, main = world.nodes[name], world.mains[name]
        if node.state is not State.UP or main.done():
            return
        world.tell(name, "asked to stop")
        world.loop.call_soon(main.cancel, context=node.context)
        slept_s, stalled_s = self._slept_s, await self._stall_as_it_leaves(name, node)
        await asyncio.wait([main], timeout=5.0 + stalled_s)
        if world.nodes[name] is not node:
            return
        world.saw("stopped cleanly" if main.done() else "stop cut short")
        if not main.done() and not self._was_hindered(node) and self._slept_s == slept_s:
            world.fail("would not stop", name)
        await self._kill_now(name)

    async def _stall_as_it_leaves(self, name: str, node: Node) -> float:
        """Sometimes freeze a gateway while it drains. Returns for how long, in seconds."""
        if not name.startswith("gateway") or self.random.random() < 0.5:
            return 0.0
        await asyncio.sleep(self.random.random())
        stalled_s = 0.5 + self.random.random()
        self.world.saw("stalled as it leaves")
        self.world.loop.freeze(node)
        await asyncio.sleep(stalled_s)
        self.world.loop.thaw(node)
        return stalled_s

    def _was_hindered(self, node: Node) -> bool:
        """Frozen or killed meanwhile, or without a broker."""
        return node.state is not State.UP or self.world.broker.harshness.down

    def strike_at_a_line(self, name: str, line: str) -> None:
        """What a service finds worth a line in its log is a good moment to be killed or frozen after."""
        if line == "assigned":
            self._assigned.set()
        often = STRUCK_OFTEN if "strike_at_a_line" in self.world.search.faults else 1.0
        if line == "assigned" and self.random.random() < often * ASSIGNED_STRUCK:
            return self._freeze_before_its_producer(name)
        if self.random.random() > often * LINE_STRUCK:
            return None
        node, freeze = self.world.nodes[name], self.random.random() < 0.5
        node.light(1 + self.random.randrange(60), freeze=freeze)
        self.world.saw("frozen at a line" if freeze else "killed at a line")
        self.world.loop.in_world(1.0 + self.random.random() * FROZEN_S_MAX, self._come_back, name, node)
        return None

    def _freeze_before_its_producer(self, name: str) -> None:
        """Between a city's assignment and the start of its producer, until another has the city."""
        node = self.world.nodes[name]
        node.light(1 + self.random.randrange(6), freeze=True)
        self.world.saw("frozen at its assignment")
        away_s = self.random.uniform(1.0, 3.0) * BUS_LIMITS.session_s
        self.world.loop.in_world(away_s, self._come_back, name, node)

    def _come_back(self, name: str, node: Node) -> None:
        node.light(0)
        self.world.loop.thaw(node)
        if node.state is State.DEAD and self.world.nodes[name] is node:
            self.world.kill(name)
            self.world.start(name)

    async def freeze_in_a_transaction(self) -> None:
        """A dispatcher falls asleep before its commit, and wakes when a successor begins, slowly."""
        await self._transaction_opens()
        world, name = self.world, self.random.choice(DISPATCHERS)
        node = world.nodes[name]
        node.light(1 + self.random.randrange(12), freeze=True)
        world.tell(name, "frozen in a transaction")
        self._assigned.clear()
        world.broker.harshness.slow = self.random.choice([1.0, 10.0, 40.0])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3 * BUS_LIMITS.session_s):
                await self._assigned.wait()
        await asyncio.sleep(self.random.random() * self.random.choice([0.02, 0.2, 2.0]))
        world.broker.harshness.slow = 1.0
        node.light(0)
        world.loop.thaw(node)
        world.tell(name, "thawed")
