# SPDX-License-Identifier: Apache-2.0
"""Faults of the broker, of the network, and of those who write what they should not."""

import asyncio
import itertools
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from taxi import topics
from taxi.bus import BusError, Outgoing
from taxi.bus.memory.log import Fate, LogEntry, Partition, Transaction
from taxi.messages import CancelRide, Fix, codec
from testing.foreign import FOREIGN_EVENTS, append, foreign_events
from testing.simulation.faults import Faults
from testing.simulation.oracle_log import is_visible
from testing.simulation.scale import BUS_LIMITS
from testing.simulation.world import DISPATCHERS, World
from testing.virtual_sockets import Socket

DOWN_S_MAX = 7.0
HELD_S_MAX = 12.0
HELD_TOPICS = (topics.SNAPSHOTS, topics.COMMANDS, topics.LOCATIONS)
JUNK = b"junk of another application"
GROWN_S = 12.0
"""A topic is created again only after this time, so that readers of the old one are beyond the new one's
end."""
RECREATIONS_MAX = 2
RECREATIONS_MAX_SEARCHED = 6
"""The same of a search that is for them."""
FAR_SHARE = 0.3
"""Of the vandal's positions, how many are nowhere near the city."""
FALSE_MS = (3_400_000, 3_400_000, 20_000, 4_000, -20_000, -3_600_000)
"""By how much the append time of a single record may be wrong."""
SET_BACK_MS = (6_000, 60_000, 3_600_000)
"""By how much all clocks may be set back."""
SET_BACK_MAX = 2
KEEP_S = {topics.LOCATIONS: 25.0, topics.COMMANDS: 15.0, topics.EVENTS: 38.0}
"""Retention takes what is older. Of events Kafka keeps days, and a snapshot is a minute apart: here the
longest that a gateway reads back, and some snapshots."""


LOST_EVENTS_SHARE = 0.2
"""Of worlds without gateways in which events are damaged that no snapshot covers."""
ANOTHER_CITY_SHARE = 0.15
"""Of worlds in which dispatchers are configured for another city for a while."""


