# SPDX-License-Identifier: Apache-2.0
"""Hurts a world for a while, then heals it and waits."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable

from taxi import codec, topics
from taxi.bus import Outgoing
from taxi.messages import Fix
from tests.simulation.loop import Node, State
from tests.simulation.sockets import Closed, Socket
from tests.simulation.world import BUS_LIMITS, DISPATCHERS, World

FAULTS_S = 40.0
CALM_S = 10.0
"""Everyone is healthy for at least so long …"""
SETTLED_S = 14.0
"""By then the group has found its shape: the longest pause before joining again, and two sessions."""
PATIENCE_S = 60.0
"""… and at most for so long until every ride has ended."""
PAUSE_S = 1.8
"""Mean time between faults."""
DOWN_S_MAX = 7.0
FROZEN_S_MAX = 9.0
LID_SHARE = 0.15
"""Of worlds in which the machine sleeps once."""
FOCUS = 1.0
"""The weight of a fault in focus, in units of all others together."""
ASSIGNED_STRUCK = 0.1
"""Share of assignments after which the dispatcher is frozen, until another has its cities."""
LINE_STRUCK = 0.01
"""Share of log lines after which their service is struck."""
GROWN_S = 12.0
"""A topic is made anew only when it has grown: who read far into it notices at once."""
RECREATIONS_MAX = 2
KEEP_S = {topics.LOCATIONS: 25.0, topics.COMMANDS: 15.0, topics.EVENTS: 38.0}
"""Retention takes what is older. Of events Kafka keeps days, and a snapshot is a minute apart: here the
longest that a gateway reads back, and some snapshots."""


class Nemesis:
    """Each seed has its own taste: faults are drawn with weights that differ from seed to seed."""

    def __init__(self, world: World, focus: str = "") -> None:
        """`focus`: a fault to be drawn much more often."""
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
            self.vandal,
            self.recreate,
            self.late_requests,
            self.down_in_a_transaction,
            self.freeze_in_a_transaction,
            self.late_commits,
        ]
        looked_at = bool(world.clients)
        usual = [
            4,
            4,
            4,
            1.5,
            1,
            1.5,
            1,
            2 * looked_at,
            looked_at,
            1,
            2,
            0.7 * (not looked_at),
            1,
            0.7,
            0.7,
            0.7,
        ]
        self._faults = faults
        self._weights = [weight * self.random.choice([0.2, 1, 1, 3]) for weight in usual]
        for index, fault in enumerate(faults):
            if fault.__name__ == focus:
                self._weights[index] = FOCUS * sum(usual)
        self._slept_s = 0.0
        self._recreated = 0
        self._assigned = asyncio.Event()
        """Some dispatcher was given cities."""

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

    def _victim(self) -> str:
        world = self.world
        return self.random.choice([*world.services, *DISPATCHERS, *world.clients[:1]])

    def _brief(self, most_s: float) -> float:
        """Mostly short, sometimes long."""
        return self.random.random() ** 2 * most_s

    # --- the machine --------------------------------------------------------------------------------

    async def close_the_lid(self) -> None:
        """In some worlds the laptop sleeps once, in the middle of everything else."""
        lid = random.Random(f"lid {self.world.seed}")
        if lid.random() < LID_SHARE:
            await asyncio.sleep(lid.uniform(5.0, FAULTS_S))
            self.sleep(lid.choice([10.0, 60.0, 600.0]))

    def sleep(self, seconds: float) -> None:
        """Nothing runs, the broker neither; time goes on."""
        self.world.tell("machine", "slept", seconds=seconds)
        self.world.saw("the machine slept")
        self.world.loop.sleep_through(seconds)
        self._slept_s += seconds

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
        """Now and then a gateway stands still while it sends its clients on; for how long."""
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
        if line == "assigned" and self.random.random() < ASSIGNED_STRUCK:
            return self._freeze_before_its_producer(name)
        if self.random.random() > LINE_STRUCK:
            return None
        node, freeze = self.world.nodes[name], self.random.random() < 0.5
        node.light(1 + self.random.randrange(60), freeze=freeze)
        self.world.saw("frozen at a line" if freeze else "killed at a line")
        self.world.loop.in_world(1.0 + self.random.random() * FROZEN_S_MAX, self._come_back, name, node)
        return None

    def _freeze_before_its_producer(self, name: str) -> None:
        """Between a city's assignment and the start of its producer, until another has the city."""
        node = self.world.nodes[name]
        node.light(1 + self.random.randrange(20), freeze=True)
        self.world.saw("frozen at its assignment")
        away_s = self.random.uniform(1.0, 3.0) * BUS_LIMITS.session_s
        self.world.loop.in_world(away_s, self._come_back, name, node)

    def _come_back(self, name: str, node: Node) -> None:
        node.light(0)
        self.world.loop.thaw(node)
        if node.state is State.DEAD and self.world.nodes[name] is node:
            self.world.kill(name)
            self.world.start(name)

    async def strangers(self) -> None:
        """Drivers whom nobody knows: each is seen once and never again."""
        world = self.world
        for number in itertools.count(1_000_001):
            await asyncio.sleep(self.random.random() * 3)
            self._fix(number, world.now_ms(), world.now_ms())

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

    async def late_requests(self) -> None:
        """Many requests arrive after their sender gave them up, and has asked again; all else is slow."""
        harshness = self.world.broker.harshness
        before, harshness.stragglers = harshness.stragglers, 0.3
        harshness.slow = self.random.choice([1.0, 10.0, 20.0])
        await asyncio.sleep(self.random.random() * 4.0)
        harshness.stragglers = before if not self.world.calm.is_set() else 0.0
        harshness.slow = 1.0

    async def down_in_a_transaction(self) -> None:
        """The broker goes away while a transaction is open, about as long as its writer has patience."""
        await self._transaction_opens()
        await asyncio.sleep(self.random.random() * 0.03)
        self.world.tell("broker", "down in a transaction")
        self.world.broker.harshness.down = True
        await asyncio.sleep(self.random.uniform(0.3, 1.3) * BUS_LIMITS.give_up_s)
        self.world.broker.harshness.down = False

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

    async def late_commits(self) -> None:
        """A commit is not answered, and reaches the broker when its writer may have begun the next one."""
        harshness = self.world.broker.harshness
        harshness.late_ends = self.random.choice([0.3, 0.6])
        await asyncio.sleep(self.random.random() * 3.0)
        harshness.late_ends = 0.0

    async def _transaction_opens(self) -> None:
        """The next one, if it comes soon."""
        opened = asyncio.Event()
        self.world.broker.on_open = opened.set
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3.0):
                await opened.wait()

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
        """What is old goes; of snapshots what a newer one replaced."""
        for city in range(len(self.world.cities)):
            self._retain(city)

    def _retain(self, city: int) -> None:
        world = self.world
        disk_full = self.random.random() < 0.3
        world.tell("broker", "retention", city=city, disk_full=disk_full)
        for topic, keep_s in KEEP_S.items():
            if disk_full and topic == topics.COMMANDS:
                keep_s = 0.5  # the dispatcher has to say what it could not read
            if disk_full and topic == topics.LOCATIONS and not world.clients:
                keep_s = 0.3  # and, where no gateway looks, what it can't know any more
            partition = world.broker.partition(topic, city)
            keep_ms = round((keep_s + self._slept_s) * 1000)  # of what happened, not of a night's sleep
            partition.delete_before(partition.offset_at(world.now_ms() - keep_ms))
        world.broker.partition(topics.SNAPSHOTS, city).compact()

    async def recreate(self) -> None:
        """Somebody deletes an input topic and makes it anew. Only where no gateway looks."""
        world = self.world
        if world.clients or world.loop.now < GROWN_S or self._recreated == RECREATIONS_MAX:
            return
        self._recreated += 1
        topic = self.random.choice([topics.COMMANDS, topics.LOCATIONS])
        city = self.random.randrange(len(world.cities))
        world.tell("broker", "recreated", topic=topic, city=city)
        world.saw(f"recreated {topic}")
        world.broker.recreate(topic, city)

    async def vandal(self) -> None:
        """Somebody else's rubbish: bytes, unknown types, fixes from yesterday, tomorrow and nowhere."""
        world, now_ms = self.world, self.world.now_ms()
        city = self.random.randrange(len(world.cities))
        for topic in (topics.LOCATIONS, topics.COMMANDS):
            junk = self.random.choice([b"junk \xff\x00", b'junk {"type":"Fix"', b'junk {"type":"Unheard"}'])
            world.broker.partition(topic, city).append([Outgoing(b"vandal", junk)], now_ms)
        for _ in range(4):
            driver = self.random.choice([1, 2, 3, 4_000_000_000])
            off_ms = self.random.choice([-60_000, -4_000, -1_000, -1, 0, 900, 30_000])
            self._fix(driver, now_ms + off_ms, now_ms, city)

    def _fix(self, driver: int, at_ms: int, now_ms: int, city: int = 0) -> None:
        """One more record in the locations."""
        lng, lat = -73.98 + self.random.random() * 0.002, 40.75 + self.random.random() * 0.002
        fix = Fix(driver=driver, at_ms=at_ms, lng=lng, lat=lat)
        fixes = self.world.broker.partition(topics.LOCATIONS, city)
        fixes.append([Outgoing(None, codec.encode(fix))], now_ms)


__all__ = ["Closed", "Nemesis"]
