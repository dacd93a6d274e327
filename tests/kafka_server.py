# SPDX-License-Identifier: Apache-2.0
"""The local broker under a test's hand: started once, frozen, killed and brought back at will."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from taxi.local.broker import prepare

_LISTENS_S_MAX = 180
"""It takes two; a starved machine may take its time."""


class KafkaServer:
    """The same Kafka with the same settings as `taxi kafka` runs, in a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        """Raises taxi.local.errors.LocalError: no Java, no jars."""
        self._log = folder / "test.log"
        self._plan = prepare(folder / "kafka", port=port)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        return self._plan.bootstrap_servers

    def start(self) -> None:
        """Returns when the port answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._plan.command, stdout=log, stderr=log, start_new_session=True
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
        """SIGKILL: nothing is flushed, nobody is told."""
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
