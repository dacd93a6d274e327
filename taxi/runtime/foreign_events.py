# SPDX-License-Identifier: Apache-2.0
"""Reports foreign events: events on `taxi.events` that another producer than the city's wrote."""

import asyncio
from typing import Any, Final

from taxi.runtime.env import Env

REPORTED_S: Final = 60.0
"""How long the fault lasts after the last foreign event, because its producer will probably write more."""


class ForeignEvents:
    """The fault `foreign_events` of one reader."""

    def __init__(self, env: Env[Any], *, about: str = "") -> None:
        """`about` is that of `Faults.report`."""
        self._env = env
        self._about = about
        self._count = 0
        self._until_s = 0.0

    def note(self, count: int) -> None:
        """Record that `count` more foreign events were skipped."""
        if not count:
            return
        self._count += count
        self._until_s = asyncio.get_running_loop().time() + REPORTED_S
        self.check()

    def check(self) -> None:
        """Report the fault, or clear it. Call it about once a second."""
        if not self._count:
            return
        if asyncio.get_running_loop().time() >= self._until_s:
            self.clear()
            return
        topic = f"{self._env.settings.prefix}taxi.events"
        text = (
            f"another producer than the dispatcher writes to {topic}: {self._count} of its events were "
            "passed over, and the city goes on without them. Find who writes there, and let only "
            "dispatchers do so (ACLs)"
        )
        self._env.faults.report("foreign_events", text, about=self._about)

    def clear(self) -> None:
        """Clear the fault and start to count again from 0."""
        self._count = 0
        self._env.faults.clear("foreign_events", about=self._about)
