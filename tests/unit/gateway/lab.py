# SPDX-License-Identifier: Apache-2.0
"""Real gateways on a memory broker in virtual time, a log written by hand, and browsers to look at them."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.settings import Settings
from gateway.shell import Gateway
from taxi import codec, snapshots, topics
from taxi import messages as m
from taxi.bus import Outgoing
from taxi.bus.memory import MemoryBroker, MemoryBus, MemoryLimits
from taxi.city import CityState
from taxi.client.decode import decode_cut
from taxi.client.rows import Cut
from taxi.client.state import ClientState
from taxi.cursor import Cursor
from taxi.newest import NewestFixes
from taxi.roads_grid import grid_city
from taxi.runtime.env import Env
from tests.simulation.loop import Node, SimLoop, SimTask
from tests.simulation.sockets import SimListener, Socket, SocketNetwork

START_MS = 1_750_000_000_000
EPOCH = "0123456789abcdef"
LIMITS = MemoryLimits(give_up_s=1.0, request_s=0.3, end_transaction_s=0.2)
ROADS = grid_city(4, 4, name="grid")
HERE, THERE = tuple(ROADS.nodes[0].tolist()), tuple(ROADS.nodes[15].tolist())


class Spy:
    """Log, metrics and health in one: remembers what it was told."""

    def __init__(self) -> None:
        self.reason: str | None = "starting"
        self.said: list[str] = []
        self.counts: dict[str, float] = {}

    def ready(self) -> None:
        self.reason = None

    def not_ready(self, reason: str) -> None:
        self.reason = reason

    def note(self, event: str, **fields: Any) -> None:
        self.said.append(f"{event} {fields}")

    debug = info = warning = error = note

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        key = " ".join([name, *labels.values()])
        self.counts[key] = self.counts.get(key, 0) + amount

    def gauge(self, name: str, value: float, **_: str) -> None:
        self.counts[name] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        self.count(name, value, **labels)


class Browser:
    """One connection, and a client's rows."""

    def __init__(self, socket: Socket, state: ClientState | None = None) -> None:
        self.socket = socket
        self.state = state or ClientState()
        self.said: list[dict[str, Any]] = []
        """Control messages."""
        self.cuts: list[Cut] = []

    def hello(self, **changes: Any) -> None:
        cursor = {"cursor": str(self.state.cursor)} if self.state.cursor else {}
        self.socket.send(json.dumps({"type": "hello", "v": 1, "city": "grid", **cursor, **changes}))

    async def next(self, within_s: float = 20.0) -> Cut | dict[str, Any] | None:
        """The next message, taken in; None when the connection ends."""
        async with asyncio.timeout(within_s):
            message = await self.socket.receive()
        if isinstance(message, bytes):
            cut = decode_cut(message)
            self.state.apply(cut)
            self.cuts.append(cut)
            return cut
        if message is not None:
            self.said.append(json.loads(message))
            if self.said[-1]["type"] == "ready":
                self.state.ready(self.said[-1]["epoch"])
            return self.said[-1]
        return None

    async def cut(self, within_s: float = 20.0) -> Cut:
        """The next cut, whatever is said before it."""
        while not isinstance(message := await self.next(within_s), Cut):
            assert message is not None, f"closed: {self.socket.closed}"
        return message

    async def closed(self, within_s: float = 60.0) -> tuple[int, str]:
        """How the connection ends."""
        async with asyncio.timeout(within_s):
            while await self.next(within_s) is not None:
                pass
        assert self.socket.closed is not None
        return int(self.socket.closed.code), self.socket.closed.reason


