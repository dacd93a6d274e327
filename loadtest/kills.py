# SPDX-License-Identifier: Apache-2.0
"""Ends gateways of a local demo, by crash or by request, and remembers what it cost."""

import os
import signal
import time
from pathlib import Path

from loadtest.swarm.swarm import Swarm
from taxi.local import parts
from taxi.local.errors import LocalError
from taxi.local.parts import State


class Killer:
    """Kills the gateway that most clients hang on, so that every kill hurts."""

    def __init__(self, data_dir: Path, swarm: Swarm) -> None:
        self.kills = 0
        self.restarts = 0
        self.missed = 0
        """Times when no gateway was there to be ended."""
        self.hurt = 0
        """Clients whose gateway was killed."""
        self._data_dir = data_dir
        self._swarm = swarm
        self.last = ""
        """Whom SIGTERM went to."""

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        try:
            parts.kill(self._data_dir, self._swarm.most_used())
        except LocalError:
            self.missed += 1
            return
        self.kills += 1
        self.hurt += self._swarm.hurt(self._swarm.most_used(), time.time_ns() // 1_000_000)

    def restart(self) -> None:
        """SIGTERM to one gateway after the other, as a rolling restart would."""
        ready = [
            part
            for part in parts.look(self._data_dir)
            if part.name.startswith("gateway-") and part.state is State.READY
        ]
        after = [part for part in ready if part.name > self.last] or ready
        if not after:
            self.missed += 1
            return
        self.last = after[0].name
        os.kill(after[0].pid, signal.SIGTERM)
        self.restarts += 1


def gateways(data_dir: Path) -> list[str]:
    """The gateways of the demo."""
    return [part.name for part in parts.look(data_dir) if part.name.startswith("gateway-")]
