# SPDX-License-Identifier: Apache-2.0
"""A broker in memory: Kafka's guarantees as a synchronous state machine that processes requests.

It does what Kafka is permitted to do: a commit is acknowledged before it is visible, and becomes visible in
one partition after the other; requests of a producer are refused while its markers are being written; a
transaction times out.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from taxi.bus import BusError, Fenced, Outgoing, Unavailable
from taxi.bus.memory.groups import Groups, Stamp
from taxi.bus.memory.log import Fate, Partition, Transaction
from taxi.bus.memory.network import Harshness, Scheduler, Timeout

_TICK_S = 0.25

Place = tuple[str, int]


class Busy(BusError):  # noqa: N818 - an outcome
    """CONCURRENT_TRANSACTIONS: not all markers of the previous transaction are written."""


class NothingOpen(BusError):  # noqa: N818 - an outcome
    """INVALID_TXN_STATE: no transaction is open under this epoch."""


@dataclass
class TransactionState:
    """The coordinator's state of one transactional id."""

    producer_id: int
    producer_epoch: int = -1
    timeout_s: float = 0.0
    transaction: Transaction | None = None
    ended: Fate | None = None
    """How the last transaction ended. A repeated EndTxn of the same epoch gets the same answer."""
    markers_to_write: int = 0
    sequences: dict[Place, tuple[int, int]] = field(default_factory=dict)
    """Partition → (newest sequence, its base offset). A repeated request is answered and not appended."""


