# SPDX-License-Identifier: Apache-2.0
"""The files of a local broker: its properties, its logging, and the log directory with its identity."""

import base64
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taxi.local.child import on_a_leash
from taxi.local.errors import WRONG_USE, LocalError
from taxi.local.java import Java

MIB: Final = 1 << 20

# One node keeps one copy of everything, is back 4 s after a SIGKILL (its own old registration has to time
# out first; Kafka's default makes that 11 s), and stays small on a laptop: docs/operations.md adds it up.
_SETTINGS: Final[dict[str, str | int]] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "broker.session.timeout.ms": 3000,
    "broker.heartbeat.interval.ms": 500,
    # Groups and transactions: a dead member or producer is noticed at once, not after a minute.
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "offsets.topic.segment.bytes": 4 * MIB,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "transaction.state.log.segment.bytes": 4 * MIB,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    # Disk: look often enough that a topic passes its bound by little, and keep the controller's log short.
    "log.retention.check.interval.ms": 30_000,
    "log.segment.delete.delay.ms": 5_000,
    "log.index.size.max.bytes": MIB,
    "log.cleaner.dedupe.buffer.size": 16 * MIB,
    "metadata.log.segment.bytes": 8 * MIB,
    "metadata.log.max.record.bytes.between.snapshots": 2 * MIB,
    "metadata.max.retention.bytes": 16 * MIB,
    # Threads: one city, a handful of connections.
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    "num.recovery.threads.per.data.dir": 2,
}

_LOGGING: Final = """\
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %-5p %m (%c{1})%n
"""


@dataclass(frozen=True)
class BrokerFiles:
    """Where a broker keeps what it has."""

    home: Path

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def properties(self) -> Path:
        return self.home / "server.properties"

    @property
    def logging(self) -> Path:
        return self.home / "log4j.properties"

    @property
    def identity(self) -> Path:
        """The cluster id, as given when the data directory was made."""
        return self.home / "cluster-id"

    def write(self, port: int, controller_port: int) -> None:
        """Write the configuration for these ports. They may change from one start to the next."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.logging.write_text(_LOGGING)
        self.properties.write_text(_properties(self.data, port, controller_port))

    def cluster_id(self) -> str | None:
        """The id of the cluster in here, None where there is none yet.

        Raises LocalError where the data directory is not the one that this broker made.
        """
        meta = _read(self.data / "meta.properties")
        if meta is None:
            if self.data.is_dir() and any(self.data.iterdir()):
                raise self._foreign("it holds files but no meta.properties")
            return None
        ours = self.identity.read_text().strip() if self.identity.is_file() else None
        theirs = meta.get("cluster.id", "")
        if ours is not None and theirs != ours:
            raise self._foreign(f"its cluster is {theirs or 'unnamed'}, ours is {ours}")
        if meta.get("node.id") != "1" or not theirs:
            raise self._foreign(
                f"it belongs to node {meta.get('node.id', 'unknown')} of {theirs or 'no cluster'}"
            )
        return theirs

    def _foreign(self, why: str) -> LocalError:
        return LocalError(
            f"{self.data} is the data directory of another Kafka: {why}.",
            do="Put back the one that belongs there, choose another --data-dir, or start over with --fresh.",
            code=WRONG_USE,
        )


def format_once(files: BrokerFiles, java: Java, jars: Path) -> str:
    """Make the data directory where there is none, whole or not at all. Returns the cluster id."""
    if existing := files.cluster_id():
        return existing
    cluster_id = _new_cluster_id()
    half = files.home / "data.new"
    shutil.rmtree(half, ignore_errors=True)
    properties = files.home / "format.properties"
    properties.write_text(_properties(half, 9092, 9093))
    tool = ["kafka.tools.StorageTool", "format", "--standalone", "-t", cluster_id, "-c", str(properties)]
    done = subprocess.run(
        on_a_leash([*java_command(files, java, jars), *tool]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise LocalError(
            "Kafka could not make its data directory.",
            do=f"Is there room, and may we write to {files.home}?",
            details=(done.stdout + done.stderr)[-2000:],
        )
    files.identity.write_text(cluster_id + "\n")
    if files.data.is_dir():
        files.data.rmdir()
    half.rename(files.data)
    properties.unlink()
    return cluster_id


def java_command(files: BrokerFiles, java: Java, jars: Path) -> list[str]:
    """Java, tuned for a small and quickly starting process, with Kafka's classpath."""
    # Kafka loads native code and unmaps memory by hand; newer Javas want to be told, or they warn.
    native = ["--enable-native-access=ALL-UNNAMED"] if java.version >= 22 else []
    native += ["--sun-misc-unsafe-memory-access=allow"] if java.version >= 23 else []
    return [
        str(java.path),
        *("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *native),
        f"-Dlog4j.configuration=file:{files.logging.absolute()}",
        f"-XX:ErrorFile={(files.home / 'java-crash.log').absolute()}",
        "-Djava.awt.headless=true",
        # The other logging library on Kafka's classpath would complain of a file that is not for it.
        "-Dlog4j2.statusLoggerLevel=OFF",
        *("-cp", f"{jars.absolute()}/*"),
    ]


def _properties(data: Path, port: int, controller_port: int) -> str:
    settings = _SETTINGS | {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "log.dirs": os.fspath(data.absolute()),
    }
    return "# Written at every start.\n" + "".join(f"{key}={value}\n" for key, value in settings.items())


def _read(path: Path) -> dict[str, str] | None:
    """A Java properties file, or None where there is none."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return None
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def _new_cluster_id() -> str:
    """A random id the way Kafka writes them: a UUID in URL-safe base64. It may not start with a dash."""
    return "t" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
