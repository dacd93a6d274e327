# SPDX-License-Identifier: Apache-2.0
"""Several cities in one gateway process: a `Gateway` for each, behind one listener.

1. `FrontDoor` accepts connections and reads the first message of each: `hello` names the city.
2. The connection goes to that city's `CityListener`, and from there to its `Gateway`.
3. Each `Gateway` has its own environment (`_city_env`): its own settings, faults and readiness. Its gauges
   have the label `city`; counters are of the process.

The cities share nothing else. While one is not ready, its clients are sent away to try again, and the other
cities are served.
"""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.settings import Settings
from gateway.shell import Gateway
from gateway.stream.messages import MESSAGE_BYTES_MAX, Close
from gateway.stream.nesting import is_too_deep
from gateway.stream.session import HELLO_S_MAX
from taxi.bus import BusError
from taxi.roads.network import RoadNetwork
from taxi.runtime.env import Connection, Env, Health, Listener, Metrics
from taxi.runtime.faults import Fault, Faults

_AWAY_MS: Final = (500, 1_500)
"""How long a client of a city that is not ready waits before it tries again."""


class Gateways:
    """The gateways of all cities that this process shows.

    Args:
        env: The process's environment, with its listener.
        roads: City → its streets, if not those that the settings name.
    """

    def __init__(self, env: Env[Settings], roads: Mapping[str, RoadNetwork] | None = None) -> None:
        if env.listener is None:
            message = "a gateway needs a listener"
            raise ValueError(message)
        names = [city.name for city in env.settings.shown()]
        shared = OpenOnce(env.listener)
        listeners = {name: CityListener(shared) for name in names}
        self._door = FrontDoor(env, listeners)
        health, faults = SharedHealth(env.health, names), SharedFaults(env.faults)
        self.by_city: dict[str, Gateway] = {
            name: Gateway(_city_env(env, name, listeners[name], health, faults), (roads or {}).get(name))
            for name in names
        }
        """In the order of the settings: the first is the page's first."""

    async def run(self) -> None:
        """Run until cancelled; then clients are moved to other gateways first. Raises BusError."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._door.run(tasks), name="front door")
                for name, gateway in self.by_city.items():
                    tasks.create_task(gateway.run(), name=name)
        except* BusError as group:
            raise group.exceptions[0] from None


def _city_env(
    env: Env[Settings], name: str, listener: Listener, health: "SharedHealth", faults: "SharedFaults"
) -> Env[Settings]:
    return dataclasses.replace(
        env,
        settings=msgspec.structs.replace(env.settings, city=name, shown_cities=""),
        listener=listener,
        health=CityHealth(health, name),
        faults=CityFaults(faults, name),
        metrics=CityMetrics(env.metrics, name),
    )


# --- connections --------------------------------------------------------------------------------------


class CityListener:
    """The source of one city's connections. Implements `taxi.runtime.env.Listener`."""

    def __init__(self, shared: Listener) -> None:
        self._shared = shared
        self._arrived: asyncio.Queue[Connection] = asyncio.Queue()
        self.is_open = False

    async def accept(self) -> Connection:
        return await self._arrived.get()

    def open(self) -> None:
        """Accept connections of this city. The first city that does so opens the shared listener."""
        self.is_open = True
        self._shared.open()

    def close(self) -> None:
        """Accept no more. All cities of a process stop together, so the shared listener is closed, too."""
        self.is_open = False
        self._shared.close()

    def put(self, connection: Connection) -> None:
        """Hand over a connection."""
        self._arrived.put_nowait(connection)


