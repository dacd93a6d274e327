# SPDX-License-Identifier: Apache-2.0
"""What the bus suite needs of an implementation besides the bus: topics, faults, raw transactions."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, Self

from taxi.bus import Bus, Outgoing, Reader, Record

Scenario = Callable[[Any], Awaitable[None]]


class BusHarness(Protocol):
    """One implementation under test."""

    def run(self, scenario: Callable[[Self], Awaitable[None]]) -> None:
        """Run the scenario on this implementation's loop (on several fresh harnesses, where seeds matter)."""

    async def topic(self, *, partitions: int = 1, append_time: bool = False) -> str:
        """A fresh, empty topic; its name."""

    async def bus(self, *, prefix: str = "") -> Bus:
        """A new connection, as another process would have it."""

    async def leave_open(self, topic: str, transactional_id: str, values: list[bytes]) -> None:
        """Write in a transaction and die before its end."""

    async def abort(self, topic: str, transactional_id: str, values: list[bytes]) -> None:
        """Write in a transaction and abort it; returns when the marker is there."""

    async def delete_before(self, topic: str, offset: int) -> None:
        """Retention: records before `offset` are gone."""

    def silence(self) -> None:
        """From now on the broker does not answer."""

    def answer(self) -> None:
        """It answers again."""


def outgoing(*values: bytes) -> list[Outgoing]:
    return [Outgoing(None, value) for value in values]


def values(records: list[Record]) -> list[bytes | None]:
    return [record.value for record in records]


async def read_until(reader: Reader, position: int, *, max_records: int = 1000) -> list[Record]:
    """Everything before `position`, which the reader reaches by position: nothing may arrive at the end."""
    got: list[Record] = []
    while reader.position < position:
        got += await reader.fetch(max_records=max_records)
    return got


async def written(bus: Bus, topic: str, *texts: bytes) -> tuple[int, ...]:
    """Write with a producer of its own."""
    producer = await bus.producer()
    offsets = await producer.send(topic, 0, outgoing(*texts))
    await producer.close()
    return offsets


async def everything(bus: Bus, topic: str, *, committed: bool = True) -> list[Record]:
    """All records from start to the stable end (or the end)."""
    bounds = await bus.offsets(topic, 0)
    reader = await bus.reader(topic, 0, bounds.start, committed=committed)
    got = await read_until(reader, bounds.stable if committed else bounds.end)
    await reader.close()
    return got
