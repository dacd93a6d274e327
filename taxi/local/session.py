# SPDX-License-Identifier: Apache-2.0
"""One run of a demo in the foreground: check, prepare, supervise, and tell the person in front of it."""

import asyncio
import os
import sys
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from taxi.local import demo as city
from taxi.local import parts as parts_file
from taxi.local.broker import prepare
from taxi.local.data_dir import DataDir
from taxi.local.demo import DemoOptions
from taxi.local.parts import Demo, Part, Parts
from taxi.local.ports import PortPool, require_free
from taxi.local.supervisor import Stage, Supervisor
from taxi.local.topics import Report, ensure

_NAME_WIDTH: Final = 14


def run_demo(
    options: DemoOptions, *, kafka_port: int | None, fresh: bool, browser: bool, console: Console
) -> None:
    """Run the city until Ctrl-C. Raises LocalError for whatever is in the way."""
    elsewhere = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    with at_home(options.data_dir, options.url, console, fresh=fresh) as home:
        require_free(options.port, purpose="the page", option="--port", host=options.host)
        if elsewhere:
            console.print(f"Using the Kafka at {elsewhere} (KAFKA_BOOTSTRAP_SERVERS); none is started here.")
        plan = (
            None
            if elsewhere
            else prepare(home.kafka, port=kafka_port, spoken_for=frozenset({options.port}), console=console)
        )
        kafka = city.kafka_variables(os.environ, plan)
        watcher = Telling(console, home)

        async def topics() -> None:
            watcher.topics(await ensure(kafka, bounded=plan is not None))

        async def page_is_up() -> None:
            console.print(
                f"\nThe city is live at {options.url} after {watcher.age_s():.1f} s.",
                style="bold",
            )
            console.print("Ctrl-C stops it; the next start goes on from here.\n", style="dim")
            if browser:
                await asyncio.to_thread(open_browser, options.url)

        first, last = city.stages(plan, city.service_parts(options, kafka), topics)
        stages = (first, Stage(last.parts, then=page_is_up))
        _supervise(stages, home, this_demo(options.url, kafka["KAFKA_BOOTSTRAP_SERVERS"]), watcher)


def run_kafka(data_dir: Path, *, port: int, fresh: bool, console: Console) -> None:
    """Run the broker alone until Ctrl-C. Raises LocalError for whatever is in the way."""
    with at_home(data_dir, "", console, fresh=fresh) as home:
        plan = prepare(home.kafka, port=port, console=console)

        async def serving() -> None:
            console.print(f"\nKafka serves {plan.bootstrap_servers}; Ctrl-C stops it.", style="bold")
            console.print(f"Its log: {home.log('kafka')}\n", style="dim")

        stage = Stage((city.kafka_part(plan),), then=serving)
        _supervise((stage,), home, this_demo("", plan.bootstrap_servers), Telling(console, home))


@contextmanager
def at_home(data_dir: Path, url: str, console: Console, *, fresh: bool = False) -> Iterator[DataDir]:
    """Hold the folder, clear away what a bad end left in it, and say in it who has it."""
    home = DataDir(data_dir)
    with home.held():
        if left := parts_file.clear_leftovers(data_dir):
            console.print(f"Ended what the last run left behind: {', '.join(left)}.", style="dim")
        if fresh:
            home.start_over()
        try:
            parts_file.write(data_dir, Parts(demo=this_demo(url, ""), parts=[]))
            yield home
        finally:
            parts_file.path(data_dir).unlink(missing_ok=True)


def this_demo(url: str, bootstrap_servers: str) -> Demo:
    """This process, as others find it."""
    return Demo(
        pid=os.getpid(),
        created=parts_file.born(os.getpid()),
        started_ms=time.time_ns() // 1_000_000,
        url=url,
        bootstrap_servers=bootstrap_servers,
    )


def _supervise(stages: tuple[Stage, ...], home: DataDir, demo: Demo, watcher: "Telling") -> None:
    async def run() -> None:
        ports = PortPool(city.admin_ports(demo.url), taken=frozenset({city.port_of(demo.url)}))
        await Supervisor(stages, data_dir=home.path, demo=demo, watcher=watcher, admin_port=ports.take).run()

    asyncio.run(run())
    watcher.stopped()


class Telling:
    """One line for each thing that happens to a part."""

    def __init__(self, console: Console, home: DataDir) -> None:
        self._console = console
        self._home = home

    def age_s(self) -> float:
        """Since the command was started."""
        return time.time() - parts_file.born(os.getpid())

    def ready(self, part: Part, after_s: float) -> None:
        again = " again" if part.restarts else ""
        port = f", port {part.port}" if part.port else ""
        self._line("✓", "green", part.name, f"ready{again} after {after_s:.1f} s (pid {part.pid}{port})")

    def topics(self, report: Report) -> None:
        made = f"{len(report.created)} made, " if report.created else ""
        self._line("✓", "green", "topics", f"{made}{len(report.existing)} there already")
        for difference in report.differences:
            text = f"{difference.topic} has {difference.setting}={difference.found}, not {difference.wanted}"
            self._line("≠", "yellow", "topics", text)

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