class BrokerFaults(Faults):
    """Away, slow, lossy, forgetful, full of rubbish."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._recreated = 0
        self._strangers = 0
        self._set_back = 0
        chance = random.Random(f"lost events {world.seed}").random()
        self._loses_events = not world.clients and chance < self._share("lose_events", LOST_EVENTS_SHARE)
        """Then all append times are right, because who begins empty knows no positions by which to doubt one;
        and no topic is created again, because an epoch has one reason."""
        self._are_lost = False
        """Then no transactional id is forgotten again: who has another id than the damaged batch, which may
        be the one that names the id before, can't tell that it is the city's."""

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

    async def strand(self) -> None:
        """A proxy forgets a service's connections to the broker: they take requests and answer none."""
        name = self.random.choice(sorted(self.world.buses))
        self.world.tell(name, "connections stranded")
        self.world.saw("connections stranded")
        self.world.buses[name].network.strand()

    async def cut_a_socket(self) -> None:
        """Both ends learn of it; what was under way is lost."""
        socket = self.world.sockets.pick()
        if socket is not None:
            self.world.sockets.remove(socket)
            for side in (socket, socket.other):
                side.break_off()

    async def silence_a_socket(self) -> None:
        """Lose everything that one end sends. Neither end gets an error."""

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
        """Delete an input topic and create it again, in worlds without gateways."""
        world = self.world
        most = RECREATIONS_MAX_SEARCHED if "recreate" in world.search.faults else RECREATIONS_MAX
        is_known = not self._set_back and not self._loses_events
        if world.clients or world.loop.now < GROWN_S or self._recreated == most or not is_known:
            return
        self._recreated += 1
        topic = self.random.choice([topics.COMMANDS, topics.LOCATIONS])
        city = self.random.randrange(len(world.cities))
        world.tell("broker", "recreated", topic=topic, city=city)
        world.saw(f"recreated {topic}")
        world.broker.recreate(topic, city)

    async def hold_a_transaction(self) -> None:
        """Another application leaves a transaction open, over the end of a dispatcher more often than not."""
        world = self.world
        topic = self.random.choice([topics.EVENTS, topics.EVENTS, *HELD_TOPICS])
        self._strangers += 1
        name = f"another application, {self._strangers}"
        epoch = world.broker.start_writer(name, 300.0)
        place = topic, self.random.randrange(len(world.cities))
        world.tell(name, "opened a transaction", topic=topic, city=place[1])
        world.saw(f"a transaction held open on {topic}")
        world.broker.produce_in_transaction(name, epoch, 0, place, [Outgoing(b"stranger", JUNK)])
        await asyncio.sleep(self._brief(4.0))
        if self.random.random() < 0.5:
            world.kill(self.random.choice(DISPATCHERS))
        await asyncio.sleep(self.random.uniform(0.2, HELD_S_MAX))
        fates = [Fate.ABORTED] if topic == topics.EVENTS else [Fate.ABORTED, Fate.COMMITTED]
        fate = self.random.choice(fates)
        while name in {each.transactional_id for each in world.broker.partition(*place).open_transactions}:
            with suppress(
                BusError
            ):  # its request may get lost; over a long sleep of the machine it times out
                world.broker.end(name, epoch, fate)
            await asyncio.sleep(0.2)
        world.tell(name, "ended its transaction")

    # --- what no one should write -------------------------------------------------------------------

    async def strangers(self) -> None:
        """Write positions of unknown drivers, one for each driver."""
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
            unknown = 4_000_000_000 + self.random.randrange(8)
            driver = self.random.choice([1, 2, 3, unknown])
            off_ms = self.random.choice([-60_000, -6_000, -4_000, -1_000, -1, 0, 900, 30_000])
            self._fix(driver, now_ms + off_ms, now_ms, city, is_far=self.random.random() < FAR_SHARE)

    async def false_time(self) -> None:
        """A topic has its senders' times for a moment: one record with a wrong append time."""
        world = self.world
        if self._loses_events:
            return
        city, false_ms = self.random.randrange(len(world.cities)), self.random.choice(FALSE_MS)
        at_ms = world.now_ms() + false_ms
        world.saw("a false append time")
        if self.random.random() < 0.7:
            self._fix(self.random.choice([1, 2, 3, 4_000_000_001]), at_ms, at_ms, city)
            return
        name = f"no ride {self.random.getrandbits(32)}"
        cancel = CancelRide(command_id=name, ride=name)
        world.broker.partition(topics.COMMANDS, city).append([Outgoing(None, codec.encode(cancel))], at_ms)

    async def set_clocks_back(self) -> None:
        """The machine's clock was wrong, and somebody sets it.

        Not before every city was born: until then a foreign batch may be taken for the city's first, and it
        says that the positions were read (docs/decisions/foreign-batches.md). And not where a topic is
        created again: if both happen before a position was read, log time does not advance
        (docs/decisions/log-time.md).
        """
        is_known = self._cities_are_born() and not self._loses_events
        if self._set_back == SET_BACK_MAX or self._recreated or not is_known:
            return
        self._set_back += 1
        back_ms = self.random.choice(SET_BACK_MS)
        self.world.clocks_set_ms -= back_ms
        self.world.tell("clocks", "set back", ms=back_ms)
        self.world.saw("the clocks were set back")

    def _cities_are_born(self) -> bool:
        """Whether each city has a batch on the log."""
        places = [self.world.broker.partition(topics.EVENTS, city) for city in range(len(self.world.cities))]
        return all(any(_closed(place)) for place in places)

    async def another_city(self) -> None:
        """In some worlds dispatchers are those of another city, because a setting is wrong.

        In half of these all of them, for a while; else one, from then on to the end.
        """
        world = self.world
        chance = random.Random(f"another city {world.seed}")
        if chance.random() >= self._share("another_city", ANOTHER_CITY_SHARE):
            return
        await asyncio.sleep(chance.uniform(0.2, 0.6) * world.search.faults_s)
        if not self._cities_are_born():
            return
        if chance.random() < 0.5:
            world.saw("one dispatcher was of another city")
            self._restart_dispatchers([chance.choice(DISPATCHERS)], of_another_city=True)
            return
        try:
            self._restart_dispatchers(DISPATCHERS, of_another_city=True)
            await asyncio.sleep(chance.uniform(4.0, 10.0))
        finally:
            self._restart_dispatchers(DISPATCHERS, of_another_city=False)

    def _restart_dispatchers(self, names: Sequence[str], *, of_another_city: bool) -> None:
        world = self.world
        world.plan.of_another_city = frozenset(names) if of_another_city else frozenset()
        world.tell("nemesis", "dispatchers restarted", names=names, of_another_city=of_another_city)
        for name in names:
            world.kill(name)
            world.start(name)

    async def damage(self) -> None:
        """Batches that no client can parse: somebody's nonsense, or the disk's, before anybody read them."""
        world = self.world
        city = self.random.randrange(len(world.cities))
        for topic in (topics.LOCATIONS, topics.COMMANDS, topics.SNAPSHOTS, topics.DEAD_LETTERS):
            count, is_on_disk = self.random.choice([0, 1, 1, 3]), self.random.random() < 0.3
            if count:
                place = world.broker.partition(topic, city)
                place.append_damaged("nonsense", world.now_ms(), count=count, is_on_disk=is_on_disk)
                world.saw(f"damaged {topic}")

    async def foreign_events(self) -> None:
        """Another application writes well-formed events, in transactions or without, or rubbish."""
        world = self.world
        city = self.random.randrange(len(world.cities))
        place = world.broker.partition(topics.EVENTS, city)
        kind = self.random.choice([*FOREIGN_EVENTS, "junk"])
        world.tell("a stranger", "wrote events", kind=kind, city=city)
        world.saw(f"foreign: {kind}")
        if kind == "junk":
            place.append([Outgoing(b"stranger", JUNK)], world.now_ms())
            return
        last = next((body["batch"] for body in _closed(place)), 0)
        # A log that another city has begun is not this city's: its dispatcher would refuse it.
        events = foreign_events(kind, last, world.now_ms(), "elsewhere" if last else world.cities[city])
        if self.random.random() < 0.3:
            place.append([Outgoing(b"stranger", codec.encode(event)) for event in events], world.now_ms())
        else:
            self._strangers += 1
            append(world.broker, *events, producer_id=1_000_000 + self._strangers, partition=city)

    async def new_producer_id(self) -> None:
        """The broker forgets a dispatcher's transactional id, as after a week without use."""
        world = self.world
        city = self.random.randrange(len(world.cities))
        if self._are_lost:
            return
        world.tell("broker", "forgot a transactional id", city=city)
        world.broker.expire_writer(f"taxi.dispatcher.{city}")

    async def damage_events(self) -> None:
        """Damage events that a snapshot covers. Others can't be recovered, so they are left."""
        world = self.world
        city = self.random.randrange(len(world.cities))
        place, parts = (world.broker.partition(name, city) for name in (topics.EVENTS, topics.SNAPSHOTS))
        offsets = [json.loads(each.record.value or b"")["events_offset"] for each in _committed(parts)]
        if not offsets or max(offsets) <= place.start:
            return
        first = self.random.randrange(place.start, max(offsets))
        end = min(first + self.random.choice([1, 1, 2, 5]), max(offsets))
        world.tell("the disk", "damaged events", city=city, first=first, end=end)
        world.saw("damaged taxi.events")
        place.corrupt(first, end)

    async def lose_events(self) -> None:
        """In some worlds the disk damages events that no snapshot covers, and no dispatcher remembers them.

        Not where gateways run: worlds of kind `whole` keep every row that a client may hold.
        """
        world = self.world
        chance = random.Random(f"when events are lost {world.seed}")
        if not self._loses_events or not world.search.allows("lose_events"):
            return
        await asyncio.sleep(chance.uniform(0.3, 0.8) * world.search.faults_s)
        city = chance.randrange(len(world.cities))
        for name in DISPATCHERS:
            world.kill(name)
        place, parts = (world.broker.partition(name, city) for name in (topics.EVENTS, topics.SNAPSHOTS))
        covered = max(
            (json.loads(e.record.value or b"")["events_offset"] for e in _committed(parts)), default=0
        )
        found = self._to_be_lost(place, covered) if covered else None
        if found is not None and self._has_its_id(place, found):
            self._are_lost = True
            world.tell("the disk", "lost events", city=city, offset=found)
            world.saw("lost taxi.events")
            place.corrupt(found, found + 1)
        for name in DISPATCHERS:
            world.start(name)

    def _to_be_lost(self, place: Partition, covered: int) -> int | None:
        """The last uncovered event, or the last one of a batch that names the producer id before it."""
        offsets = list(_uncovered(place, covered))
        names = [
            place.entries[offset].transaction
            for offset in range(covered, place.stable)
            if b'"previous_producer"' in (place.entries[offset].record.value or b"")
        ]
        of_takeovers = [offset for offset in offsets if place.entries[offset].transaction in names]
        return next(iter(of_takeovers or offsets), None)

    def _has_its_id(self, place: Partition, offset: int) -> bool:
        """Whether the broker still knows the producer that wrote a record under its transactional id."""
        transaction = place.entries[offset].transaction
        assert transaction is not None  # of a dispatcher
        return self.world.broker.producer_id_of(transaction.transactional_id) == transaction.producer_id

    def _fix(self, driver: int, at_ms: int, now_ms: int, city: int = 0, *, is_far: bool = False) -> None:
        """One more record in the locations."""
        lng, lat = -73.98 + self.random.random() * 0.002, 40.75 + self.random.random() * 0.002
        if is_far:
            lng, lat = self.random.choice([(180.0, 90.0), (-180.0, -90.0), (0.0, 0.0), (lng, lat + 0.01)])
        fix = Fix(driver=driver, at_ms=at_ms, lng=lng, lat=lat)
        fixes = self.world.broker.partition(topics.LOCATIONS, city)
        fixes.append([Outgoing(None, codec.encode(fix))], now_ms)


