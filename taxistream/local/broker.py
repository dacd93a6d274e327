# SPDX-License-Identifier: Apache-2.0
"""A real, single-node Apache Kafka on this machine (KRaft mode), as a child process.

    async with local_broker(folder) as broker:
        … broker.bootstrap_servers …

The folder keeps the log: a broker started there again, on any port, goes on with it.
"""

import asyncio
import os
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxistream.local import jars as kafka_jars
from taxistream.local.broker_files import BrokerFiles, format_once, java_command, java_environment
from taxistream.local.child import tail, with_parent_death_signal
from taxistream.local.java import find as find_java
from taxistream.local.java_errors import without_stack_traces
from taxistream.local.paths import check_name
from taxistream.local.ports import HIGHEST, Holds, first_free, require_free

PORT: Final = 19092
START_S_MAX: Final = 60.0
STOP_S_MAX: Final = 10.0


@dataclass(frozen=True)
class BrokerPlan:
    """A broker that is ready to be started: everything was found, checked and formatted."""

    command: tuple[str, ...]
    cwd: Path
    """Where the command runs: its paths are relative to it."""
    port: int
    controller_port: int
    cluster_id: str
    name: str = "kafka"
    """Of its part."""
    before_start: Callable[[], None] | None = None
    """Called in a thread before each start. Raises LocalError."""

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment that the command runs in."""
        return java_environment(os.environ)


def prepare(
    home: Path,
    *,
    port: int | None = None,
    spoken_for: frozenset[int] = frozenset(),
    holds: Holds | None = None,
    console: Console | None = None,
) -> BrokerPlan:
    """Make everything ready for a broker that keeps its log in `home`; download Kafka if need be.

    Args:
        home: Its folder.
        port: Where it serves; None: 19092, or the next free one.
        spoken_for: Ports that it must not take.
        holds: What keeps other demos off its ports from now on; None: nothing does.
        console: Where a download shows how far it is.

    Raises LocalError: no Java, no jars, port taken, or a data directory that another cluster made.
    """
    check_name(home)
    port, controller_port = take_ports(port, spoken_for, holds)
    java = find_java()
    files = BrokerFiles(home)
    files.cluster_id()  # says early, before any download, that the folder is not ours
    jars = kafka_jars.ensure(kafka_jars.directory(), console or Console(stderr=True))
    files.write(port, controller_port, [jars / jar.name for jar in kafka_jars.pinned()])
    cluster_id = format_once(files, java)
    command = (*java_command(files, java), "kafka.Kafka", files.properties.name)
    return BrokerPlan(command, home.absolute(), port, controller_port, cluster_id)


def take_ports(
    port: int | None, spoken_for: frozenset[int], holds: Holds | None, *, start: int | None = None
) -> tuple[int, int]:
    """A broker's port and its controller's.

    Args:
        port: The one that was asked for; None: the first free one from `start`, by default 19092.
        spoken_for: Ports that it must not take.
        holds: What keeps other demos off its ports from now on; None: nothing does.
        start: Where the search begins.

    Raises LocalError: the port is taken.
    """
    if port is not None and port in spoken_for:
        raise LocalError(
            f"Port {port} cannot be Kafka's and the page's at the same time.",
            do="Choose another with --port or --kafka-port.",
            code=WRONG_USE,
        )
    if holds is None:
        if port is not None:
            require_free(port, purpose="Kafka", option="--kafka-port")
        port = port or first_free(PORT, taken=spoken_for)
        return port, first_free(_after(port), taken=spoken_for | {port})
    if port is not None:
        holds.take(port, purpose="Kafka", option="--kafka-port")
    else:
        port = holds.first(PORT if start is None else start, taken=spoken_for)
    return port, holds.first(_after(port), taken=spoken_for)


def _after(port: int) -> int:
    """Where the search for the controller's port begins."""
    return port + 1 if port < HIGHEST else PORT


async def answers(bootstrap_servers: str) -> str | None:
    """The cluster's id once a broker there serves requests, else None."""
    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415 - heavy, and not for every command
    from aiokafka.errors import KafkaError  # noqa: PLC0415

    host, _, port = bootstrap_servers.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
    except OSError:
        return None
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=2000)
    try:
        await client.start()
        cluster = await client.describe_cluster()
        return str(cluster["cluster_id"]) if cluster["brokers"] else None
    except KafkaError:
        return None
    finally:
        with suppress(KafkaError):
            await client.close()


async def responds(port: int) -> bool:
    """Whether a broker answers the smallest of all requests (ApiVersions v0) on loopback within 2 s.

    Unlike `answers` it needs no client: it is asked every few seconds for as long as a demo runs.
    """
    request = struct.pack(">hhih", 18, 0, 1, -1)  # api key, version, correlation id, no client id
    with suppress(OSError, EOFError, TimeoutError):
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(struct.pack(">i", len(request)) + request)
                await reader.readexactly(8)  # its length and the correlation id
                return True
            finally:
                writer.close()
    return False


async def serves(plan: BrokerPlan) -> bool:
    """Whether this very broker serves requests now. Raises LocalError when another answers in its place."""
    cluster_id = await answers(plan.bootstrap_servers)
    if cluster_id not in {None, plan.cluster_id}:
        raise LocalError(
            f"Another Kafka ({cluster_id}) answers on {plan.bootstrap_servers}.",
            do="Stop it, or choose another port with --kafka-port.",
        )
    return cluster_id is not None


async def until_it_serves(plan: BrokerPlan, ended: Callable[[], str | None]) -> None:
    """Wait until the broker serves. `ended` gives its last words if it has died.

    Raises LocalError when it died, or does not serve in time.
    """
    try:
        async with asyncio.timeout(START_S_MAX):
            while not await serves(plan):
                if (last_words := ended()) is not None:
                    raise LocalError(
                        "Kafka ended while starting.",
                        do="Its log says why.",
                        details=without_stack_traces(last_words),
                    )
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise LocalError(
            f"Kafka did not answer on {plan.bootstrap_servers} within {START_S_MAX:.0f} s.",
            do="Its log says why.",
        ) from None


class LocalBroker:
    """The process. It may be killed and started again: same folder, same port, same cluster."""

    def __init__(self, plan: BrokerPlan, log: Path) -> None:
        self.plan = plan
        self.bootstrap_servers = plan.bootstrap_servers
        self.cluster_id = plan.cluster_id
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    async def start(self) -> None:
        """Start, and wait until it serves."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                with_parent_death_signal(self.plan.command),
                cwd=self.plan.cwd,
                env=self.plan.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await until_it_serves(self.plan, self._last_words)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL if that is not enough."""
        if self._process is None:
            return
        self._process.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S_MAX):
                while self._process.poll() is None:  # noqa: ASYNC110 - a process has no event
                    await asyncio.sleep(0.02)
        self.kill()

    def _last_words(self) -> str | None:
        return tail(self._log) if self._process is None or self._process.poll() is not None else None


@asynccontextmanager
async def local_broker(home: Path, port: int | None = None) -> AsyncIterator[LocalBroker]:
    """A broker for as long as the block runs, its log in `home`; `port` None: any free one."""
    plan = await asyncio.to_thread(prepare, home, port=port)
    broker = LocalBroker(plan, home / "kafka.log")
    try:
        await broker.start()
        yield broker
    finally:
        await broker.stop()
