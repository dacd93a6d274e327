# SPDX-License-Identifier: Apache-2.0
"""A read-only bus over a finished log. It answers at once and never fails.

It contains everything that was ever written, also what retention deleted, so checks see more than the
services did.
"""

from collections.abc import Coroutine
from typing import Any, Literal, NoReturn, TypeVar

from taxi.bus import RECORDS_AT_ONCE, Claim, Offsets, OpenTransaction, Record
from taxi.bus.memory.bus import MemoryBroker
from taxi.bus.memory.log import Partition

T = TypeVar("T")


class StillReader:
    """Reads committed records."""

    def __init__(self, partition: Partition, offset: int) -> None:
        self._partition = partition
        self.position = offset
        self.withheld = 0

    @property
    def end(self) -> int:
        return self._partition.end

    async def fetch(self, *, max_records: int = RECORDS_AT_ONCE, wait_ms: int = 100) -> list[Record]:
        del wait_ms
        fetched = self._partition.read(self.position, max_records)
        self.position = fetched.next_offset
        return fetched.records

    def seek(self, offset: int) -> None:
        self.position = offset

    async def close(self) -> None:
        """There is nothing to close."""


class StillBus:
    """For reading alone. `everything`: also what retention took."""

    def __init__(self, broker: MemoryBroker, *, everything: bool = True) -> None:
        self._broker = broker
        self._everything = everything

    async def reader(self, topic: str, partition: int, offset: int, *, committed: bool = True) -> StillReader:
        del committed
        return StillReader(self._broker.partition(topic, partition), offset)

    async def offsets(self, topic: str, partition: int) -> Offsets:
        place = self._broker.partition(topic, partition)
        return Offsets(0 if self._everything else place.start, place.stable, place.end)

    async def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        return self._broker.partition(topic, partition).offset_at(timestamp_ms)

    async def open_transactions(self, topic: str, partition: int) -> tuple[OpenTransaction, ...]:
        return self._broker.partition(topic, partition).open_transactions

    async def producer(self, *, acks: Literal["all", "leader"] = "all") -> NoReturn:
        raise NotImplementedError

    async def transactional_producer(self, transactional_id: str, claim: Claim | None = None) -> NoReturn:
        raise NotImplementedError

    async def join(self, group: str, topic: str) -> NoReturn:
        raise NotImplementedError

    async def close(self) -> None:
        """There is nothing to close."""


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run what never waits, without a loop."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waited")
