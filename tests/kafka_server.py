# SPDX-License-Identifier: Apache-2.0
"""A real, single Kafka broker for tests: started once, frozen, killed and brought back at will."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

JARS = "org.apache.kafka:kafka_2.13:4.3.1+org.slf4j:slf4j-reload4j:1.7.36"
JAVA = ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


class KafkaServer:
    """One broker and controller in a folder of its own."""

    def __init__(self, folder: Path, port: int, jars: list[str]) -> None:
        self._folder = folder
        self._port = port
        self._java = [*JAVA, "-cp", ":".join(jars)]
        self._properties = folder / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self._port}"

    def format(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(_properties(self._folder, self._port), encoding="utf-8")
        identify = [*self._java, "kafka.tools.StorageTool", "format", "--standalone"]
        with (self._folder / "format.log").open("ab") as log:
            subprocess.run(
                [*identify, "-t", "taxistreamTestCluster1", "-c", str(self._properties)],
                check=True,
                stdout=log,
                stderr=log,
            )

    def start(self) -> None:
        """Returns when the port answers."""
        with (self._folder / "kafka.log").open("ab") as log:
            command = [*self._java, "kafka.Kafka", str(self._properties)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            assert self._process.poll() is None, (self._folder / "kafka.log").read_text()[-2000:]
            time.sleep(0.05)
        raise TimeoutError("Kafka did not listen within 60 s")

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: connections stay, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def resolve_jars() -> list[str]:
    """Paths of Kafka's jars, by the package that the project itself resolves them with."""
    command = [str(Path(sys.executable).with_name("jgo")), "--resolver", "python", "info", "jars", JARS]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line.strip() for line in found.stdout.splitlines() if line.strip().endswith(".jar")]


def _properties(folder: Path, port: int) -> str:
    return f"""
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 1}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{port + 1}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=2
transaction.state.log.num.partitions=2
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""
