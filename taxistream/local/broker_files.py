# SPDX-License-Identifier: Apache-2.0
"""The files of a local broker: its properties, its logging, and the log directory with its identity.

Any folder will do, whatever characters its name has: the broker runs in it and is given relative paths,
because Kafka splits `log.dirs` at commas and Java a class path at colons, and neither can be escaped.
"""

import base64
import os
import subprocess
import uuid
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote_from_bytes

from taxi.runtime.machine_errors import WRONG_USE, LocalError, in_words
from taxistream.local.child import with_parent_death_signal
from taxistream.local.java import Java
from taxistream.local.java_errors import explain, without_stack_traces
from taxistream.local.paths import check_writable, delete

MIB: Final = 1 << 20

# One node keeps one copy of everything, is back 4 s after a SIGKILL (its own old registration has to time
# out first; Kafka's default makes that 11 s), and stays small on a laptop: docs/operations.md adds it up.
_SETTINGS: Final[dict[str, str | int]] = {
    "process.roles": "broker,controller",
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

# Three nodes keep three copies, and acknowledge what two have on disk. With these time limits the others take
# over 2 to 5 s after a SIGKILL (docs/operations.md); Kafka's defaults wait up to 30 s for a replica.
_CLUSTER_SETTINGS: Final[dict[str, str | int]] = {
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "offsets.topic.replication.factor": 3,
    "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2,
    "share.coordinator.state.topic.replication.factor": 3,
    "share.coordinator.state.topic.min.isr": 2,
    "controller.quorum.election.timeout.ms": 500,
    "controller.quorum.fetch.timeout.ms": 1000,
    "replica.lag.time.max.ms": 3000,
    # A false alarm moves leaders and loses nothing, so it may come sooner than with a single broker.
    "broker.session.timeout.ms": 2000,
}
_FORMAT_S_MAX: Final = 60.0
_HEAP_MB: Final = 512
_CLUSTER_HEAP_MB: Final = 256

_LOGGING: Final = """\
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %-5p %m (%c{1})%n
"""


_START_OVER: Final = "Choose another --data-dir, or start over with --fresh."


@dataclass(frozen=True)
class BrokerFiles:
    """The files of a broker: data, cluster id and configuration."""

    home: Path
    node: int = 1
    """Its id in the cluster."""
    is_alone: bool = True
    """Whether it is the only broker of its cluster."""

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
    def class_path(self) -> Path:
        return self.home / "classpath.jar"

    @property
    def identity(self) -> Path:
        """The cluster id, as given when the data directory was made."""
        return self.home / "cluster-id"

    @property
    def has_run(self) -> bool:
        """Whether a broker wrote its log here, rather than only a format."""
        return (self.data / "__cluster_metadata-0").is_dir()

    def write(
        self, port: int, controller_port: int, jars: Iterable[Path], controllers: Sequence[int] = ()
    ) -> None:
        """Write the configuration for these ports. They may change from one start to the next.

        Args:
            port: Where the broker serves.
            controller_port: Where its controller does.
            jars: Kafka's.
            controllers: The controller ports of the nodes 1, 2, …; empty if the broker is alone.
        """
        with in_words(self.home, do=_START_OVER):
            self.home.mkdir(parents=True, exist_ok=True)
            self.logging.write_text(_LOGGING, "ascii")
            self.properties.write_text(
                _properties(self.data, port, controller_port, self.node, controllers), "ascii"
            )
            _write_class_path(self.class_path, jars)

    def cluster_id(self) -> str | None:
        """The id of the cluster in this folder, None if there is none yet.

        Raises LocalError where the data directory is not the one that this broker made, or not ours to
        write.
        """
        with in_words(self.home, do=_START_OVER):
            return self._cluster_id()

    def _cluster_id(self) -> str | None:
        meta = self._read_meta()
        if meta is None:
            if self.data.is_dir() and any(self.data.iterdir()):
                raise self._foreign("it holds files but no meta.properties")
            return None
        # An empty file is what a power cut leaves of one that was just written.
        ours = self._read_identity() or None
        theirs = meta.get("cluster.id", "")
        if ours is not None and theirs != ours:
            raise self._foreign(f"its cluster is {theirs or 'unnamed'}, ours is {ours}")
        if meta.get("node.id") != str(self.node) or not theirs:
            raise self._foreign(
                f"it belongs to node {meta.get('node.id', 'unknown')} of {theirs or 'no cluster'}"
            )
        for place in (self.home, self.data, *self.data.iterdir()):
            check_writable(place)
        return theirs

    def _read_meta(self) -> dict[str, str] | None:
        """The data directory's meta.properties, None if there is none."""
        try:
            lines = (self.data / "meta.properties").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise self._foreign("its meta.properties is not text") from None
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    def _read_identity(self) -> str:
        """The cluster id in the file next to the data directory; empty if there is none."""
        try:
            return self.identity.read_text("utf-8").strip()
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError:
            raise LocalError(f"{self.identity} is not text.", do=_START_OVER, code=WRONG_USE) from None

    def _foreign(self, why: str) -> LocalError:
        return LocalError(
            f"{self.data} is the data directory of another Kafka: {why}.",
            do="Restore the right one, choose another --data-dir, or start over with --fresh.",
            code=WRONG_USE,
        )


def format_once(files: BrokerFiles, java: Java, cluster_id: str = "") -> str:
    """Create the data directory if there is none, atomically. Returns the cluster id.

    Args:
        files: They must have been written.
        java: What runs Kafka's tool.
        cluster_id: The cluster's; empty: a new one, if there is no data directory.

    Raises LocalError.
    """
    if existing := files.cluster_id():
        return existing
    with in_words(files.home, do=_START_OVER):
        return _format(files, java, cluster_id or new_cluster_id())


def _format(files: BrokerFiles, java: Java, cluster_id: str) -> str:
    half = files.home / "data.new"
    delete(half)
    properties = files.home / "format.properties"
    controllers = () if files.is_alone else tuple(9093 + node for node in range(files.node))
    properties.write_text(_properties(half, 9092, 9092 + files.node, files.node, controllers), "ascii")
    quorum = ["--standalone"] if files.is_alone else []
    tool = ["kafka.tools.StorageTool", "format", *quorum, "-t", cluster_id, "-c", properties.name]
    try:
        done = subprocess.run(
            with_parent_death_signal([*java_command(files, java), *tool]),
            cwd=files.home,
            env=java_environment(os.environ),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_FORMAT_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LocalError(
            f"Kafka could not make its data directory within {_FORMAT_S_MAX:.0f} s.",
            do="Try again when the machine has less to do.",
        ) from None
    if done.returncode:
        said = done.stdout + done.stderr
        cause = explain(said)
        raise LocalError(
            f"Kafka could not make its data directory{f': {cause.what}' if cause else ''}.",
            do=cause.do if cause else f"Check that the disk has room and that {files.home} can be written.",
            details=without_stack_traces(said)[-2000:],
        )
    with files.identity.open("w", encoding="ascii") as file:
        file.write(cluster_id + "\n")
        file.flush()
        os.fsync(file.fileno())
    if files.data.is_dir():
        files.data.rmdir()
    half.rename(files.data)
    properties.unlink()
    return cluster_id


def java_command(files: BrokerFiles, java: Java) -> list[str]:
    """Java, tuned for a small and quickly starting process, with Kafka's class path. It runs in the home."""
    # Kafka loads native code and unmaps memory by hand; newer Javas print a warning without these options.
    native = ["--enable-native-access=ALL-UNNAMED"] if java.version >= 22 else []
    native += ["--sun-misc-unsafe-memory-access=allow"] if java.version >= 23 else []
    return [
        str(java.path.absolute()),
        *(
            f"-Xmx{_HEAP_MB if files.is_alone else _CLUSTER_HEAP_MB}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *native,
        ),
        # Else every Java maps a file in /tmp, and dies of SIGBUS when that is full.
        "-XX:-UsePerfData",
        f"-Dlog4j.configuration=file:{files.logging.name}",
        "-XX:ErrorFile=java-crash.log",
        "-Djava.awt.headless=true",
        # The other logging library on Kafka's classpath would complain of a file that is not for it.
        "-Dlog4j2.statusLoggerLevel=OFF",
        *("-cp", files.class_path.name),
    ]


def java_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a Java that takes file names as UTF-8, whatever the user's locale is."""
    return {**environ, "LC_ALL": "C.UTF-8"}


def _properties(data: Path, port: int, controller_port: int, node: int, controllers: Sequence[int]) -> str:
    quorum = (
        # Voters by configuration, not by log: all their ports may change between two starts.
        {
            **_CLUSTER_SETTINGS,
            "controller.quorum.voters": ",".join(
                f"{n}@127.0.0.1:{each}" for n, each in enumerate(controllers, start=1)
            ),
        }
        if controllers
        else {"controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}"}
    )
    settings = {**_SETTINGS, **quorum} | {
        "node.id": node,
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "log.dirs": data.name,
    }
    return "# Written at every start.\n" + "".join(f"{key}={value}\n" for key, value in settings.items())


def _write_class_path(jar: Path, jars: Iterable[Path]) -> None:
    """Write a jar with nothing but a manifest that names all of `jars` by their URLs.

    A class path proper cannot name a folder with a colon in its path; in a URL any character can be escaped.
    """
    urls = (f"file://{quote_from_bytes(os.fsencode(path.absolute()))}" for path in jars)
    line = f"Class-Path: {' '.join(urls)}"
    # The format allows 72 bytes a line; a space continues the one before.
    lines = [line[:70], *(f" {line[at : at + 69]}" for at in range(70, len(line), 69))]
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "\r\n".join(["Manifest-Version: 1.0", *lines, "", ""]))


def new_cluster_id() -> str:
    """A random id the way Kafka writes them: a UUID in URL-safe base64. It may not start with a dash."""
    return "t" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