class MemoryBroker:
    """One broker with all partitions, producers and groups. Its state survives every simulated crash."""

    def __init__(
        self, world: Scheduler, *, now_ms: Callable[[], int], now_s: Callable[[], float], rng: random.Random
    ) -> None:
        self._world = world
        self._now_ms = now_ms
        self._now_s = now_s
        self._random = rng
        self.harshness = Harshness()
        self.partitions: dict[Place, Partition] = {}
        self.counts: Counter[str] = Counter()
        """How often each named situation occurred, for tests that check that it occurred at all."""
        self.on_open: Callable[[], None] = lambda: None
        """Called when a transaction opens; tests inject faults here."""
        self.groups = Groups(now_s, rng, self.counts)
        self._writers: dict[str, TransactionState] = {}
        self._sequences: dict[tuple[int, Place], tuple[int, int]] = {}
        self._producer_ids = 0
        self._ticking = False
        self._late_ends: list[tuple[str, int, Fate]] = []
        """EndTxn requests that have not arrived yet: (transactional id, epoch, fate)."""

    def create_topic(self, name: str, *, partitions: int = 1) -> None:
        for number in range(partitions):
            self.partitions[name, number] = Partition(f"{name}/{number}")

    def recreate(self, name: str, number: int) -> None:
        """Replace a partition by an empty one, as if its topic was deleted and created again."""
        self.partitions[name, number] = Partition(f"{name}/{number}")

    def partition(self, topic: str, number: int) -> Partition:
        """Look up a partition. Raises Unavailable if it does not exist, because it may be created later."""
        try:
            return self.partitions[topic, number]
        except KeyError:
            raise Unavailable(f"unknown topic or partition {topic}/{number}") from None

    def partitions_of(self, topic: str) -> list[int]:
        return sorted(number for name, number in self.partitions if name == topic)

    # --- idempotent writing -------------------------------------------------------------------------

    def new_producer_id(self) -> int:
        self._producer_ids += 1
        return self._producer_ids

    def produce(self, place: Place, records: Sequence[Outgoing], producer_id: int, sequence: int) -> int:
        """Append records and return their base offset.

        A repeated sequence number of a producer id is not appended again. With producer id −1 a repeated
        request writes its records twice.
        """
        partition = self.partition(*place)
        if producer_id < 0:
            return partition.append(records, self._now_ms())
        newest, base = self._sequences.get((producer_id, place), (-1, -1))
        if sequence <= newest:
            return base
        base = partition.append(records, self._now_ms())
        self._sequences[producer_id, place] = sequence, base
        return base

    # --- transactions -------------------------------------------------------------------------------

    def start_writer(self, transactional_id: str, timeout_s: float, stamp: Stamp | None = None) -> int:
        """InitProducerId: fence the predecessor, abort its open transaction, return the new epoch.

        Raises:
            Busy: The markers of the aborted transaction are not all written.
        """
        if stamp is not None and self.groups.was_succeeded(stamp):
            self.counts["producers asked for by one who was succeeded"] += 1
        if transactional_id not in self._writers:
            self._writers[transactional_id] = TransactionState(self.new_producer_id())
        writer = self._writers[transactional_id]
        if writer.transaction is not None:
            self.counts["started over an open transaction"] += 1
            writer.producer_epoch += 1
            self._finish(writer, Fate.ABORTED)
        if writer.markers_to_write:
            raise Busy
        writer.producer_epoch += 1
        writer.timeout_s = timeout_s
        writer.ended = None
        writer.sequences = {}
        return writer.producer_epoch

    def expire_writer(self, transactional_id: str) -> None:
        """Expire a transactional id, as a broker does after a week without use: it gets another producer id.

        Does nothing while one of its transactions is open. A producer that uses the old one is fenced.
        """
        writer = self._writers.get(transactional_id)
        if writer is not None and writer.transaction is None and not writer.markers_to_write:
            self._writers[transactional_id] = TransactionState(
                self.new_producer_id(), writer.producer_epoch + 1
            )

    def producer_id_of(self, transactional_id: str) -> int:
        """The producer id of a transactional id. It changes only by `expire_writer`."""
        return self._writers[transactional_id].producer_id

    def produce_in_transaction(
        self,
        transactional_id: str,
        producer_epoch: int,
        sequence: int,
        place: Place,
        records: Sequence[Outgoing],
    ) -> int:
        """Append records to the open transaction, or open one, and return their base offset.

        Raises:
            Fenced: A successor has started.
            Busy: The markers of the previous transaction are not all written.
        """
        writer = self._writer(transactional_id, producer_epoch)
        newest, base = writer.sequences.get(place, (-1, -1))
        if sequence <= newest:
            return base
        if writer.markers_to_write:
            raise Busy
        if writer.transaction is None:
            writer.transaction, writer.ended = self._opened_by(transactional_id, writer), None
            self.keep_ticking()
            self.on_open()
        base = self.partition(*place).append(records, self._now_ms(), writer.transaction)
        writer.sequences[place] = sequence, base
        self._let_late_ends_arrive(transactional_id)
        return base

    def _opened_by(self, transactional_id: str, writer: TransactionState) -> Transaction:
        return Transaction(
            began_s=self._now_s(),
            began_ms=self._now_ms(),
            transactional_id=transactional_id,
            producer_id=writer.producer_id,
            producer_epoch=writer.producer_epoch,
            timeout_s=writer.timeout_s,
        )

    def end(self, transactional_id: str, producer_epoch: int, fate: Fate) -> None:
        """EndTxn: end whatever transaction is open under this epoch.

        Raises:
            Fenced: A successor has started.
            NothingOpen: No transaction is open, and the last one did not end with the same `fate`.
            Timeout: The sender's connection broke (`Harshness.late_ends`); the request arrives later.
        """
        late = self.harshness.late_ends
        if late and self._random.random() < late:
            self._late_ends.append((transactional_id, producer_epoch, fate))
            raise Timeout
        self._end(transactional_id, producer_epoch, fate)

    def _end(self, transactional_id: str, producer_epoch: int, fate: Fate) -> None:
        writer = self._writer(transactional_id, producer_epoch)
        if writer.transaction is None:
            if writer.ended is fate:
                return
            raise NothingOpen(transactional_id)
        self._finish(writer, fate)

    def _let_late_ends_arrive(self, transactional_id: str) -> None:
        """Deliver delayed EndTxn requests while the next transaction is open, where they do most damage."""
        late = [each for each in self._late_ends if each[0] == transactional_id]
        self._late_ends = [each for each in self._late_ends if each[0] != transactional_id]
        for end in late:
            self._world.in_world(self._marker_delay_s(), self._end_late, *end)

    def _end_late(self, transactional_id: str, producer_epoch: int, fate: Fate) -> None:
        """Process a delayed EndTxn. Its answer is discarded."""
        self.counts["a late EndTxn"] += 1
        with suppress(BusError):
            self._end(transactional_id, producer_epoch, fate)

    def _writer(self, transactional_id: str, producer_epoch: int) -> TransactionState:
        writer = self._writers[transactional_id]
        if writer.producer_epoch != producer_epoch:
            self.counts["fenced"] += 1
            raise Fenced(transactional_id)
        return writer

    def _finish(self, writer: TransactionState, fate: Fate) -> None:
        """Decide a transaction's fate. Each partition gets its marker later, at a time of its own."""
        transaction = writer.transaction
        assert transaction is not None
        writer.transaction, writer.ended = None, fate
        transaction.fate = fate
        writer.markers_to_write = len(transaction.places)
        for partition in transaction.places:
            self._world.in_world(self._marker_delay_s(), self._mark, writer, partition, transaction)

    def _mark(self, writer: TransactionState, partition: Partition, transaction: Transaction) -> None:
        partition.mark(transaction, self._now_ms())
        writer.markers_to_write -= 1

    def _marker_delay_s(self) -> float:
        luck = self._random.random()
        base = self.harshness.marker_s
        return base * (0.2 + luck) if luck < 0.98 else base * 80 * luck

    # --- time ---------------------------------------------------------------------------------------

    def keep_ticking(self) -> None:
        """Check sessions and transactions for timeouts until neither members nor transactions are left."""
        if not self._ticking:
            self._ticking = True
            self._world.in_world(_TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        if self.harshness.down:
            self.groups.pause()
        else:
            self.groups.expire()
            for writer in self._writers.values():
                self._time_out(writer)
        if self.groups.busy or any(writer.transaction for writer in self._writers.values()):
            self.keep_ticking()

    def _time_out(self, writer: TransactionState) -> None:
        transaction = writer.transaction
        if transaction is not None and self._now_s() - transaction.began_s > writer.timeout_s:
            self.counts["transaction timed out"] += 1
            writer.producer_epoch += 1
            self._finish(writer, Fate.ABORTED)
