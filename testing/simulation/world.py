# SPDX-License-Identifier: Apache-2.0
"""One simulated world: a broker, the real services on nodes of their own, clients, and a record of it all."""

import asyncio
import hashlib
import json
import random
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

from msgspec.structs import astuple

import dispatcher.shell
import gateway.shell
import simulator.shell
from dispatcher.city_context import CityContext
from dispatcher.settings import Settings as DispatcherSettings
from gateway.access.tokens import Grant, Keys, Role
from gateway.settings import Settings as GatewaySettings
from simulator.settings import Settings as SimulatorSettings
from simulator.world import World as City
from taxi import topics
from taxi.bus import BusError
from taxi.bus.memory.bus import MemoryBroker, MemoryBus
from taxi.bus.memory.log import Fate
from taxi.client.replica import Replica
from taxi.client.rows import Update
from taxi.runtime.env import Env
from testing.simulation.client import Behavior, Client, Context, Window
from testing.simulation.oracle import Oracle, Sight, Violation, of_the_group
from testing.simulation.scale import (
    BUS_LIMITS,
    CITIES,
    CITY,
    DECIDE_S,
    DECISION_CONFIG,
    DRAIN_PER_S,
    EXPIRY_MS,
    PEOPLE,
    SCENARIOS_DIR,
    SECOND_CITY,
    city,
)
from testing.simulation.search import EVERYTHING, Search
from testing.virtual_sockets import SimListener, Socket, SocketNetwork
from testing.virtual_time import Node, SimLoop, SimTask, State

T = TypeVar("T")
BIRTH_MS = 1_750_000_000_000
TOKEN_SECRET = "a secret of the simulation's own"
DISPATCHERS = ("dispatcher-1", "dispatcher-2")
SERVICES = {
    "whole": (*DISPATCHERS, "gateway-1", "gateway-2", "simulator"),
    "city": (*DISPATCHERS, "simulator"),
    "cities": (*DISPATCHERS, "simulator", "simulator-2"),
}
CLIENTS = ("client-1", "client-2", "client-3")
LOADS = (0.5, 1.0, 1.6)
"""The demand, of the usual."""
SPEEDS = (1, 1, 1, 1, 1, 1, 1, 3, 10, 30)
"""How many times as fast as the clock people live from a world's birth on."""
CHANGED_TO = (1, 3, 10, 30)
CHANGE_SHARE = 0.3
"""Of worlds in which the speed is changed once."""
ANOTHER_CITY = "another city"
"""The digest of the streets that dispatchers of another city decide by."""
FULL_SPEED = 4
"""If people live faster, the fleet asks for no more rides a second than at this speed: these dispatchers
could not decide more."""


class NodeLog:
    """A node's structured log: the last lines of all nodes are a failure's story."""

    def __init__(self, world: "World", name: str, fields: dict[str, Any] | None = None) -> None:
        self._world = world
        self._name = name
        self._fields = fields or {}

    def bind(self, **fields: Any) -> "NodeLog":
        return NodeLog(self._world, self._name, {**self._fields, **fields})

    def debug(self, event: str, **fields: Any) -> None:
        """Not part of a story."""

    def info(self, event: str, **fields: Any) -> None:
        self._world.tell(self._name, event, **self._fields, **fields)
        self._world.saw(event)
        if "code" in fields:
            self._world.saw(f"{event} {fields['code']}")
        if self._world.on_line is not None:
            self._world.on_line(self._name, event)

    warning = info
    error = info
    exception = info


class NodeMetrics:
    """Counts what services count, over all nodes."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self._counts[" ".join([name, *labels.values()])] += int(amount)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Not looked at."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Not looked at."""


class NodeHealth:
    """Tells the story when a service's readiness changes."""

    def __init__(self, log: NodeLog) -> None:
        self._log = log
        self.is_ready = False

    def ready(self) -> None:
        self.is_ready = True

    def not_ready(self, reason: str) -> None:
        self.is_ready = False


