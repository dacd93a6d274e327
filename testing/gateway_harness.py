# SPDX-License-Identifier: Apache-2.0
"""Real gateways on a memory broker in virtual time, with a log written by the test, and clients."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.settings import Settings
from gateway.shell import Gateway
from taxi import messages as m
from taxi import topics
from taxi.bus import Outgoing
from taxi.bus.memory.bus import MemoryBroker, MemoryBus, MemoryLimits
from taxi.client.decode import decode_update
from taxi.client.replica import Replica
from taxi.client.rows import Update
from taxi.cursor import Cursor
from taxi.messages import codec
from taxi.positions.newest import NewestFixes
from taxi.roads.grid import grid_city
from taxi.runtime.env import Env
from taxi.runtime.faults import Fault
from taxi.state import CityState, snapshots
from testing.control_messages import check_server_message
from testing.virtual_sockets import SimListener, Socket, SocketNetwork
from testing.virtual_time import Node, SimLoop, SimTask

START_MS = 1_750_000_000_000
EPOCH = "0123456789abcdef"
LIMITS = MemoryLimits(give_up_s=1.0, request_s=0.3, end_transaction_s=0.2)
ROADS = grid_city(4, 4, name="grid")
HERE, THERE = tuple(ROADS.nodes[0].tolist()), tuple(ROADS.nodes[15].tolist())


class Spy:
    """Log, metrics and health in one object that records all calls."""

    def __init__(self) -> None:
        self.reason: str | None = "starting"
        self.said: list[str] = []
        self.noted: list[tuple[str, dict[str, Any]]] = []
        """Lines of the log, and their fields."""
        self.counts: dict[str, float] = {}

    def ready(self) -> None:
        self.reason = None

    def not_ready(self, reason: str) -> None:
        self.reason = reason

    def note(self, event: str, **fields: Any) -> None:
        self.said.append(f"{event} {fields}")
        self.noted.append((event, fields))

    debug = info = warning = error = note

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        key = " ".join([name, *labels.values()])
        self.counts[key] = self.counts.get(key, 0) + amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.counts[" ".join([name, *labels.values()])] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        self.count(name, value, **labels)


def is_notice(message: bytes | str | None) -> bool:
    """Whether a message changes nothing of a session."""
    return isinstance(message, str) and message.startswith(
        ('{"type":"pending"', '{"type":"health"', '{"type":"verdict"')
    )


class Browser:
    """One connection, and a client's rows."""

    def __init__(self, socket: Socket, state: Replica | None = None) -> None:
        self.socket = socket
        self.state = state or Replica()
        self.said: list[dict[str, Any]] = []
        """Control messages."""
        self.notices: list[dict[str, Any]] = []
        """Of them `pending` and `health`, which change nothing of a session."""
        self.cuts: list[Update] = []

    def hello(self, **changes: Any) -> None:
        cursor = {"cursor": str(self.state.cursor)} if self.state.cursor else {}
        self.socket.send(json.dumps({"type": "hello", "v": 1, "city": "grid", **cursor, **changes}))

    async def next(self, within_s: float = 20.0) -> Update | dict[str, Any] | None:
        """The next message but notices, taken in; None when the connection ends."""
        async with asyncio.timeout(within_s):
            while is_notice(message := await self.socket.receive()):
                self.notices.append(json.loads(message or ""))
                check_server_message(self.notices[-1])
        if isinstance(message, bytes):
            cut = decode_update(message)
            self.state.apply(cut)
            self.cuts.append(cut)
            return cut
        if message is not None:
            self.said.append(json.loads(message))
            check_server_message(self.said[-1])
            if self.said[-1]["type"] == "ready":
                self.state.ready(self.said[-1]["epoch"])
            return self.said[-1]
        return None

    async def cut(self, within_s: float = 20.0) -> Update:
        """The next cut, whatever is said before it."""
        while not isinstance(message := await self.next(within_s), Update):
            assert message is not None, f"closed: {self.socket.closed}"
        return message

    async def closed(self, within_s: float = 60.0) -> tuple[int, str]:
        """How the connection ends."""
        async with asyncio.timeout(within_s):
            while await self.next(within_s) is not None:
                pass
        assert self.socket.closed is not None
        return int(self.socket.closed.code), self.socket.closed.reason


