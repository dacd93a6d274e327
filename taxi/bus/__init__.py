# SPDX-License-Identifier: Apache-2.0
"""The bus: the interface to the log, with only those operations that the services need.

There are two implementations, and one test suite (tests/bus) runs against both: `taxi.bus.kafka`, and
`taxi.bus.memory` for tests. The memory bus permits everything that Kafka permits and injects faults more
often. Topic, group and transactional names have no prefix here; an implementation adds the prefix of a shared
cluster. Every offset belongs to one partition, and one partition is one city.

    BusError                    the call failed; base class of the others
    ├── Unavailable             the broker did not answer within the bus's own bounded retries
    │   └── Unknown             … to a write: it may or may not have happened
    ├── Fenced                  the broker accepts no more writes of this producer: stop, do not retry
    │   └── ClaimLost           … because the group took the assignment back, as its answer says
    └── OffsetOutOfRange        retention deleted the offset, or the partition ends before it

All methods are coroutines unless they return at once. Cancelling a read has no effect on the log. Cancelling
a write leaves its outcome unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol

from msgspec import Struct


class BusError(Exception):
    """Base class of the errors that a bus raises."""


class Unavailable(BusError):  # noqa: N818 - an outcome, named as one
    """The broker did not answer within the bus's own, bounded retries. The caller may try again later."""


class Unknown(Unavailable):
    """A write got no answer, so it may or may not have happened.

    Nothing asks for the outcome later: the writer drops its state, and its successor recovers from the log.
    """


class Fenced(BusError):  # noqa: N818 - an outcome
    """The broker accepts no more writes of this producer.

    A successor with the same transactional id has started, or the broker has aborted a transaction of this
    producer that took too long, or it has forgotten the transactional id; its answer does not say which. The
    process must stop writing. It may start another producer only after the group assigns it the partition
    again.
    """


class ClaimLost(Fenced):
    """The group took the assignment back, so the producer that depends on it must not be started.

    The group itself says so, in its answer to a heartbeat: a producer need not exist, and none was fenced.
    """


class OffsetOutOfRange(BusError):  # noqa: N818 - an outcome
    """Retention deleted the offset, or the partition ends before it."""


Headers = tuple[tuple[str, bytes], ...]


class Writer(NamedTuple):
    """The producer id and epoch of a transactional producer (KIP-98).

    Every successor under one transactional id has the same producer id and a greater producer epoch. The
    broker assigns another producer id only if the transactional id was unused for a week
    (`transactional.id.expiration.ms`).
    """

    producer_id: int
    producer_epoch: int


class Record(Struct, frozen=True, gc=False):
    """A record as read from the log.

    `timestamp_ms` is the append time on topics with `message.timestamp.type=LogAppendTime` (locations,
    commands) and the producer's time on the others.

    A Struct costs a third of a NamedTuple, and a reader creates tens of thousands a second. `gc=False` is
    safe because a record can't be part of a reference cycle.
    """

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    writer: Writer | None = None
    """The producer whose transaction it belongs to. None outside of a transaction and for damaged batches."""

    @property
    def next_offset(self) -> int:
        """The offset to read after this record."""
        return self.offset + 1


class Damaged(Record, frozen=True, gc=False):
    """A range of offsets that cannot be parsed; a reader returns it in place of the records and reads on.

    It covers one record (its headers are not UTF-8, for example) or the offsets of a whole batch (its
    checksum is wrong). `value` is None, so `codec.decode` raises a DecodeError with `reason`. `key` is None
    unless it could be parsed. `timestamp_ms` is that of the record or its batch, or NO_TIME if the batch's
    header can't be trusted.
    """

    reason: str = ""
    end: int = 0
    """One past the last offset of the range."""
    raw: bytes = b""
    """Its first bytes as they are in the log, at most RAW_BYTES_MAX; empty if the broker returned none."""
    is_on_disk: bool = False
    """The stored batch is corrupt (checksum, framing). Another reader may have read it before it was
    damaged."""

    @property
    def next_offset(self) -> int:
        return self.end


NO_TIME: Final = -1
"""The timestamp of a record that has none, as in Kafka."""
RAW_BYTES_MAX: Final = 16 << 10


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to write."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Write:
    """A record to write, with its topic and partition."""

    topic: str
    partition: int
    record: Outgoing


class Offsets(NamedTuple):
    """The bounds of a partition.

    `start` ≤ `stable` ≤ `end`. None of them decreases, unless data is lost or the topic is created again.
    """

    start: int
    """The log start offset: the oldest offset that retention has not deleted."""
    stable: int
    """The last stable offset (LSO), where a read_committed reader ends: no open transaction before it."""
    end: int
    """The high watermark."""


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """An open transaction: no read_committed reader of the partition can read beyond `start`."""

    start: int
    """Its first offset in the partition, which cannot be read either."""
    producer_id: int
    producer_epoch: int
    transactional_id: str | None = None
    """None if the broker does not return it: no permission, or no coordinator knows the transaction."""
    began_ms: int | None = None
    """When it began. If the broker does not return that: when its last record in the partition was
    written."""
    timeout_ms: int | None = None
    """After this time the broker aborts it."""
    is_hanging: bool = False
    """Its coordinator does not know the transaction, so only an operator can end it (KIP-664, KIP-890)."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The partitions that a group assigned to this member; empty after everything was revoked.

    Each assignment replaces the one before. `generation` counts this member's assignments and only grows; it
    is not the generation of the group protocol.
    """

    generation: int
    partitions: tuple[int, ...] = field(default=())
    expelled: bool = False
    """The group removed this member (its session expired, for example): another may own its partitions."""


