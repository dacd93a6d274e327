# SPDX-License-Identifier: Apache-2.0
"""Faults of the broker, of the network, and of those who write what they should not."""

import asyncio
import itertools

from taxi import codec, topics
from taxi.bus import Outgoing
from taxi.messages import Fix
from tests.simulation.faults import Faults
from tests.simulation.scale import BUS_LIMITS
from tests.simulation.sockets import Socket
from tests.simulation.world import World

DOWN_S_MAX = 7.0
GROWN_S = 12.0
"""A topic is made anew only when it has grown: who read far into it notices at once."""
RECREATIONS_MAX = 2
KEEP_S = {topics.LOCATIONS: 25.0, topics.COMMANDS: 15.0, topics.EVENTS: 38.0}
"""Retention takes what is older. Of events Kafka keeps days, and a snapshot is a minute apart: here the
longest that a gateway reads back, and some snapshots."""


class BrokerFaults(Faults):
    """Away, slow, lossy, forgetful, full of rubbish."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._recreated = 0

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

    async def late_commits(self) -> None:
        """A commit is not answered, and reaches the broker when its writer may have begun the next one."""
        harshness = self.world.broker.harshness
        harshness.late_ends = self.random.choice([0.3, 0.6])
        await asyncio.sleep(self.random.random() * 3.0)
        harshness.late_ends = 0.0

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

    # --- what nobody should write -------------------------------------------------------------------

    async def strangers(self) -> None:
        """Drivers whom nobody knows: each is seen once and never again."""
        world = self.world
        for number in itertools.count(1_000_001):
            await asyncio.sleep(self.random.random() * 3)
            self._fix(number, world.now_ms(), world.now_ms())

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
