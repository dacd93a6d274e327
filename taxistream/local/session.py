# SPDX-License-Identifier: Apache-2.0
"""One run of a demo in the foreground: check, prepare, supervise, and tell the person in front of it."""

import asyncio
import os
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from taxi.runtime import parts as parts_file
from taxi.runtime.machine_errors import LocalError, in_words
from taxi.runtime.parts import Demo, DemoFault, Part, Parts
from taxi.runtime.settings import Settings
from taxistream.local import demo as city
from taxistream.local.broker import BrokerPlan
from taxistream.local.broker_cluster import check_size, prepare_all
from taxistream.local.data_dir import DataDir
from taxistream.local.demo import DemoOptions
from taxistream.local.limits import check_limits, raise_limits
from taxistream.local.output import when_lost
from taxistream.local.own_services import own_service_parts
from taxistream.local.ports import Holds, PortPool
from taxistream.local.room import require_room
from taxistream.local.supervisor import (
    DISK_FULL,
    PART_FAILING,
    STATUS_UNWRITABLE,
    PortTakenError,
    StartStage,
    Supervisor,
)
from taxistream.local.topics import TopicReport, ensure

_NAME_WIDTH: Final = 14
_OVER: Final = {
    DISK_FULL: "There is room on the disk again, so the city continues.",
    STATUS_UNWRITABLE: "parts.json is written again.",
    PART_FAILING: "Every part runs again.",
}
_PORT_CHOICES: Final = 3
"""How often another port is tried for Kafka where none was asked for."""


def run_demo(
    options: DemoOptions, *, kafka_port: int | None, fresh: bool, browser: bool, console: Console
) -> None:
    """Run the city until Ctrl-C. Raises LocalError for whatever is in the way."""
    elsewhere = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    check_size(options.brokers)
    with at_home(options.data_dir, options, console, fresh=fresh) as home:
        if elsewhere:
            console.print(
                f"Using the Kafka at {elsewhere} (KAFKA_BOOTSTRAP_SERVERS); no broker is started here."
            )
        else:
            require_room(home.path)
            home.keep_cities(options.names or (_only_city(),), os.environ.get("TAXI_PREFIX", ""))
        for attempt in range(1, _PORT_CHOICES + 1):
            try:
                with Holds() as holds:
                    holds.take(options.port, purpose="the page", option="--port", host=options.host)
                    plans = () if elsewhere else _plans(options, home, holds, kafka_port, console)
                    _run_city(options, plans, home, console, browser=browser)
            except PortTakenError:
                # Another program took the port that was free a moment ago.
                if kafka_port is not None or attempt == _PORT_CHOICES:
                    raise
                console.print("Another program took Kafka's port, so the next one is tried.", style="yellow")
            else:
                return


def _only_city() -> str:
    return os.environ.get("TAXI_CITY") or Settings().city


def _plans(
    options: DemoOptions, home: DataDir, holds: Holds, kafka_port: int | None, console: Console
) -> tuple[BrokerPlan, ...]:
    page = frozenset({options.port})
    return prepare_all(
        home.kafka, options.brokers, port=kafka_port, spoken_for=page, holds=holds, console=console
    )


def _run_city(
    options: DemoOptions, plans: tuple[BrokerPlan, ...], home: DataDir, console: Console, *, browser: bool
) -> None:
    kafka = city.kafka_variables(os.environ, plans)
    watcher = PartMessages(console, home)

    async def topics() -> None:
        await _make_topics(kafka | city.city_variables(options), watcher, brokers=len(plans))

    async def page_is_up() -> None:
        console.print(
            f"\nThe city is live at {options.url} after {watcher.age_s():.1f} s.",
            style="bold",
        )
        console.print("Ctrl-C stops it; the next start continues from here.\n", style="dim")
        if browser:
            await asyncio.to_thread(open_browser, options.url)

    services = city.service_parts(options, kafka, is_log_here=bool(plans))
    first, last = city.stages(plans, services, topics)
    checks = city.verifier_parts(options, kafka)
    own = own_service_parts(options.services, options, kafka, (*first.parts, *last.parts, *checks))
    stages = (first, StartStage(last.parts, then=page_is_up), StartStage((*checks, *own)))
    _supervise(stages, home, this_demo(options, kafka["KAFKA_BOOTSTRAP_SERVERS"]), watcher)


async def _make_topics(variables: Mapping[str, str], watcher: "PartMessages", *, brokers: int) -> None:
    """Our own brokers' topics are ours to alter; another cluster's owner decides about theirs.

    Args:
        variables: The services' environment variables.
        watcher: Prints what was made.
        brokers: How many brokers are ours; 0: the cluster is another's.
    """
    are_ours = brokers > 0
    report = await ensure(
        city.service_environment(variables), bounded=are_ours, replicas=brokers or None, fix=are_ours
    )
    watcher.topics(report)
    if report.broken:
        raise LocalError(
            "The topics of this cluster break guarantees of the system: "
            + "; ".join(f"{d.topic} {d.setting} is {d.found}, not {d.wanted}" for d in report.broken)
            + ".",
            do="`taxi topics --fix` alters them.",
        )