def _committed(place: Partition) -> Iterator[LogEntry]:
    """Records that readers get and can decode, the last one first."""
    for offset in reversed(range(place.start, place.stable)):
        entry = place.entries[offset]
        is_message = (entry.record.value or b"").startswith(b"{")
        if is_visible(entry) and is_message and offset not in place.compacted:
            yield entry


def _uncovered(place: Partition, covered: int) -> Iterator[int]:
    """Offsets from `covered` on of events whose `BatchClosed` is there, the last one first.

    That is left, so a successor knows which number and which input the last batch had.
    """
    closed: Transaction | None = None
    for offset in reversed(range(covered, place.stable)):
        entry = place.entries[offset]
        is_own = entry.transaction is not None and "taxi.dispatcher" in entry.transaction.transactional_id
        if not is_own or not is_visible(entry) or offset in place.originals:
            continue
        value = entry.record.value or b""
        if b'"BatchClosed"' in value:
            closed = entry.transaction
        elif closed is not None and entry.transaction is closed:
            yield offset


def _closed(place: Partition) -> Iterator[dict[str, Any]]:
    """Every `BatchClosed` of a dispatcher, the last one first."""
    for entry in _committed(place):
        is_own = entry.transaction is not None and "taxi.dispatcher" in entry.transaction.transactional_id
        if is_own and b'"BatchClosed"' in (entry.record.value or b""):
            yield json.loads(entry.record.value or b"")
