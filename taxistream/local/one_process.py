# SPDX-License-Identifier: Apache-2.0
"""The whole city in one process, on the bus in memory: for those who can have neither Java nor Kafka.

The shells are the real ones. What a broker is there for is missing, and the demo says so.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

import uvloop
from rich.console import Console

from taxi import topics
from taxi.bus import Bus
from taxi.bus.memory.bus import MemoryBroker, MemoryBus, plain_broker
from taxi.runtime import log
from taxi.runtime.admin import Readiness
from taxi.runtime.machine_errors import LocalError, in_words
from taxi.runtime.metrics import PrometheusMetrics
from taxi.runtime.parts import Part, Parts, State, write
from taxi.runtime.service import Service, serve
from taxi.runtime.settings import Settings
from taxistream.local.child import keep_small, tail
from taxistream.local.data_dir import DataDir
from taxistream.local.demo import (
    DemoOptions,
    city_variables,
    decision_variables,
    page_variables,
    simulators,
    verifier_variables,
    verifiers,
    world_variables,
)
from taxistream.local.output import when_lost
from taxistream.local.ports import Holds
from taxistream.local.session import at_home, open_browser, this_demo
from taxistream.local.supervisor import watch_signals

PART: Final = "city"
_KEPT_S: Final = {
    topics.LOCATIONS: 300,
    topics.COMMANDS: 3600,
    topics.EVENTS: 3600,
    topics.DEAD_LETTERS: 3600,
    topics.VERDICTS: 300,
}
"""Of what is older nothing is kept: memory is dearer than disk. A restart inside reads back three minutes."""
_TIDY_S: Final = 10.0
SAYS: Final = """\
The bus is in memory (--bus memory): one process, no Kafka.
You see the real dispatcher, simulator and gateway, and a page that checks every cut.
It cannot show what needs Kafka: no part can be killed and recover, no data outlives this process,
no transaction is tested, and no other program can read the log.
"""


def run_in_memory(options: DemoOptions, *, browser: bool, console: Console) -> None:
    """Run the city until Ctrl-C. Raises LocalError for whatever is in the way."""
    with at_home(options.data_dir, options, console) as home:
        console.print(SAYS, style="yellow")
        with in_words(home.log(PART), do="Choose another --data-dir."):
            keep_small(home.log(PART))
            log_file = home.log(PART).open("a", encoding="utf-8")
        with log_file as file, Holds() as holds:
            holds.take(options.port, purpose="the page", option="--port", host=options.host)
            city = InMemory(options, home, console, browser=browser, log_file=file)
            uvloop.run(city.run())
        console.print("Stopped. Nothing runs any more, and nothing was kept.", style="dim")


def _service(kind: str) -> Service[Any]:
    """Import a service. Only here: each takes a while, and a demo over Kafka needs none in this process."""
    from dispatcher import __main__ as dispatcher  # noqa: PLC0415
    from gateway import __main__ as gateway  # noqa: PLC0415
    from simulator import __main__ as simulator  # noqa: PLC0415
    from verifier import __main__ as verifier  # noqa: PLC0415

    services: dict[str, Service[Any]] = {
        "dispatcher": dispatcher.SERVICE,
        "simulator": simulator.SERVICE,
        "gateway": gateway.SERVICE,
        "verifier": verifier.SERVICE,
    }
    return services[kind]


@dataclass
class InMemory:
    """The services of a city as tasks of one loop."""

    options: DemoOptions
    home: DataDir
    console: Console
    browser: bool
    log_file: TextIO
    broker: MemoryBroker = field(init=False)
    ready: dict[str, Readiness] = field(default_factory=dict)

    async def run(self) -> None:
        """Wait for a signal. Raises LocalError if a service fails."""
        self.broker = plain_broker()
        stop = asyncio.Event()
        watch_signals(stop.set, stop.set)
        when_lost(self.console, stop.set)
        work, stopping = asyncio.create_task(self._live()), asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        work.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await work
        except* Exception as errors:
            raise self._failure(errors) from errors

    async def _live(self) -> None:
        logger = log.configure(name=PART, form="text", level="info", file=self.log_file)
        async with asyncio.TaskGroup() as group:
            for name, (kind, city) in self._services().items():
                service = _service(kind)
                settings = service.settings.from_env(self._variables(name, kind, city))
                self._make_topics(len(settings.served()))
                readiness = self.ready[name] = Readiness()
                metrics = PrometheusMetrics(service.metrics)
                named = logger.bind(part=name)  # type: ignore[attr-defined]
                group.create_task(serve(service, settings, self._connect, named, readiness, metrics))
            group.create_task(self._tidy())
            await self._until_ready()

    async def _connect(self, settings: Settings, _name: str) -> Bus:
        return MemoryBus(self.broker, prefix=settings.prefix)

    def _make_topics(self, partitions: int) -> None:
        prefix = os.environ.get("TAXI_PREFIX", "")
        for spec in topics.specs():
            if (prefix + spec.name, 0) not in self.broker.partitions:
                self.broker.create_topic(prefix + spec.name, partitions=partitions)

    def _services(self) -> dict[str, tuple[str, str]]:
        """Name → (kind, city, or empty for the first)."""
        worlds = {name: ("simulator", city) for name, city in simulators(self.options).items()}
        checks = {name: ("verifier", city) for name, city in verifiers(self.options).items()}
        return {"dispatcher": ("dispatcher", ""), **worlds, "gateway": ("gateway", ""), **checks}

    def _variables(self, name: str, kind: str, city: str) -> Mapping[str, str]:
        """The environment of one service: no admin port, and no kill button, for there is nothing to kill."""
        inherited = {key: value for key, value in os.environ.items() if key != "TAXI_PARTS_DIR"}
        own = {"TAXI_NAME": name, "TAXI_ADMIN_PORT": "0", "TAXI_REUSE_PORT": "false"}
        by_kind = {
            "dispatcher": decision_variables(self.options),
            "simulator": world_variables(self.options) | city_variables(self.options, city),
            "gateway": page_variables(self.options),
            "verifier": verifier_variables(self.options, 1, city),
        }
        return inherited | by_kind[kind] | own

    async def _until_ready(self) -> None:
        began_s, waiting = time.monotonic(), list(self._services())
        while waiting:
            for name in [name for name in waiting if self.ready[name].reason is None]:
                waiting.remove(name)
                self.console.print("✓", style="green", end=" ")
                self.console.print(
                    f"{name:<14} ready after {time.monotonic() - began_s:.1f} s (in this process)"
                )
            await asyncio.sleep(0.05)
        with in_words(do="`taxi ps` needs it."):
            write(self.home.path, Parts(demo=this_demo(self.options, ""), parts=[self._part()]))
        self.console.print(f"\nThe city is live at {self.options.url}, in memory.", style="bold")
        self.console.print("Ctrl-C stops it; nothing is kept.\n", style="dim")
        if self.browser:
            await asyncio.to_thread(open_browser, self.options.url)

    def _part(self) -> Part:
        us = this_demo(None, "")
        return Part(
            name=PART,
            pid=us.pid,
            created=us.created,
            port=self.options.port,
            admin_port=None,
            state=State.READY,
            restarts=0,
        )

    async def _tidy(self) -> None:
        """Retention and compaction, as a broker would."""
        while True:
            await asyncio.sleep(_TIDY_S)
            now_ms = time.time_ns() // 1_000_000
            for (topic, _), partition in self.broker.partitions.items():
                kept_s = next((s for name, s in _KEPT_S.items() if topic.endswith(name)), None)
                if kept_s is None:
                    partition.compact()
                else:
                    partition.delete_before(partition.offset_at(now_ms - kept_s * 1000))
                partition.let_go()

    def _failure(self, errors: BaseExceptionGroup[Exception]) -> LocalError:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        if isinstance(first, LocalError):
            return first
        self.log_file.flush()
        return LocalError(
            f"The city ended: {first!r}.",
            do=f"Its whole log is {self.home.log(PART)}",
            details=tail(self.home.log(PART)),
        )
