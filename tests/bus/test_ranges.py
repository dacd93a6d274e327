# SPDX-License-Identifier: Apache-2.0
"""A bounded range of a partition: what `read_range` returns, on every bus."""

import asyncio
from typing import Any, cast

import pytest

from taxi.bus import Bus, OffsetOutOfRange, Reader, Record, Unavailable, Write
from taxi.bus.ranges import RangeReader, read_range, read_record
from tests.bus.harness import BusHarness, outgoing, values, written


async def in_range(
    bus: Bus, topic: str, start: int, end: int, *, committed: bool = True, max_records: int = 1000
) -> list[list[Record]]:
    """The chunks of a range."""
    async with read_range(bus, topic, 0, start, end, committed=committed, max_records=max_records) as chunks:
        return [records async for records in chunks]


def joined(chunks: list[list[Record]]) -> list[Record]:
    return [record for records in chunks for record in records]


async def transacted(bus: Bus, topic: str, *texts: bytes) -> None:
    producer = await bus.transactional_producer(f"of {topic}")
    await producer.transact([Write(topic, 0, record) for record in outgoing(*texts)])
    await producer.close()
    while (bounds := await bus.offsets(topic, 0)).stable < bounds.end:
        pass  # the commit is acknowledged before its marker is there


async def test_a_range_begins_and_ends_exactly(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, *[b"%d" % n for n in range(20)])
    for start, end in ((0, 20), (3, 4), (7, 19), (19, 20)):
        found = joined(await in_range(bus, topic, start, end))
        assert values(found) == [b"%d" % n for n in range(start, end)]


async def test_an_empty_range_asks_the_broker_nothing(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"a")
    assert await in_range(bus, topic, 1, 1) == []
    assert await in_range(bus, topic, 40, 7) == [], "no offset of it exists, and none is looked for"


async def test_chunks_have_records_and_no_more_than_their_limit(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, *[b"%d" % n for n in range(20)])
    chunks = await in_range(bus, topic, 1, 18, max_records=4)
    assert all(1 <= len(records) <= 4 for records in chunks)
    assert [record.offset for record in joined(chunks)] == list(range(1, 18))


async def test_control_records_at_the_end_do_not_keep_a_range_open(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await transacted(bus, topic, b"a", b"b")
    await harness.abort(topic, f"another {topic}", [b"x"])
    await written(bus, topic, b"c")
    bounds = await bus.offsets(topic, 0)
    assert values(joined(await in_range(bus, topic, 0, bounds.stable - 1))) == [b"a", b"b"]
    assert await in_range(bus, topic, 2, bounds.stable - 1) == [], "markers and aborted records alone"


async def test_a_reader_goes_on_behind_its_range_and_loses_nothing(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await transacted(bus, topic, b"a", b"b")
    await written(bus, topic, *[b"%d" % n for n in range(5)])
    reader = await bus.reader(topic, 0, 0)
    first = [records async for records in RangeReader(reader, 4)]
    assert values(joined(first)) == [b"a", b"b", b"0"]
    assert reader.position == 4
    second = [records async for records in RangeReader(reader, 8)]
    assert values(joined(second)) == [b"1", b"2", b"3", b"4"]
    await reader.close()


async def test_the_position_tells_how_far_a_range_is_read(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, *[b"%d" % n for n in range(9)])
    async with read_range(bus, topic, 0, 2, 9, max_records=2) as chunks:
        assert chunks.position == 2
        async for records in chunks:
            assert chunks.position == records[-1].next_offset
        assert chunks.position == 9


async def test_a_range_may_be_left_early(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, *[b"%d" % n for n in range(9)])
    async with read_range(bus, topic, 0, 0, 9, max_records=1) as chunks:
        async for records in chunks:
            if records[-1].offset == 3:
                break
        assert chunks.position == 4
        assert values(joined([records async for records in chunks])) == [b"4", b"5", b"6", b"7", b"8"]


async def test_a_range_whose_beginning_is_deleted_fails_and_skips_nothing(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"a", b"b", b"c")
    await harness.delete_before(topic, 2)
    async with read_range(bus, topic, 0, 1, 3) as chunks:
        with pytest.raises(OffsetOutOfRange):
            async for _ in chunks:
                pass
        assert chunks.position == 1
    assert values(joined(await in_range(bus, topic, 2, 3))) == [b"c"]


async def test_a_range_that_the_partition_ends_before_fails(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"a")
    with pytest.raises(OffsetOutOfRange):
        await in_range(bus, topic, 2, 5)


async def test_a_range_of_committed_records_waits_for_an_open_transaction(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"a")
    await harness.leave_open(topic, f"of {topic}", [b"x"])
    await written(bus, topic, b"b")
    assert (await bus.offsets(topic, 0)) == (0, 1, 3)
    assert values(joined(await in_range(bus, topic, 0, 1))) == [b"a"], "the stable end is reached"
    assert values(joined(await in_range(bus, topic, 0, 3, committed=False))) == [b"a", b"x", b"b"]
    reading, arrived = asyncio.Event(), list[Record]()

    async def to_the_end() -> None:
        async with read_range(bus, topic, 0, 0, 3) as chunks:
            async for records in chunks:
                arrived.extend(records)
                reading.set()

    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(to_the_end())
        await reading.wait()
        assert values(arrived) == [b"a"]
        assert not waiting.done()
        await transacted(bus, topic, b"c")  # the successor ends the transaction of its predecessor
    assert values(arrived) == [b"a", b"b"]


async def test_a_cancelled_range_closes_its_reader(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"a")
    await harness.leave_open(topic, "another", [b"x"])
    reading, opened = asyncio.Event(), list[Reader]()
    closed: list[Reader] = []

    class Watched:
        """Notes the readers that are opened and closed."""

        async def reader(self, *args: Any, **options: Any) -> Reader:
            reader = await bus.reader(*args, **options)
            close = reader.close

            async def noted() -> None:
                closed.append(reader)
                await close()

            reader.close = noted  # type: ignore[method-assign]
            opened.append(reader)
            return reader

    async def for_ever() -> None:
        async with read_range(cast("Bus", Watched()), topic, 0, 0, 2) as chunks:
            async for _ in chunks:
                reading.set()

    task = asyncio.create_task(for_ever())
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(opened) == 1
    assert closed == opened


async def test_a_broker_that_does_not_answer_ends_a_range_with_unavailable(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"a", b"b")
    async with read_range(bus, topic, 0, 0, 2) as chunks:
        harness.silence()
        try:
            with pytest.raises(Unavailable):
                await anext(chunks)
        finally:
            harness.answer()
        assert chunks.position == 0
        assert values(joined([records async for records in chunks])) == [b"a", b"b"]


async def test_a_single_record_is_found_at_its_offset_alone(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await transacted(bus, topic, b"a", b"b")
    await written(bus, topic, b"c")
    found = [await read_record(bus, topic, 0, offset) for offset in range(4)]
    assert [record and record.value for record in found] == [b"a", b"b", None, b"c"]