class OpenOnce:
    """A listener that several cities open and close: the first call of each kind counts."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._was_opened = self._was_closed = False

    async def accept(self) -> Connection:
        return await self._listener.accept()

    def open(self) -> None:
        if not self._was_opened:
            self._was_opened = True
            self._listener.open()

    def close(self) -> None:
        if not self._was_closed:
            self._was_closed = True
            self._listener.close()


class FrontDoor:
    """Reads the first message of each connection and hands the connection to the city that it names.

    A message that names no city of this process is given to the first city's gateway, which refuses it as any
    gateway does: so there is one place that decides what a `hello` must be.
    """

    def __init__(self, env: Env[Settings], listeners: Mapping[str, CityListener]) -> None:
        assert env.listener is not None
        self._env = env
        self._listener = env.listener
        self._listeners = listeners
        self._first = next(iter(listeners.values()))

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Until cancelled. Each connection is a task of `tasks` until its first message came."""
        while True:
            tasks.create_task(self._receive(await self._listener.accept()))

    async def _receive(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(HELLO_S_MAX):
                message = await connection.receive()
        except TimeoutError:
            connection.close(Close.PROTOCOL, f"no hello within {HELLO_S_MAX:g} s")
            return
        if message is None:
            connection.close()
            return
        listener = self._listeners.get(city_of(message) or "", self._first)
        if not listener.is_open:
            connection.close(Close.AWAY, str(self._env.random.randrange(*_AWAY_MS)))
            return
        listener.put(Begun(connection, message))


class _City(msgspec.Struct):
    city: str = ""


_CITY: Final = msgspec.json.Decoder(_City)


def city_of(message: bytes | str) -> str | None:
    """The city that a first message names; None if it cannot be read. Never raises."""
    if isinstance(message, bytes) or len(message) > MESSAGE_BYTES_MAX or is_too_deep(message):
        return None
    try:
        return _CITY.decode(message).city
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


class Begun:
    """A connection whose first message was read already: `receive` returns it first."""

    __slots__ = ("_connection", "_first", "form", "peer")

    def __init__(self, connection: Connection, first: bytes | str) -> None:
        self._connection = connection
        self._first: bytes | str | None = first
        self.form = connection.form
        self.peer = connection.peer

    def send(self, message: bytes | str) -> None:
        self._connection.send(message)

    def write(self, wire: Any, /) -> None:
        self._connection.write(wire)

    def send_before(self, words: Sequence[str], wire: Any) -> None:
        self._connection.send_before(words, wire)

    def backlog(self) -> int:
        return self._connection.backlog()

    async def receive(self) -> bytes | str | None:
        first, self._first = self._first, None
        return first if first is not None else await self._connection.receive()

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._first = None
        self._connection.close(code, reason)


# --- readiness, faults, metrics -----------------------------------------------------------------------


class SharedHealth:
    """The process is ready when all of its cities are; until then it says which one is not, and why."""

    def __init__(self, health: Health, cities: Sequence[str]) -> None:
        self._health = health
        self._reasons: dict[str, str | None] = dict.fromkeys(cities, "starting")

    def set(self, city: str, reason: str | None) -> None:
        """Why a city is not ready; None if it is."""
        self._reasons[city] = reason
        waiting = [f"{name}: {why}" for name, why in self._reasons.items() if why is not None]
        if waiting:
            self._health.not_ready("; ".join(waiting))
        else:
            self._health.ready()


class CityHealth:
    """The readiness of one city. Implements `taxi.runtime.env.Health`."""

    def __init__(self, shared: SharedHealth, city: str) -> None:
        self._shared = shared
        self._city = city

    def ready(self) -> None:
        self._shared.set(self._city, None)

    def not_ready(self, reason: str) -> None:
        self._shared.set(self._city, reason)


class SharedFaults:
    """The faults of the process, and which of them each city reported."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.owner: dict[tuple[str, str], str] = {}
        """(code, about) → the city that reported it."""


class CityFaults(Faults):
    """The faults of one city: its own, and those that concern the process and not another city.

    Its own are reported to the process, too, about this city.
    """

    def __init__(self, shared: SharedFaults, city: str) -> None:
        super().__init__()
        self._shared = shared
        self._city = city

    @property
    def current(self) -> tuple[Fault, ...]:
        owner = self._shared.owner
        return tuple(
            fault
            for fault in self._shared.faults.current
            if owner.get((fault.code, fault.about), self._city) == self._city
        )

    def report(self, code: str, text: str, *, blocks: bool = False, about: str = "") -> None:
        key = self._key(code, about)
        self._shared.owner[key] = self._city
        self._shared.faults.report(code, text, blocks=blocks, about=key[1])

    def clear(self, code: str, *, about: str = "") -> None:
        key = self._key(code, about)
        if self._shared.owner.pop(key, None) is not None:
            self._shared.faults.clear(code, about=key[1])

    def _key(self, code: str, about: str) -> tuple[str, str]:
        """Where the process keeps a fault of this city: another city may have the same one."""
        return code, f"{self._city}: {about}" if about else self._city


class CityMetrics:
    """Metrics of one city: gauges have the label `city`, because each city would overwrite the other's."""

    def __init__(self, metrics: Metrics, city: str) -> None:
        self._metrics = metrics
        self._city = city

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self._metrics.count(name, amount, **labels)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self._metrics.gauge(name, value, city=self._city, **labels)

    def observe(self, name: str, value: float, **labels: str) -> None:
        self._metrics.observe(name, value, **labels)
