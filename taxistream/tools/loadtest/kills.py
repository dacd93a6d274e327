# SPDX-License-Identifier: Apache-2.0
"""Kills, freezes and restarts gateways of a local demo, and counts the affected clients."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from taxi.runtime import parts
from taxi.runtime.machine_errors import LocalError
from taxi.runtime.parts import State
from taxistream.tools.loadtest.clients.load_clients import LoadClients


class Killer:
    """Kills the gateway with the most clients."""

    def __init__(self, data_dir: Path, load_clients: LoadClients) -> None:
        self.kills = 0
        self.restarts = 0
        self.missed = 0
        """How often there was no gateway to kill."""
        self.clients_disconnected = 0
        """How many clients were connected to killed gateways."""
        self._data_dir = data_dir
        self._load_clients = load_clients
        self.last = ""
        """The gateway that got the last SIGTERM."""

    def kill(self) -> None:
        """Send SIGKILL, which is like a crash."""
        self._end(parts.kill)

    def freeze(self) -> None:
        """Send SIGSTOP: connections stay open without answers until the supervisor replaces the process."""
        self._end(_stop)

    def _end(self, end: Callable[[Path, str], object]) -> None:
        try:
            end(self._data_dir, self._load_clients.most_used())
        except LocalError:
            self.missed += 1
            return
        self.kills += 1
        self.clients_disconnected += self._load_clients.record_kill(
            self._load_clients.most_used(), time.time_ns() // 1_000_000
        )

    def restart(self) -> None:
        """Send SIGTERM to the next gateway by name, as in a rolling restart."""
        ready = [
            part
            for part in parts.list_current(self._data_dir)
            if part.name.startswith("gateway-") and part.state is State.READY
        ]
        after = [part for part in ready if part.name > self.last] or ready
        if not after:
            self.missed += 1
            return
        self.last = after[0].name
        os.kill(after[0].pid, signal.SIGTERM)
        self.restarts += 1


def _stop(data_dir: Path, name: str) -> None:
    """Send SIGSTOP to a part. Raises LocalError if there is no such part."""
    for part in parts.list_current(data_dir):
        if part.name == name:
            os.kill(part.pid, signal.SIGSTOP)
            return
    raise LocalError(f"no part is called {name}", do="`taxi ps` lists them")


def gateways(data_dir: Path) -> list[str]:
    """The names of the demo's gateways."""
    return [part.name for part in parts.list_current(data_dir) if part.name.startswith("gateway-")]
