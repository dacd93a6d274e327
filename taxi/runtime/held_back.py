# SPDX-License-Identifier: Apache-2.0
"""Open transactions that hold records back: waits until they end, and reports a fault meanwhile.

A read_committed reader can't read beyond the first open transaction of a partition, whichever producer opened
it. The last stable offset may therefore be before the end of the log, and committed records after it can't be
read yet.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final, NoReturn

from taxi.bus import BusError, Offsets, OpenTransaction, Reader
from taxi.bus.open_transactions import describe
from taxi.runtime.env import Env

_POLL_S: Final = 0.2
_REPORT_AFTER_S: Final = 1.0
"""A normal transaction ends within this time."""
_STUCK_S: Final = 3.0
"""A reader counts as held back if it does not move for this long although there are records to read."""
_ASK_EVERY_S: Final = 5.0
"""How often the broker is asked which producer holds the transaction open."""


async def wait_until_stable(
    env: Env[Any], topic: str, partition: int, *, code: str, waiting: str, about: str = ""
) -> Offsets:
    """Wait until everything that is in the partition now can be read.

    Args:
        env: The service's environment.
        topic: Without the prefix.
        partition: Its number.
        code: The fault to report if this takes longer than a normal transaction. It blocks the process.
        waiting: Who waits for what, as a sentence without its full stop.
        about: That of `Faults.report`.

    Returns:
        The bounds of the partition at that time.

    Raises:
        BusError: Raised by `Bus.offsets`.
    """
    bounds = await env.bus.offsets(topic, partition)
    end, holder = bounds.end, _Holder(env, topic, partition)
    try:
        while bounds.stable < min(end, bounds.end):  # a topic that was created again may be shorter
            if holder.age_s >= _REPORT_AFTER_S:
                text = f"{await holder.describe(bounds)} {waiting}."
                env.faults.report(code, text, blocks=True, about=about)
            await asyncio.sleep(_POLL_S)
            bounds = await env.bus.offsets(topic, partition)
    finally:
        env.faults.clear(code, about=about)
    return bounds


class HeldBack:
    """Reports a fault while an open transaction holds one running reader back."""

    def __init__(
        self,
        env: Env[Any],
        topic: str,
        partition: int,
        reader: Reader,
        *,
        code: str,
        consequence: str,
        blocks: bool = False,
        about: str = "",
    ) -> None:
        """Observe `reader`.

        Args:
            env: The service's environment.
            topic: Without the prefix.
            partition: Its number.
            reader: A read_committed reader of the partition.
            code: The fault to report.
            consequence: What is wrong while it lasts, as a sentence without its full stop.
            blocks: That of `Faults.report`.
            about: That of `Faults.report`.
        """
        self._env = env
        self._topic = topic
        self._partition = partition
        self._reader = reader
        self._code = code
        self._consequence = consequence
        self._blocks = blocks
        self._about = about
        self._position = reader.position
        self._holder: _Holder | None = None

    async def check(self) -> None:
        """Report or clear the fault. It asks the broker only if the reader is stuck. Raises BusError."""
        position = self._reader.position
        if not self._reader.withheld or position != self._position:
            self._position, self._holder = position, None
            self.clear()
            return
        self._holder = self._holder or _Holder(self._env, self._topic, self._partition)
        if self._holder.age_s < _STUCK_S:
            return
        # The last fetch may be old, because the broker may have been unavailable since.
        bounds = await self._env.bus.offsets(self._topic, self._partition)
        if bounds.stable < bounds.end and bounds.stable <= position:
            text = f"{await self._holder.describe(bounds)} {self._consequence}."
            self._env.faults.report(self._code, text, blocks=self._blocks, about=self._about)

    def clear(self) -> None:
        """Clear the fault, because the reader moves or is no longer used."""
        self._env.faults.clear(self._code, about=self._about)


async def check_held_back(*readers: HeldBack) -> NoReturn:
    """Check each of them once a second, until cancelled."""
    try:
        while True:
            await asyncio.sleep(1.0)
            for reader in readers:
                with suppress(BusError):  # no broker answers; that is reported elsewhere
                    await reader.check()
    finally:
        for reader in readers:
            reader.clear()


class _Holder:
    """The producer that holds a partition back, looked up at most once in `_ASK_EVERY_S`."""

    def __init__(self, env: Env[Any], topic: str, partition: int) -> None:
        self._env = env
        self._topic = topic
        self._partition = partition
        self._since_s = asyncio.get_running_loop().time()
        self._asked_s: float | None = None
        self._open: tuple[OpenTransaction, ...] = ()

    @property
    def age_s(self) -> float:
        """Seconds since this object was created."""
        return asyncio.get_running_loop().time() - self._since_s

    async def describe(self, bounds: Offsets) -> str:
        """Sentences: what is held back, by which producer, since when, and how to end it."""
        now_s = asyncio.get_running_loop().time()
        if self._asked_s is None or now_s - self._asked_s >= _ASK_EVERY_S:
            self._asked_s = now_s
            self._open = await self._env.bus.open_transactions(self._topic, self._partition)
        first = next((each for each in self._open if each.start == bounds.stable), None)
        settings = self._env.settings
        text = describe(settings.prefix + self._topic, self._partition, bounds, first)
        command = (
            f"kafka-transactions.sh --bootstrap-server {settings.kafka_bootstrap_servers} abort"
            f" --topic {settings.prefix}{self._topic} --partition {self._partition}"
            f" --start-offset {bounds.stable}"
        )
        return f"{text} To end it, stop that producer or run: {command}."