@dataclass
class Plan:
    """What varies from world to world."""

    drivers: int
    load: float
    speed: int
    """Of dispatchers that start from now on."""
    next_speed: int | None
    """To what it is changed; None: it is not."""
    of_another_city: frozenset[str] = frozenset()
    """Dispatchers that are configured for other cities, from their next start on."""


@dataclass
class World:
    """Built from a seed; run by a nemesis; judged by the oracle."""

    seed: int
    search: Search = EVERYTHING
    loop: SimLoop = field(init=False)
    failures: list[Violation] = field(default_factory=list)
    observations: list[Sight] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    metrics: Counter[str] = field(default_factory=Counter)
    scenario: deque[tuple[Any, ...]] = field(default_factory=lambda: deque(maxlen=400))
    nodes: dict[str, Node] = field(default_factory=dict)
    mains: dict[str, SimTask] = field(default_factory=dict)
    buses: dict[str, MemoryBus] = field(default_factory=dict)
    """By service: its connections to the broker, in its newest life."""
    towns: dict[str, City] = field(default_factory=dict)
    """By simulator: its drivers and riders, in its newest life."""
    calm: asyncio.Event = field(default_factory=asyncio.Event)
    demand_stopped: bool = False
    clocks_set_ms: int = 0
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at the first violation."""
    on_line: Callable[[str, str], None] | None = None
    """Called when a service has written a line to its log: who, and what."""

    def __post_init__(self) -> None:
        self.loop = SimLoop(self.seed)
        rng = random.Random(f"world {self.seed}")
        drivers, load = rng.randrange(6, 13), rng.choice(LOADS)
        load = load if self.search.load is None else self.search.load
        self.plan = Plan(drivers, load, *self._speeds())
        self.plan.load *= min(1.0, FULL_SPEED / max(self.plan.speed, self.plan.next_speed or 1))
        self.broker = MemoryBroker(
            self.loop,
            now_ms=self.now_ms,
            now_s=self.loop.time,
            rng=random.Random(f"broker {self.seed}"),
        )
        self.broker.harshness.latency_s = 0.003
        self.broker.harshness.cut_fetches = rng.choice([0.0, 0.1, 0.4])
        self.broker.harshness.stragglers = rng.choice([0.0, 0.002, 0.01])
        for spec in topics.specs():
            self.broker.create_topic(spec.name, partitions=len(self.cities))
        self.sockets = SocketNetwork(self.loop, random.Random(f"sockets {self.seed}"))
        self.sockets.watch = self._watch
        self.drains: dict[Node, list[float]] = {}
        """Gateway → when it sent `drain` to each client."""
        self._lives: Counter[str] = Counter()
        self.skew_ms = {name: rng.randrange(-60, 61) for name in self.services}
        self.moves_when_calm: int | None = None

    def _speeds(self) -> tuple[int, int | None]:
        """At birth, and later. By draws of their own: they do not change what else a world is like."""
        rng, search = random.Random(f"speed {self.seed}"), self.search
        speed = rng.choice(search.speeds or ((1,) if search.only else SPEEDS))
        changes = rng.random() < (1.0 if "change_speed" in search.faults else CHANGE_SHARE)
        others = [other for other in search.speeds or CHANGED_TO if other != speed]
        return speed, rng.choice(others) if changes and search.allows("change_speed") and others else None

    @property
    def cities(self) -> tuple[str, ...]:
        """In the order of their partitions."""
        return (CITY, SECOND_CITY) if self.search.kind == "cities" else (CITY,)

    @property
    def services(self) -> tuple[str, ...]:
        return SERVICES[self.search.kind]

    @property
    def clients(self) -> tuple[str, ...]:
        return CLIENTS if self.search.kind == "whole" else ()

    def now_ms(self) -> int:
        """What the clocks say, the broker's and those of the services: somebody may have set them."""
        return BIRTH_MS + round(self.loop.now * 1000) + self.clocks_set_ms

    # --- what everyone says -------------------------------------------------------------------------

    def tell(self, who: str, what: str, **fields: Any) -> None:
        self.scenario.append((round(self.loop.now, 3), who, what, fields))

    def fail(self, rule: str, *details: object) -> None:
        # As text: an error would keep its frames, and with them the whole world.
        self.failures.append((rule, round(self.loop.now, 3), *map(str, details)))
        self.failed.set()

    def saw(self, what: str) -> None:
        self.tally[what] += 1

    def observe(self, client: str, cut: Update, state: Replica, window: Window, context: Context) -> None:
        self.tally["cuts"] += 1
        self.observations.append(
            Sight(self.loop.now, client, cut, dict(state.drivers), dict(state.rides), window, context)
        )

    def _watch(self, socket: Socket, message: bytes | str) -> None:
        """What gateways send, when they send it."""
        expires_ms = socket.other.expires_ms
        clock_ms = self.now_ms() + self.skew_ms.get(socket.node.name, 0)
        if isinstance(message, bytes) and expires_ms is not None and clock_ms >= expires_ms:
            self.fail("a frame after its token", socket.node.name, socket.peer, clock_ms - expires_ms)
        elif isinstance(message, str) and message.startswith('{"type":"drain"'):
            self.drains.setdefault(socket.node, []).append(self.loop.now)

    def token(self, lasting_s: float) -> tuple[str, int]:
        """A viewer's, and when it ends by the world's clock."""
        expires_ms = self.now_ms() // 1000 * 1000 + round(lasting_s) * 1000
        return Keys(TOKEN_SECRET).mint(Grant(Role.VIEWER, expires_ms, CITY), self.now_ms()), expires_ms

    # --- nodes --------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """A new process of this name: a new object graph, its own random numbers."""
        self._lives[name] += 1
        node = self.nodes[name] = Node(name)
        rng = random.Random(f"{self.seed} {name} {self._lives[name]}")
        main = self.loop.spawn(node, self._main(name, node, rng))
        self.mains[name] = main
        main.add_done_callback(lambda task: self._ended(name, node, task))
        self.tell(name, "started", life=self._lives[name])

    def kill(self, name: str) -> None:
        node = self.nodes[name]
        if node.state is not State.DEAD:
            self.loop.kill(node)
            self.tell(name, "killed")
        self.sockets.node_died(node)

    def _main(self, name: str, node: Node, rng: random.Random) -> Coroutine[Any, Any, None]:
        if name.startswith("client"):
            return self._client(name, node, rng).live()
        kind = name.split("-", maxsplit=1)[0]
        return MAINS[kind](self, name, node, rng)

    def _client(self, name: str, node: Node, rng: random.Random) -> Client:
        return Client(
            name,
            lambda: self.sockets.connect(node),
            rng,
            self,
            self.calm,
            Behavior.drawn(rng, self.search.clients),
            self.token,
        )

    def env(self, name: str, node: Node, rng: random.Random, settings: Any) -> Env[Any]:
        log = NodeLog(self, name)
        listener = None
        if isinstance(settings, GatewaySettings):
            listener = self.sockets.listeners[name] = SimListener(node)
        bus = self.buses[name] = MemoryBus(self.broker, world=self.loop, rng=rng, limits=BUS_LIMITS)
        return Env(
            settings=settings,
            bus=bus,
            now_ms=lambda: self.now_ms() + self.skew_ms[name],
            random=rng,
            new_id=lambda: f"{rng.getrandbits(64):016x}",
            log=log,
            metrics=NodeMetrics(self.metrics),
            health=NodeHealth(log),
            listener=listener,
            offload=lambda work: self.offload(node, work),
        )

    async def offload(self, node: Node, work: Callable[[], T]) -> T:
        """A thread, as far as `node` can tell: it goes on meanwhile, and the result takes its time."""
        del node
        result = work()
        await asyncio.sleep(cost_s(result))
        return result

    def _ended(self, name: str, node: Node, task: SimTask) -> None:
        """Restart a service that ended; only a stop or an unavailable broker may end one."""
        if node.state is State.DEAD:
            return
        self.sockets.node_died(node)
        if task.cancelled():
            return
        errors = leaves(task.exception())
        self.tell(name, "ended", errors=[repr(error) for error in errors])
        if not errors or not all(isinstance(error, BusError) for error in errors):
            self.fail("a service ended", name, *map(repr, errors))
        self.saw(f"{name.split('-', maxsplit=1)[0]} gave up")
        self.loop.kill(node)
        self.loop.in_world(0.5, self._restart_after, name, node)

    def _restart_after(self, name: str, node: Node) -> None:
        if self.nodes[name] is node:
            self.start(name)

    # --- the end ------------------------------------------------------------------------------------

    def has_work_left(self) -> bool:
        """Whether a ride that was asked for has not ended, or a command was not read."""
        partitions = range(len(self.cities))
        return any(self._open_in(partition) or self._unread_in(partition) for partition in partitions)

    def _unread_in(self, partition: int) -> bool:
        commands, events = (
            self.broker.partition(name, partition) for name in (topics.COMMANDS, topics.EVENTS)
        )
        read_to = 0
        for offset in reversed(range(events.end)):
            record, transaction, _ = events.originals.get(offset, events.entries[offset])
            if transaction is None or "taxi.dispatcher" not in transaction.transactional_id:
                continue
            if transaction.fate is Fate.COMMITTED and b'"BatchClosed"' in (record.value or b""):
                read_to = json.loads(record.value or b"")["commands_offset"]
                break
        unread = commands.entries[max(read_to, commands.start) : commands.stable]
        return any((entry.record.value or b"").startswith(b"{") for entry in unread)

    def _open_in(self, partition: int) -> bool:
        counts: Counter[str] = Counter()
        place = self.broker.partition(topics.EVENTS, partition)
        for offset, present in enumerate(place.entries):
            record, transaction, _ = place.originals.get(offset, present)
            if transaction is None or "taxi.dispatcher" not in transaction.transactional_id:
                continue
            if transaction.fate is Fate.COMMITTED and record.value:
                if b'"events_lost"' in record.value:
                    counts.clear()
                counts[record.value[9:21].split(b'"')[0].decode()] += 1
        asked = counts["RideRequeste"]
        ended = sum(
            counts[kind[:12]] for kind in ("TripCompleted", "RideCancelled", "RideNoShow", "RideExpired")
        )
        return asked > ended

    def judge(self, *, until_first: bool = False) -> list[Violation]:
        """All that went wrong; or no more than the first violation."""
        for node, error in self.loop.errors:
            self.fail("an error that was not handled", node, repr(error)[:300])
        if until_first and self.failures:
            return self.failures
        for partition, name in enumerate(self.cities):
            oracle = Oracle(
                self.broker,
                partition,
                [] if partition else self.observations,
                [] if partition else list(self.clients),
                self.now_ms(),
                EXPIRY_MS,
                city(name)[0].prepare(),
                DECISION_CONFIG,
            )
            self.failures += islice(oracle.violations(), 1 if until_first else None)
            if until_first and self.failures:
                return self.failures
            if hasattr(oracle, "events"):
                self.tally += oracle.tally()
        self.failures += self._drained_at_once()
        self.failures += of_the_group(self.broker.counts, self.moves_when_calm)
        self.tally += self.broker.counts
        self.tally["a frame skipped for a slow reader"] += self.metrics["gateway_skipped_total"]
        self.tally += Counter(
            {name: n for name, n in self.metrics.items() if "fenced" in name or "dropped_positions" in name}
        )
        return self.failures

    def _drained_at_once(self) -> list[Violation]:
        """Each has its turn: within the time of one turn one is sent on, whatever held up those before."""
        for node, drains_s in self.drains.items():
            for first_s in drains_s:
                within = sum(first_s <= at_s < first_s + 0.999 / DRAIN_PER_S for at_s in drains_s)
                if within > 1:
                    return [("drained at once", node.name, within, first_s)]
        return []

    def trace(self) -> str:
        """Names this run: everything that was written and seen."""
        digest = hashlib.blake2b(digest_size=8)
        for (topic, number), partition in self.broker.partitions.items():
            for record, transaction, is_marker in partition.entries:
                fate = transaction.fate.value if transaction else ""
                digest.update(repr((topic, number, *astuple(record), fate, is_marker)).encode())
        for sight in self.observations:
            digest.update(repr((sight.at_s, sight.client, sight.cut.loc, sight.cut.ev)).encode())
        digest.update(json.dumps([self.loop.steps, self.loop.now]).encode())
        return digest.hexdigest()

    def shut_down(self) -> None:
        """Nothing of this world is reachable any more, and none of it ran a `finally`."""
        for node in self.nodes.values():
            self.loop.kill(node)
        for kept in (self.nodes, self.mains, self.towns, self.observations, self.sockets.listeners):
            kept.clear()
        del self.broker, self.sockets
        self.loop.shut_down()