class GatewayHarness:
    """A broker, methods to write the log, and gateways."""

    def __init__(self) -> None:
        self.loop = SimLoop(1)
        self.broker = MemoryBroker(self.loop, now_ms=self.now_ms, now_s=self.loop.time, rng=random.Random(1))
        for spec in topics.specs():
            self.broker.create_topic(spec.name)
        self.sockets = SocketNetwork(self.loop, random.Random(2))
        self.city = CityState()
        self.gateways: dict[str, tuple[Gateway, Spy, Node]] = {}
        self.tasks: dict[str, SimTask] = {}
        self.envs: dict[str, Env[Settings]] = {}

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(scenario)
        assert self.loop.errors == []

    def now_ms(self) -> int:
        return START_MS + int(self.loop.now * 1000)

    # --- the log ------------------------------------------------------------------------------------

    def fix(self, driver: int, place: tuple[float, ...] = HERE, *, at_ms: int | None = None) -> None:
        at_ms = self.now_ms() if at_ms is None else at_ms
        self.raw(
            topics.LOCATIONS, codec.encode(m.Fix(driver=driver, at_ms=at_ms, lng=place[0], lat=place[1]))
        )

    def fix_at(self, driver: int, append_ms: int) -> int:
        """A fix with this append time, whatever the clock says. Its offset."""
        fix = m.Fix(driver=driver, at_ms=append_ms, lng=HERE[0], lat=HERE[1])
        return self.broker.partition(topics.LOCATIONS, 0).append(
            [Outgoing(b"", codec.encode(fix))], append_ms
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
        shifts = [event.shift_ms for event in made if isinstance(event, m.ClockSetBack)]
        made.append(
            m.BatchClosed(
                **shared,
                count=count,
                commands_offset=0,
                locations_offset=locations,
                shift_ms=shifts[-1] if shifts else self.city.shift_ms,
            )
        )
        for event in made:
            self.city.apply(event)
        place = self.broker.partition(topics.EVENTS, 0)
        place.append([Outgoing(b"", codec.encode(event)) for event in made], self.now_ms())
        return place.end

    def snapshot(self) -> None:
        """Write a snapshot, as the dispatcher does once a minute."""
        ev = self.broker.partition(topics.EVENTS, 0).end
        records = snapshots.pack(self.city, NewestFixes(), ev)
        self.broker.partition(topics.SNAPSHOTS, 0).append(records, self.now_ms())

    async def traffic(self, drivers: int = 5) -> None:
        """Write a position of each driver every second and a batch every two seconds, until cancelled."""
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
        """Start a gateway without waiting until it is ready."""
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
        self.envs[name] = env
        gateway = Gateway(env, ROADS)
        self.gateways[name] = (gateway, spy, node)
        self.tasks[name] = self.loop.spawn(node, gateway.run())
        return gateway

    def spy(self, name: str = "gateway-1") -> Spy:
        return self.gateways[name][1]

    def faults(self, name: str = "gateway-1") -> tuple[Fault, ...]:
        """The faults that a gateway reports."""
        return tuple(self.envs[name].faults.current)

    def kill(self, name: str) -> None:
        node = self.gateways[name][2]
        self.loop.kill(node)
        self.sockets.node_died(node)

    def browse(self, state: Replica | None = None) -> Browser:
        """A connection to any gateway that listens."""
        socket = self.sockets.connect(self.loop.root)
        assert socket is not None, "refused"
        return Browser(socket, state)

    async def watch(self, state: Replica | None = None, **hello: Any) -> Browser:
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