RECORDS_AT_ONCE: Final = 5_000
"""The records that a reader hands over, and its caller processes, in one go.

A record costs the same in chunks of 500 and of 20,000 (bench/chunks.py), so two other things decide. While a
chunk is processed, a process sends no heartbeat and answers no request: 5,000 events take up to 50 ms, 5,000
positions 10 ms. And a follower that gets a full chunk counts as behind, so a chunk must hold more than comes
between two cuts: 1,000 positions in 100 ms of 10,000 drivers.
"""


class Reader(Protocol):
    """Reads one partition from an offset on. It belongs to no group and commits no offsets."""

    @property
    def position(self) -> int:
        """The next offset to read. It skips control records and aborted records, which are not returned."""

    @property
    def end(self) -> int | None:
        """The partition's end (high watermark) in the broker's last answer; None before the first.

        `end - position` is the lag at that time, in offsets.
        """

    @property
    def withheld(self) -> int:
        """How many offsets an open transaction held back at the last fetch; 0 if not `committed`.

        That is the high watermark minus the last stable offset. Every transaction raises it above 0 for a
        moment. It is a problem only if `position` does not move either: then a transaction stays open.
        """

    async def fetch(self, *, max_records: int = RECORDS_AT_ONCE, wait_ms: int = 100) -> list[Record]:
        """Read records from `position` on.

        Args:
            max_records: At most so many are returned.
            wait_ms: How long the broker may wait for the first record.

        Returns:
            Records in offset order, perhaps only a part of a transaction. Empty if none came within
            `wait_ms`, and sometimes earlier. What cannot be parsed is returned as `Damaged`, in its place.

        Raises:
            OffsetOutOfRange: `position` is outside of the log. It is unchanged.
            Unavailable: The broker did not answer. `position` is unchanged.
        """

    def seek(self, offset: int) -> None: ...

    async def close(self) -> None: ...


class Producer(Protocol):
    """A producer without transactions; idempotent with acks "all"."""

    @property
    def append_ms(self) -> int | None:
        """The broker's append time of the newest record of the last `send`.

        None before the first `send`, and if the topic keeps the producers' timestamps.
        """

    async def send(self, topic: str, partition: int, records: Sequence[Outgoing]) -> tuple[int, ...]:
        """Write records in order and wait for the acknowledgement.

        Returns:
            The offset of each record. With acks "leader" (locations) it is -1 if the broker returns none, and
            a record may be in the log twice.

        Raises:
            Unknown: No acknowledgement came: any prefix of `records` may be in the log.
        """

    async def close(self) -> None: ...


class TransactionalProducer(Protocol):
    """Writes whole transactions (KIP-98).

    Starting one fences its predecessor with the same transactional id and ends a transaction that the
    predecessor left open.
    """

    @property
    def producer_id(self) -> int:
        """The producer id in the `writer` of its records."""

    async def transact(self, writes: Sequence[Write]) -> tuple[int, ...]:
        """Write all of `writes` in one transaction and commit it.

        After any error this producer can't be used again: start a successor.

        Returns:
            The offset of each write, in order.

        Raises:
            Fenced: A successor has started, or the transaction took too long. Nothing of the transaction is
                visible or will become visible.
            Unknown: The transaction may have been committed.
            BusError: The broker refused it, or this producer had failed before.
        """

    async def close(self) -> None: ...


class Claim(Protocol):
    """An assignment that its owner confirms with the group before it does what only the owner may do.

    A process that was suspended for longer than its session still has its old assignment in memory. If it
    started a producer without confirming, it would fence its successor.
    """

    async def confirm(self) -> None:
        """Ask the group whether the assignment is still valid.

        Raises:
            ClaimLost: It is not.
            BusError: The group could not be asked (Kafka: Unavailable).
        """

    def holds(self) -> bool:
        """Whether it was confirmed so recently that no other member can have been assigned it since."""


class Membership(Protocol):
    """Membership of a consumer group whose partitions are cities."""

    async def next(self) -> Assignment:
        """Wait for the next assignment. An assignment that a newer one has replaced is skipped.

        A member whose session expired gets an empty assignment first, then one from joining again.
        """

    def claim(self, assignment: Assignment) -> Claim: ...

    async def leave(self) -> None:
        """Leave the group now, so that the other members need not wait until the session expires."""


class Bus(Protocol):
    """A service's access to one log: the factory of readers, producers and memberships."""

    async def reader(self, topic: str, partition: int, offset: int, *, committed: bool = True) -> Reader: ...

    async def offsets(self, topic: str, partition: int) -> Offsets: ...

    async def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """The first offset whose timestamp is `timestamp_ms` or later; the end if there is none.

        The log start offset if the broker cannot search because a batch is damaged.
        """

    async def open_transactions(self, topic: str, partition: int) -> tuple[OpenTransaction, ...]:
        """The transactions that are open in a partition, sorted by their first offset.

        For error texts only. What the broker does not return within two seconds is missing. Never raises a
        BusError.
        """

    async def producer(self, *, acks: Literal["all", "leader"] = "all") -> Producer: ...

    async def transactional_producer(
        self, transactional_id: str, claim: Claim | None = None
    ) -> TransactionalProducer:
        """Start a transactional producer, which fences its predecessor.

        Args:
            transactional_id: Without the prefix.
            claim: If given, the producer starts only while this assignment is confirmed.

        Raises:
            ClaimLost: The group has taken the claim's assignment back.
            Unavailable: The coordinator did not answer within the limit.
        """

    async def join(self, group: str, topic: str) -> Membership: ...

    async def close(self) -> None: ...