def run_kafka(data_dir: Path, *, brokers: int, port: int, fresh: bool, console: Console) -> None:
    """Run the brokers alone until Ctrl-C. Raises LocalError for whatever is in the way."""
    check_size(brokers)
    with at_home(data_dir, None, console, fresh=fresh) as home, Holds() as holds:
        require_room(home.path)
        plans = prepare_all(home.kafka, brokers, port=port, holds=holds, console=console)
        servers = city.bootstrap_servers(plans)

        async def serving() -> None:
            console.print(f"\nKafka serves {servers}; Ctrl-C stops it.", style="bold")
            logs = ", ".join(str(home.log(plan.name)) for plan in plans)
            console.print(f"{'Its log' if len(plans) == 1 else 'Their logs'}: {logs}\n", style="dim")

        stage = StartStage(tuple(city.kafka_part(plan) for plan in plans), then=serving)
        _supervise((stage,), home, this_demo(None, servers), PartMessages(console, home))


@contextmanager
def at_home(
    data_dir: Path, options: DemoOptions | None, console: Console, *, fresh: bool = False
) -> Iterator[DataDir]:
    """Lock the folder, end processes that an unclean stop left, and write parts.json with this process."""
    home = DataDir(data_dir)
    raise_limits()
    check_limits()
    with home.held():
        if left := parts_file.clear_leftovers(data_dir):
            console.print(f"Ended processes of the last run: {', '.join(left)}.", style="dim")
        if fresh:
            home.start_over()
        home.make_ready()
        try:
            with in_words(parts_file.path(data_dir), do="Choose another --data-dir."):
                parts_file.write(data_dir, Parts(demo=this_demo(options, ""), parts=[]))
            yield home
        finally:
            parts_file.remove(data_dir)


def this_demo(options: DemoOptions | None, bootstrap_servers: str) -> Demo:
    """This process, as others find it. `options`: None if it shows no city."""
    own_cities = os.environ.get("TAXI_CITIES_DIR")
    return Demo(
        pid=os.getpid(),
        created=parts_file.born(os.getpid()),
        started_ms=time.time_ns() // 1_000_000,
        url=options.url if options else "",
        bootstrap_servers=bootstrap_servers,
        cities=(options.cities or os.environ.get("TAXI_CITY", "")) if options else "",
        cities_dir=str(Path(own_cities).absolute()) if own_cities else "",
    )


def _supervise(stages: tuple[StartStage, ...], home: DataDir, demo: Demo, watcher: "PartMessages") -> None:
    async def run() -> None:
        ports = PortPool(city.admin_ports(demo.url), taken=frozenset({city.port_of(demo.url)}))
        supervisor = Supervisor(stages, data_dir=home.path, demo=demo, watcher=watcher, admin_port=ports.take)
        watcher.when_lost(supervisor.stop_in_order)
        await supervisor.run()

    asyncio.run(run())
    watcher.stopped()


class PartMessages:
    """One line for each thing that happens to a part."""

    def __init__(self, console: Console, home: DataDir) -> None:
        self._console = console
        self._home = home

    def when_lost(self, call: Callable[[], None]) -> None:
        """Call `call` once when the terminal or pipe of this console is closed."""
        when_lost(self._console, call)

    def age_s(self) -> float:
        """Since the command was started."""
        return time.time() - parts_file.born(os.getpid())

    def ready(self, part: Part, after_s: float) -> None:
        again = " again" if part.restarts else ""
        port = f", port {part.port}" if part.port else ""
        self._line("✓", "green", part.name, f"ready{again} after {after_s:.1f} s (pid {part.pid}{port})")

    def topics(self, report: TopicReport) -> None:
        made = f"{len(report.created)} made, " if report.created else ""
        altered = f", {len(report.altered)} settings altered" if report.altered else ""
        self._line("✓", "green", "topics", f"{made}{len(report.existing)} there already{altered}")
        for difference in report.differences:
            text = f"{difference.topic} has {difference.setting}={difference.found}, not {difference.wanted}"
            self._line("≠", "yellow", "topics", text)

    def waits(self, part: Part) -> None:
        self._line("·", "yellow", part.name, f"waits: {part.reason}")

    def paused(self, part: Part) -> None:
        self._line("·", "yellow", part.name, "is paused")

    def warns(self, part: Part, text: str) -> None:
        self._line("·", "yellow", part.name, text)

    def fault(self, fault: DemoFault) -> None:
        self._console.print(fault.text, style="bold red")

    def cleared(self, fault: DemoFault) -> None:
        self._console.print(_OVER.get(fault.code, f"Over: {fault.text}"), style="green")

    def died(self, part: Part, how: str, again_in_s: float) -> None:
        when = f"in {again_in_s:.1f} s" if again_in_s else "at once"
        why = f" (why: {self._home.log(part.name)})" if "exit code" in how else ""
        self._line("↻", "yellow", part.name, f"{how}; starts again {when}{why}")

    def stopping(self) -> None:
        self._console.print("\nStopping …", style="dim")

    def stopped(self) -> None:
        self._console.print("Stopped. Nothing runs any more.", style="dim")

    def _line(self, sign: str, style: str, name: str, text: str) -> None:
        self._console.print(sign, style=style, end=" ")
        self._console.print(f"{name:<{_NAME_WIDTH}} {text}")


def open_browser(url: str) -> None:
    """Open the page where a person can see it: never a text browser in the terminal of the demo."""
    graphical = sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME")
    )
    if graphical:
        webbrowser.open(url)
