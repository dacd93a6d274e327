# SPDX-License-Identifier: Apache-2.0
"""Kafka's promises as a synchronous state machine: what a broker does with each request.

Where Kafka leaves room, this one takes it: a commit is answered before it is visible, partition by partition;
a producer id is refused while markers are being written; a transaction times out.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from taxi.bus import BusError, Fenced, Outgoing, Unavailable
from taxi.bus.memory_groups import Groups, Stamp
from taxi.bus.memory_log import Fate, Partition, Transaction
from taxi.bus.memory_network import Harshness, Timeout, World

_TICK_S = 0.25

Place = tuple[str, int]


class Busy(BusError):  # noqa: N818 - an outcome
    """CONCURRENT_TRANSACTIONS: markers of the transaction before are not all written."""


class NothingOpen(BusError):  # noqa: N818 - an outcome
    """INVALID_TXN_STATE: there is no transaction to end."""


@dataclass
class Writer:
    """A transactional id, as its coordinator knows it."""

    epoch: int = -1
    timeout_s: float = 0.0
    transaction: Transaction | None = None
    ended: Fate | None = None
    """How the last one ended: an EndTxn repeated under the same epoch is answered alike."""
    markers_to_write: int = 0
    sequences: dict[Place, tuple[int, int]] = field(default_factory=dict)
    """(newest sequence, its base offset): a repeated request is answered, not appended."""


class MemoryBroker:
    """One broker that never forgets."""

    def __init__(
        self, world: World, *, now_ms: Callable[[], int], now_s: Callable[[], float], rng: random.Random
    ) -> None:
        self._world = world
        self._now_ms = now_ms
        self._now_s = now_s
        self._random = rng
        self.harshness = Harshness()
        self.partitions: dict[Place, Partition] = {}
        self.counts: Counter[str] = Counter()
        """What happened, for tests that want to know whether it ever did."""
        self.on_open: Callable[[], None] = lambda: None
        """Called when a transaction opens: a good moment for things to go wrong."""
        self.groups = Groups(now_s, rng, self.counts)
        self._writers: dict[str, Writer] = {}
        self._sequences: dict[tuple[int, Place], tuple[int, int]] = {}
        self._producer_ids = 0
        self._ticking = False
        self._late_ends: list[tuple[str, int, Fate]] = []
        """EndTxn requests still on their way: (transactional id, epoch, fate)."""

    def create_topic(self, name: str, *, partitions: int = 1) -> None:
        for number in range(partitions):
            self.partitions[name, number] = Partition(f"{name}/{number}")

    def recreate(self, name: str, number: int) -> None:
        """Delete a partition's topic and make it anew, empty; whoever reads it finds the new one."""
        self.partitions[name, number] = Partition(f"{name}/{number}")

    def partition(self, topic: str, number: int) -> Partition:
        """Raises Unavailable for an unknown one, as a cluster that may yet make it."""
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
        """The base offset. Producer id −1: no numbers, a repeat is a double."""
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
        """The new epoch. Fences the predecessor first, then ends what it left open. Raises Busy."""
        if stamp is not None and self.groups.was_succeeded(stamp):
            self.counts["producers asked for by one who was succeeded"] += 1
        writer = self._writers.setdefault(transactional_id, Writer())
        if writer.transaction is not None:
            self.counts["started over an open transaction"] += 1
            writer.epoch += 1
            self._finish(writer, Fate.ABORTED)
        if writer.markers_to_write:
            raise Busy
        writer.epoch += 1
        writer.timeout_s = timeout_s
        writer.ended = None
        writer.sequences = {}
        return writer.epoch

    def produce_in_transaction(
        self, transactional_id: str, epoch: int, sequence: int, place: Place, records: Sequence[Outgoing]
    ) -> int:
        """The base offset. Raises Fenced, Busy."""
        writer = self._writer(transactional_id, epoch)
        newest, base = writer.sequences.get(place, (-1, -1))
        if sequence <= newest:
            return base
        if writer.markers_to_write:
            raise Busy
        if writer.transaction is None:
            writer.transaction, writer.ended = Transaction(self._now_s()), None
            self.keep_ticking()
            self.on_open()
        base = self.partition(*place).append(records, self._now_ms(), writer.transaction)
        writer.sequences[place] = sequence, base
        self._let_late_ends_arrive(transactional_id)
        return base

    def end(self, transactional_id: str, epoch: int, fate: Fate) -> None:
        """Raises Fenced, Busy, NothingOpen. Whatever transaction is open under this epoch is meant.

        Raises Timeout for one that will come late: its sender's connection broke, the request is under way.
        """
        late = self.harshness.late_ends
        if late and self._random.random() < late:
            self._late_ends.append((transactional_id, epoch, fate))
            raise Timeout
        self._end(transactional_id, epoch, fate)

    def _end(self, transactional_id: str, epoch: int, fate: Fate) -> None:
        writer = self._writer(transactional_id, epoch)
        if writer.transaction is None:
            if writer.ended is fate:
                return
            raise NothingOpen(transactional_id)
        self._finish(writer, fate)

    def _let_late_ends_arrive(self, transactional_id: str) -> None:
        """A transaction is open: now an EndTxn does most harm that was meant for the one before."""
        late = [each for each in self._late_ends if each[0] == transactional_id]
        self._late_ends = [each for each in self._late_ends if each[0] != transactional_id]
        for end in late:
            self._world.in_world(self._marker_delay_s(), self._end_late, *end)

    def _end_late(self, transactional_id: str, epoch: int, fate: Fate) -> None:
        """Nobody waits for the answer."""
        self.counts["a late EndTxn"] += 1
        with suppress(BusError):
            self._end(transactional_id, epoch, fate)

    def _writer(self, transactional_id: str, epoch: int) -> Writer:
        writer = self._writers[transactional_id]
        if writer.epoch != epoch:
            self.counts["fenced"] += 1
            raise Fenced(transactional_id)
        return writer

    def _finish(self, writer: Writer, fate: Fate) -> None:
        """The fate is sealed and may be answered; each partition gets its marker later, and alone."""
        transaction = writer.transaction
        assert transaction is not None
        writer.transaction, writer.ended = None, fate
        transaction.fate = fate
        writer.markers_to_write = len(transaction.places)
        for partition in transaction.places:
            self._world.in_world(self._marker_delay_s(), self._mark, writer, partition, transaction)

    def _mark(self, writer: Writer, partition: Partition, transaction: Transaction) -> None:
        partition.mark(transaction, self._now_ms())
        writer.markers_to_write -= 1

    def _marker_delay_s(self) -> float:
        luck = self._random.random()
        base = self.harshness.marker_s
        return base * (0.2 + luck) if luck < 0.98 else base * 80 * luck

    # --- time ---------------------------------------------------------------------------------------

    def keep_ticking(self) -> None:
        """Look after timeouts for as long as there may be some."""
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

    def _time_out(self, writer: Writer) -> None:
        transaction = writer.transaction
        if transaction is not None and self._now_s() - transaction.began_s > writer.timeout_s:
            self.counts["transaction timed out"] += 1
            writer.epoch += 1
            self._finish(writer, Fate.ABORTED)
