# SPDX-License-Identifier: Apache-2.0
"""A local broker that a test can start, freeze, kill and restart."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from taxistream.local.broker import prepare
from taxistream.local.broker_files import BrokerFiles

_LISTENS_S_MAX = 180
"""It takes two; a starved machine may take its time."""


class KafkaServer:
    """The same Kafka with the same settings as `taxi kafka` runs, in a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        """Raises taxi.runtime.machine_errors.LocalError: no Java, no jars."""
        self._folder = folder
        self._log = folder / "test.log"
        self._plan = prepare(folder / "kafka", port=port)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        return self._plan.bootstrap_servers

    @property
    def port(self) -> int:
        return self._plan.port

    def set_property(self, name: str, value: str) -> None:
        """Change the broker's configuration, before its start."""
        properties = BrokerFiles(self._folder / "kafka").properties
        kept = [line for line in properties.read_text().splitlines() if not line.startswith(f"{name}=")]
        properties.write_text("\n".join([*kept, f"{name}={value}", ""]))

    def segment(self, topic: str) -> Path:
        """The first file of a topic's partition 0. What is written to it, the running broker returns."""
        return self._folder / "kafka" / "data" / f"{topic}-0" / "00000000000000000000.log"

    def start(self) -> None:
        """Returns when the port answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._plan.command,
                cwd=self._plan.cwd,
                env=self._plan.environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _LISTENS_S_MAX
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._plan.port)) == 0:
                    return
            assert self._process.poll() is None, self._log.read_text(encoding="utf-8")[-2000:]
            time.sleep(0.05)
        self.kill()
        raise TimeoutError(f"Kafka did not listen within {_LISTENS_S_MAX} s")

    def kill(self) -> None:
        """Send SIGKILL: nothing is flushed, and clients get no notice."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: connections stay, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # The signal is on its way while threads still answer: wait until the last one has stopped.
        os.waitpid(self._process.pid, os.WUNTRACED)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
