# SPDX-License-Identifier: Apache-2.0
"""However a range is read, its records are those of the log in that range, each of them once."""

import random
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from taxi.bus import OffsetOutOfRange, Outgoing, Reader, Record
from taxi.bus.memory.bus import MemoryBroker, MemoryBus
from taxi.bus.memory.log import Fate, Partition, Transaction
from taxi.bus.ranges import RangeReader, read_range
from testing.kafka_model import ModelReader, Segment, in_order, read_all
from testing.record_batches import good
from testing.virtual_time import SimLoop

T = TypeVar("T")

TOPIC: Final = "topic"
KINDS: Final = ("plain", "committed", "aborted", "damaged", "damaged on disk", "compacted")
PIECES = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 6)), max_size=12)
OFFSETS = st.integers(0, 50)


def run(loop: SimLoop, work: Coroutine[Any, Any, T]) -> T:
    try:
        found: T = loop.run_until_complete(work)
        assert not loop.errors
        return found
    finally:
        loop.shut_down()


def fill(partition: Partition, pieces: list[tuple[str, int]]) -> None:
    """Write the pieces, each of so many records."""
    for number, (kind, count) in enumerate(pieces):
        records = [Outgoing(b"%d" % n, b"%d" % number) for n in range(count)]
        if kind.startswith("damaged"):
            partition.append_damaged("its checksum", 1, count=count, is_on_disk=kind.endswith("disk"))
        elif kind in {"committed", "aborted"}:
            transaction = Transaction(0.0, 0, "id", number, 0, 60.0)
            partition.append(records, 1, transaction)
            transaction.fate = Fate(kind)
            partition.mark(transaction, 1)
        else:
            base = partition.append(records, 1)
            if kind == "compacted":
                partition.compacted.update(range(base, base + count))


@settings(max_examples=150, deadline=None)
@given(pieces=PIECES, start=OFFSETS, end=OFFSETS, max_records=st.integers(1, 9), seed=st.integers(0, 2**32))
def test_a_range_of_a_memory_bus_is_what_lies_in_it(
    pieces: list[tuple[str, int]], start: int, end: int, max_records: int, seed: int
) -> None:
    loop, rng = SimLoop(seed), random.Random(seed)
    broker = MemoryBroker(loop, now_ms=lambda: 1, now_s=loop.time, rng=rng)
    broker.harshness.latency_s, broker.harshness.cut_fetches = 0.002, 0.3
    broker.create_topic(TOPIC, partitions=1)
    partition = broker.partition(TOPIC, 0)
    fill(partition, pieces)
    start, end = min(start, partition.end), min(end, partition.end)
    from_start = partition.read(start, 10_000).records
    expected = [record for record in from_start if record.offset < end]

    async def read() -> tuple[list[list[Record]], int]:
        bus = MemoryBus(broker, world=loop, rng=rng)
        async with read_range(bus, TOPIC, 0, start, end, max_records=max_records) as chunks:
            return [records async for records in chunks], chunks.position

    found, position = run(loop, read())
    assert [record for records in found for record in records] == expected
    assert all(1 <= len(records) <= max_records for records in found)
    assert position >= end
    assert [record for record in from_start if record.offset < position] == expected, "nothing is passed over"


@settings(max_examples=150, deadline=None)
@given(
    pieces=PIECES,
    cuts=st.lists(OFFSETS, max_size=4),
    max_records=st.integers(1, 9),
    seed=st.integers(0, 2**32),
)
def test_a_reader_that_reads_range_after_range_reads_the_whole_log(
    pieces: list[tuple[str, int]], cuts: list[int], max_records: int, seed: int
) -> None:
    loop, rng = SimLoop(seed), random.Random(seed)
    broker = MemoryBroker(loop, now_ms=lambda: 1, now_s=loop.time, rng=rng)
    broker.create_topic(TOPIC, partitions=1)
    partition = broker.partition(TOPIC, 0)
    fill(partition, pieces)

    async def read() -> list[Record]:
        reader: Reader = await MemoryBus(broker, world=loop, rng=rng).reader(TOPIC, 0, 0)
        found: list[Record] = []
        for end in sorted({min(cut, partition.end) for cut in cuts} | {partition.end}):
            async for records in RangeReader(reader, end, max_records=max_records):
                found += records
        return found

    assert run(loop, read()) == partition.read(0, 10_000).records


@settings(max_examples=100, deadline=None)
@given(pieces=PIECES, deleted=st.integers(1, 50), start=OFFSETS, seed=st.integers(0, 2**32))
def test_a_range_begins_where_it_should_or_fails(
    pieces: list[tuple[str, int]], deleted: int, start: int, seed: int
) -> None:
    loop, rng = SimLoop(seed), random.Random(seed)
    broker = MemoryBroker(loop, now_ms=lambda: 1, now_s=loop.time, rng=rng)
    broker.create_topic(TOPIC, partitions=1)
    partition = broker.partition(TOPIC, 0)
    fill(partition, pieces)
    partition.delete_before(deleted)
    expected = partition.read(start, 10_000).records

    async def read() -> list[Record] | None:
        bus = MemoryBus(broker, world=loop, rng=rng)
        async with read_range(bus, TOPIC, 0, start, partition.end) as chunks:
            try:
                return [record async for records in chunks for record in records]
            except OffsetOutOfRange:
                assert chunks.position == start
                return None

    is_empty, is_gone = start >= partition.end, start < partition.start
    assert run(loop, read()) == ([] if is_empty else None if is_gone else expected)


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=12),
    gaps=st.sets(st.integers(0, 11)),
    spoilt=st.sets(st.integers(0, 11), max_size=2),
    bytes_max=st.sampled_from([1, 300, 1 << 20]),
    start=OFFSETS,
    end=OFFSETS,
    max_records=st.integers(1, 9),
)
def test_a_range_of_kafka_is_what_lies_in_it_damaged_or_not(
    sizes: list[int],
    gaps: set[int],
    spoilt: set[int],
    bytes_max: int,
    start: int,
    end: int,
    max_records: int,
) -> None:
    batches, base = [], 0
    for number, size in enumerate(sizes):
        if number not in gaps:  # compaction took the others
            batches.append(good(base, size))
        base += size
    segment = Segment(batches, 1)
    start, end = min(start, segment.end), min(end, segment.end)
    for number in spoilt:
        if number < len(segment.placed):
            segment.data[segment.placed[number].at + 70] ^= 0xFF
    expected = [record for record in read_all(segment, start, bytes_max) if record.offset < end]

    async def read() -> tuple[list[Record], int]:
        chunks = RangeReader(ModelReader(segment, start, bytes_max), end, max_records=max_records)
        return [record async for records in chunks for record in records], chunks.position

    found, position = run(SimLoop(1), read())
    assert found == expected
    in_order(found, start, segment.end)
    assert position >= end
