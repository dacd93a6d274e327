# SPDX-License-Identifier: Apache-2.0
"""Dispatchers and simulators as real processes on a real Kafka, to be killed, stopped and woken."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from dispatcher.decision_config import code_digest, data_digest
from taxi.bus.kafka.admin import KafkaAdmin
from taxi.bus.kafka.bus import KafkaBus
from taxi.roads.network import RoadNetwork
from taxi.runtime.settings import Settings
from taxi.topics import specs
from taxistream.tools.audit.findings import AuditFindings
from taxistream.tools.audit.shell import audit
from taxistream.tools.replay.shell import ReplayOutcome, verify


class RealPart:
    """One process and what it said."""

    def __init__(self, name: str, module: str, environ: dict[str, str], folder: Path) -> None:
        self.name = name
        self.module = module
        self.admin_port = int(environ.get("TAXI_ADMIN_PORT", "0"))
        self._environ = environ
        self._log = folder / f"{name}.log"
        self.process = self._begin()

    def _begin(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", *self.module.split()], stdout=out, stderr=out, env=self._environ
            )

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """As a supervisor would."""
        self.process = self._begin()

    def stop(self) -> None:
        """SIGSTOP; returns when every thread of it has stopped."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)

    def wake(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def is_stopped(self) -> bool:
        return bool(psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED)

    def lines(self) -> list[dict[str, Any]]:
        """Its structured log."""
        found = []
        for line in self._log.read_bytes().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def said(self, text: str) -> int:
        """How often it said something that begins so."""
        return sum(str(line.get("event", "")).startswith(text) for line in self.lines())

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels; 0 where it is not there."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class RealCity:
    """Topics of its own under a prefix, and the processes of a test."""

    def __init__(self, bootstrap_servers: str, prefix: str, folder: Path, ports: Callable[[], int]) -> None:
        self.settings = Settings(kafka_bootstrap_servers=bootstrap_servers, prefix=prefix)
        self._folder = folder
        self._ports = ports
        self.parts: dict[str, RealPart] = {}
        self.cities = "manhattan"

    def make_topics(self, cities: str = "manhattan") -> None:
        self.cities = cities

        async def make() -> None:
            async with KafkaAdmin.connect(self.settings) as admin:
                await admin.ensure_topics(specs(), partitions=cities.count(",") + 1)

        asyncio.run(make())

    def start(self, name: str, module: str = "dispatcher", **variables: str) -> RealPart:
        """Another process; `module` may bring arguments."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("KAFKA_", "TAXI_"))}
        environ = {
            **clean,
            **self.kafka_variables,
            "TAXI_CITIES": self.cities,
            "TAXI_NAME": name,
            "TAXI_LOG_FORMAT": "json",
            "TAXI_ADMIN_PORT": str(self._ports()),
            **variables,
        }
        self.parts[name] = RealPart(name, module, environ, self._folder)
        return self.parts[name]

    @property
    def kafka_variables(self) -> dict[str, str]:
        """The environment variables that lead to its topics."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.settings.kafka_bootstrap_servers,
            "TAXI_PREFIX": self.settings.prefix,
        }

    def take_port(self) -> int:
        """A free port for a part."""
        return self._ports()

    def stop_all(self) -> None:
        for part in self.parts.values():
            if part.process.poll() is None:
                part.wake()
                part.kill()

    # --- what the log says --------------------------------------------------------------------------

    def on_bus(self, work: Callable[[KafkaBus], Any]) -> Any:
        """Run a coroutine with a bus of its own."""

        async def run() -> Any:
            bus = await KafkaBus.connect(self.settings, client_id="test")
            try:
                return await work(bus)
            finally:
                await bus.close()

        return asyncio.run(run())

    def audited(self) -> AuditFindings:
        cities = range(self.cities.count(",") + 1)
        findings: AuditFindings = self.on_bus(lambda bus: audit(bus, cities))
        return findings

    def replayed(self, partition: int = 0) -> ReplayOutcome:
        name, _, folder = self.cities.split(",")[partition].partition("=")
        roads = RoadNetwork.load(folder or name).named(name).prepare()

        async def work(bus: KafkaBus) -> ReplayOutcome:
            return await verify(
                bus, partition, roads, code_digest=code_digest, data_digest=data_digest(folder or name)
            )

        verdict: ReplayOutcome = self.on_bus(work)
        return verdict


@contextmanager
def real_city(
    bootstrap_servers: str, prefix: str, folder: Path, ports: Callable[[], int]
) -> Iterator[RealCity]:
    """Nothing of it runs afterwards."""
    city = RealCity(bootstrap_servers, prefix, folder, ports)
    try:
        yield city
    finally:
        city.stop_all()


def wait_for(condition: Callable[[], Any], within_s: float, what: str) -> Any:
    """The first true value; fails, saying `what`, when none comes."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {within_s:.0f} s: {what}")
