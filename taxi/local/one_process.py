# SPDX-License-Identifier: Apache-2.0
"""The whole city in one process, on the bus in memory: for those who can have neither Java nor Kafka.

The shells are the real ones. What a broker is there for is missing, and the demo says so.
"""

import asyncio
import importlib
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

import uvloop
from rich.console import Console

from taxi import topics
from taxi.bus import Bus
from taxi.bus.memory import MemoryBroker, MemoryBus, plain_broker
from taxi.local.child import keep_small, tail
from taxi.local.data_dir import DataDir
from taxi.local.demo import DemoOptions, page_variables, world_variables
from taxi.local.errors import LocalError
from taxi.local.parts import Part, Parts, State, write
from taxi.local.ports import require_free
from taxi.local.session import at_home, open_browser, this_demo
from taxi.runtime import log
from taxi.runtime.admin import Readiness
from taxi.runtime.metrics import PrometheusMetrics
from taxi.runtime.service import Service, serve
from taxi.runtime.settings import KNOWN, Settings

PART: Final = "city"
_KINDS: Final = ("dispatcher", "simulator", "gateway")
_KEPT_S: Final = {
    topics.LOCATIONS: 300,
    topics.COMMANDS: 3600,
    topics.EVENTS: 3600,
    topics.DEAD_LETTERS: 3600,
}
"""Of what is older nothing is kept: memory is dearer than disk. A restart inside reads back three minutes."""
_TIDY_S: Final = 10.0
SAYS: Final = """\
The bus is in memory (--bus memory): one process, no Kafka.
You see the real dispatcher, simulator and gateway, and a page that checks every cut.
You do not see what Kafka is there for: nothing can be killed and heals, nothing outlives this process,
no transaction is put to the test, and no other program can read the log.
"""


def run_in_memory(options: DemoOptions, *, browser: bool, console: Console) -> None:
    """Run the city until Ctrl-C. Raises LocalError for whatever is in the way."""
    with at_home(options.data_dir, options.url, console) as home:
        require_free(options.port, purpose="the page", option="--port", host=options.host)
        console.print(SAYS, style="yellow")
        keep_small(home.log(PART))
        with home.log(PART).open("a", encoding="utf-8") as file:
            city = InMemory(options, home, console, browser=browser, log_file=file)
            uvloop.run(city.run())
        console.print("Stopped. Nothing runs any more, and nothing was kept.", style="dim")


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
        """Until a signal comes. Raises LocalError where a service fails."""
        self.broker = plain_broker()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
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
            for kind in _KINDS:
                service: Service[Any] = importlib.import_module(f"{kind}.__main__").SERVICE
                settings = service.settings.from_env(self._variables(kind), also=KNOWN)
                self._make_topics(len(settings.served()))
                readiness = self.ready[kind] = Readiness()
                metrics = PrometheusMetrics(service.metrics)
                named = logger.bind(part=kind)  # type: ignore[attr-defined]
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

    def _variables(self, kind: str) -> Mapping[str, str]:
        """The environment of one service: no admin port, and no kill button, for there is nothing to kill."""
        inherited = {key: value for key, value in os.environ.items() if key != "TAXI_PARTS_DIR"}
        own = {"TAXI_NAME": kind, "TAXI_ADMIN_PORT": "0"}
        shared_port = {"TAXI_REUSE_PORT": "false"}
        return inherited | world_variables(self.options) | page_variables(self.options) | shared_port | own

    async def _until_ready(self) -> None:
        began_s, waiting = time.monotonic(), list(_KINDS)
        while waiting:
            for kind in [kind for kind in waiting if self.ready[kind].reason is None]:
                waiting.remove(kind)
                self.console.print("✓", style="green", end=" ")
                self.console.print(
                    f"{kind:<14} ready after {time.monotonic() - began_s:.1f} s (in this process)"
                )
            await asyncio.sleep(0.05)
        write(self.home.path, Parts(demo=this_demo(self.options.url, ""), parts=[self._part()]))
        self.console.print(f"\nThe city is live at {self.options.url}, in memory.", style="bold")
        self.console.print("Ctrl-C stops it, and it is gone.\n", style="dim")
        if self.browser:
            await asyncio.to_thread(open_browser, self.options.url)

    def _part(self) -> Part:
        us = this_demo("", "")
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
        self.log_file.flush()
        return LocalError(
            f"The city ended: {first!r}.",
            do=f"Its whole log is {self.home.log(PART)}",
            details=tail(self.home.log(PART)),
        )
