# SPDX-License-Identifier: Apache-2.0
"""The bus: what the services need of a log, and no more.

Two implementations, one suite (tests/bus): `taxi.bus.kafka`, and `taxi.bus.memory` for tests, which is
harsher than Kafka, never milder. Topic, group and transactional names are plain here; an implementation
adds the prefix of a shared cluster. All offsets are of one partition; one partition is one city.

    BusError                    nothing below happened, or nobody knows
    ├── Unavailable             the broker did not answer within the bus's own bounded retries
    │   └── Unknown             … to a write: it may or may not have happened
    ├── Fenced                  a successor with the same transactional id has started: stop, never rebuild
    └── OffsetOutOfRange        retention passed the offset, or the topic is shorter than it
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct


class BusError(Exception):
    """Base of what a bus raises."""


class Unavailable(BusError):  # noqa: N818 - an outcome, named as one
    """The broker did not answer within the bus's own, bounded retries. Trying again later is sensible."""


class Unknown(Unavailable):
    """A write got no answer: it may or may not have happened. The only way on is to read the log."""


class Fenced(BusError):  # noqa: N818 - an outcome
    """A successor with the same transactional id has started. Only a fresh assignment may build anew."""


class OffsetOutOfRange(BusError):  # noqa: N818 - an outcome
    """Retention passed the offset, or the topic ends before it."""


Headers = tuple[tuple[str, bytes], ...]


class Record(Struct, frozen=True, gc=False):
    """A record as read. `timestamp_ms` is LogAppendTime on topics made so (locations, commands).

    A Struct, for there are tens of thousands a second: a third of a tuple's cost, and the garbage collector
    need not look at them, since nothing in them can lead back.
    """

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to write."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Write:
    """A record to write and where to."""

    topic: str
    partition: int
    record: Outgoing


class Offsets(NamedTuple):
    """The bounds of a partition."""

    start: int
    """The oldest offset still there."""
    stable: int
    """The read_committed end (last stable offset): no open transaction before it."""
    end: int
    """The high watermark."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a group gave this member. Each one replaces the one before; empty when everything was revoked."""

    generation: int
    partitions: tuple[int, ...] = field(default=())
    expelled: bool = False
    """The group gave this member up (it slept past its session, say): what it had may be another's."""


class Reader(Protocol):
    """Reads one partition from an offset on. It belongs to no group and commits nothing."""

    @property
    def position(self) -> int:
        """The next offset to read. It passes control records and aborted ones, which never arrive."""

    async def fetch(self, *, max_records: int = 1000, wait_ms: int = 100) -> list[Record]:
        """Records from `position` on, in offset order; empty after `wait_ms` without any (or earlier).

        May return half a transaction. Raises OffsetOutOfRange, Unavailable; `position` is then unchanged.
        """

    def seek(self, offset: int) -> None: ...

    async def close(self) -> None: ...


class Producer(Protocol):
    """An idempotent producer."""

    async def send(self, topic: str, partition: int, records: Sequence[Outgoing]) -> tuple[int, ...]:
        """Write in order and wait for the acknowledgement; the offset of each. Raises Unknown.

        With acks "leader" (locations) offsets may be -1 where the broker tells none.
        """

    async def close(self) -> None: ...


class TransactionalProducer(Protocol):
    """Writes whole transactions. Starting it fences its predecessor and ends what that one left open."""

    async def transact(self, writes: Sequence[Write]) -> tuple[int, ...]:
        """All of `writes` or nothing; the offset of each, in order.

        Raises Fenced: nothing of it is or will be visible. Raises Unknown: it may have committed; this
        producer is spent, and so it is after any error.
        """

    async def close(self) -> None: ...


class Claim(Protocol):
    """An assignment, to be confirmed before anything is done that only its owner may do.

    Whoever wakes from a long sleep believes in what it was given before. Asking first keeps it from
    fencing its successor.
    """

    async def confirm(self) -> None:
        """Ask the group. Raises Fenced if the assignment is no more, and what else a bus raises."""

    def holds(self) -> bool:
        """Whether it was confirmed so short a time ago that nobody else can have been given it since."""


class Membership(Protocol):
    """A place in a consumer group whose partitions are cities."""

    async def next(self) -> Assignment:
        """Wait for the next change. A lost session shows as an empty assignment, then a new one."""

    def claim(self, assignment: Assignment) -> Claim: ...

    async def leave(self) -> None:
        """Leave at once, so that others need not wait for the session to expire."""


class Bus(Protocol):
    """One connection to one log."""

    async def reader(self, topic: str, partition: int, offset: int, *, committed: bool = True) -> Reader: ...

    async def offsets(self, topic: str, partition: int) -> Offsets: ...

    async def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """The first offset with this timestamp or a later one; the end where there is none."""

    async def producer(self, *, acks: Literal["all", "leader"] = "all") -> Producer: ...

    async def transactional_producer(
        self, transactional_id: str, claim: Claim | None = None
    ) -> TransactionalProducer:
        """Start one, which fences its predecessor. `claim`: only while it holds; else raises Fenced."""

    async def join(self, group: str, topic: str) -> Membership: ...

    async def close(self) -> None: ...