class Lab:
    """A broker, a hand that writes the log, and gateways."""

    def __init__(self) -> None:
        self.loop = SimLoop(1)
        self.broker = MemoryBroker(self.loop, now_ms=self.now_ms, now_s=self.loop.time, rng=random.Random(1))
        for spec in topics.specs():
            self.broker.create_topic(spec.name)
        self.sockets = SocketNetwork(self.loop, random.Random(2))
        self.city = CityState()
        self.gateways: dict[str, tuple[Gateway, Spy, Node]] = {}
        self.tasks: dict[str, SimTask] = {}

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(story)
        assert self.loop.errors == []

    def now_ms(self) -> int:
        return START_MS + int(self.loop.now * 1000)

    # --- the log ------------------------------------------------------------------------------------

    def fix(self, driver: int, place: tuple[float, ...] = HERE, *, at_ms: int | None = None) -> None:
        at_ms = self.now_ms() if at_ms is None else at_ms
        self.raw(
            topics.LOCATIONS, codec.encode(m.Fix(driver=driver, at_ms=at_ms, lng=place[0], lat=place[1]))
        )

    def raw(self, topic: str, value: bytes | None) -> None:
        self.broker.partition(topic, 0).append([Outgoing(b"", value)], self.now_ms())

    def batch(
        self, *events: Callable[..., m.AnyEvent], epoch: str | None = None, reason: str = "birth"
    ) -> int:
        """Append a batch of events, each a function of what they share; the `ev` after it."""
        shared: dict[str, Any] = {"batch": self.city.batch + 1, "at_ms": self.now_ms()}
        made = [event(**shared) for event in events]
        if epoch or not self.city.batch:
            made.insert(0, m.EpochStarted(**shared, epoch=epoch or EPOCH, city="grid", reason=reason))
        locations = self.broker.partition(topics.LOCATIONS, 0).end
        count = len(made) + 1
        made.append(m.BatchClosed(**shared, count=count, commands_offset=0, locations_offset=locations))
        for event in made:
            self.city.apply(event)
        place = self.broker.partition(topics.EVENTS, 0)
        place.append([Outgoing(b"", codec.encode(event)) for event in made], self.now_ms())
        return place.end

    def snapshot(self) -> None:
        """What the dispatcher writes once a minute."""
        ev = self.broker.partition(topics.EVENTS, 0).end
        records = snapshots.pack(self.city, NewestFixes(), ev)
        self.broker.partition(topics.SNAPSHOTS, 0).append(records, self.now_ms())

    async def traffic(self, drivers: int = 5) -> None:
        """A fix a second from everyone, a batch every two, for ever."""
        while True:
            for driver in range(1, drivers + 1):
                self.fix(driver, HERE if self.now_ms() // 1000 % 2 else THERE)
            if self.now_ms() // 1000 % 2:
                self.batch()
            await asyncio.sleep(1.0)

    # --- gateways -----------------------------------------------------------------------------------

    async def gateway(self, name: str = "gateway-1", **settings: Any) -> Gateway:
        """A gateway that is ready."""
        gateway = self.start(name, **settings)
        await self.until(lambda: self.spy(name).reason is None)
        return gateway

    def start(self, name: str = "gateway-1", **settings: Any) -> Gateway:
        """A gateway that has only begun."""
        node, spy, rng = Node(name), Spy(), random.Random(name)
        listener = self.sockets.listeners[name] = SimListener(node)
        env = Env(
            settings=Settings(city="grid", name=name, **settings),
            bus=MemoryBus(self.broker, world=self.loop, rng=rng, limits=LIMITS),
            now_ms=self.now_ms,
            random=rng,
            new_id=lambda: f"{rng.getrandbits(64):016x}",
            log=spy,
            metrics=spy,
            health=spy,
            listener=listener,
        )
        gateway = Gateway(env, ROADS)
        self.gateways[name] = (gateway, spy, node)
        self.tasks[name] = self.loop.spawn(node, gateway.run())
        return gateway

    def spy(self, name: str = "gateway-1") -> Spy:
        return self.gateways[name][1]

    def kill(self, name: str) -> None:
        node = self.gateways[name][2]
        self.loop.kill(node)
        self.sockets.node_died(node)

    def browse(self, state: ClientState | None = None) -> Browser:
        """A connection to any gateway that listens."""
        socket = self.sockets.connect(self.loop.root)
        assert socket is not None, "refused"
        return Browser(socket, state)

    async def watch(self, state: ClientState | None = None, **hello: Any) -> Browser:
        """A connection that has got its first cut."""
        browser = self.browse(state)
        browser.hello(**hello)
        await browser.cut()
        return browser

    async def until(self, what: Callable[[], bool], within_s: float = 60.0) -> None:
        end = self.loop.now + within_s
        while not what():
            assert self.loop.now < end, "waited in vain"
            await asyncio.sleep(0.05)

    @property
    def end(self) -> Cursor:
        """The whole log."""
        places = (self.broker.partition(topics.LOCATIONS, 0), self.broker.partition(topics.EVENTS, 0))
        return Cursor(self.city.epoch, places[0].end, places[1].end)