def cost_s(result: Any) -> float:
    """How long it took to decide a batch: so much for each record; 0 for other work."""
    match result:
        case (list(), list(writes)):
            return DECIDE_S * len(writes)
    return 0.0


def leaves(error: BaseException | None) -> list[BaseException]:
    """The errors in a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [] if error is None else [error]


# --- the services, as they are ----------------------------------------------------------------------


def _simulator(world: World, name: str, node: Node, rng: random.Random) -> Coroutine[Any, Any, None]:
    load = 0.0 if world.demand_stopped else world.plan.load
    own = SECOND_CITY if name.endswith("-2") else CITY
    settings = SimulatorSettings(
        city=own,
        cities=CITIES,
        name=name,
        drivers=world.plan.drivers,
        seed=world.seed,
        load=load,
        scenarios_dir=str(SCENARIOS_DIR),
    )
    roads, demand = city(own)
    env = world.env(name, node, rng, settings)
    return simulator.shell.main(env, roads=roads, demand=demand, behavior=PEOPLE)


def _dispatcher(world: World, name: str, node: Node, rng: random.Random) -> Coroutine[Any, Any, None]:
    settings = DispatcherSettings(city=CITY, cities=CITIES, name=name)
    env = world.env(name, node, rng, settings)
    decision_config = replace(DECISION_CONFIG, speed=world.plan.speed)
    cities = [city(each)[0] for each in world.cities]
    if name in world.plan.of_another_city:
        cities = [roads.named(f"not {roads.city.name}") for roads in cities]
        decision_config = replace(decision_config, data_digest=ANOTHER_CITY)
    own = [CityContext(partition, roads, decision_config) for partition, roads in enumerate(cities)]
    return dispatcher.shell.main(env, own=own)


def _gateway(world: World, name: str, node: Node, rng: random.Random) -> Coroutine[Any, Any, None]:
    settings = GatewaySettings(
        city=CITY,
        name=name,
        cut_interval_ms=250,
        row_expiry_ms=EXPIRY_MS,
        resume_ms=12_000,
        token_secret=TOKEN_SECRET,
        drain_per_s=DRAIN_PER_S,
    )
    roads, _ = city()
    env = world.env(name, node, rng, settings)
    return gateway.shell.main(env, roads=roads)


MAINS: dict[str, Callable[[World, str, Node, random.Random], Coroutine[Any, Any, None]]] = {
    "simulator": _simulator,
    "dispatcher": _dispatcher,
    "gateway": _gateway,
}
