# SPDX-License-Identifier: Apache-2.0
"""Reading, writing and transactions: what every bus promises. Written on Kafka; memory must be harsher."""

import asyncio
from typing import Final, Literal

import pytest

from taxi.bus import (
    Bus,
    BusError,
    Fenced,
    OffsetOutOfRange,
    OpenTransaction,
    Outgoing,
    TransactionalProducer,
    Unavailable,
    Unknown,
    Write,
)
from tests.bus.harness import BusHarness, everything, outgoing, read_until, values, written

ALL_ACKS: Final[tuple[Literal["all", "leader"], ...]] = ("all", "leader")


def writes(topic: str, *texts: bytes) -> list[Write]:
    return [Write(topic, 0, record) for record in outgoing(*texts)]


# --- reading ----------------------------------------------------------------------------------------


async def test_what_was_sent_is_read_in_order_with_keys_headers_and_offsets(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    producer = await bus.producer()
    sent = [
        Outgoing(b"k1", b"v1", (("traceparent", b"00-ab-cd-01"), ("empty", b""))),
        Outgoing(None, b"v2"),
        Outgoing(b"k3", b"\x00\xff"),
    ]
    offsets = await producer.send(topic, 0, sent)
    got = await everything(bus, topic)
    assert [(r.key, r.value, r.headers) for r in got] == [(r.key, r.value, r.headers) for r in sent]
    assert tuple(r.offset for r in got) == offsets == (0, 1, 2)


async def test_position_is_the_next_offset_and_seek_moves_it(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"a", b"b", b"c", b"d")
    reader = await bus.reader(topic, 0, 1)
    assert reader.position == 1
    assert values(await read_until(reader, 3, max_records=2)) == [b"b", b"c"]
    assert reader.position == 3
    reader.seek(0)
    assert reader.position == 0
    assert values(await read_until(reader, 4)) == [b"a", b"b", b"c", b"d"]


async def test_a_fetch_with_nothing_to_read_comes_back_empty(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    reader = await bus.reader(topic, 0, 0)
    assert await reader.fetch(wait_ms=50) == []
    assert reader.position == 0


async def test_a_waiting_fetch_returns_soon_after_a_record_arrives(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    reader = await bus.reader(topic, 0, 0)
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(reader.fetch(wait_ms=4_000))
        await written(bus, topic, b"a")
        sent_at = loop.time()
        got = await reading
    assert values(got) in ([b"a"], [])
    assert loop.time() - sent_at < 3, "the fetch waited although there was something to read"


async def test_max_records_is_a_limit_and_loses_nothing(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, *[str(i).encode() for i in range(25)])
    reader, sizes = await bus.reader(topic, 0, 0), []
    while reader.position < 25:
        sizes.append(len(await reader.fetch(max_records=7)))
    assert max(sizes) <= 7
    assert sum(sizes) == 25


async def test_a_reader_knows_how_many_records_were_waiting_when_it_was_last_answered(
    harness: BusHarness,
) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, *[str(i).encode() for i in range(25)])
    reader = await bus.reader(topic, 0, 0)
    before = reader.end
    assert before is None
    while not await reader.fetch(max_records=7):
        pass
    assert reader.end == 25
    while reader.position < 25:
        await reader.fetch(max_records=7)
    await written(bus, topic, b"later")
    while reader.position < 26:
        await reader.fetch()
    assert reader.end == 26


async def test_offsets_tell_start_stable_and_end(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    assert await bus.offsets(topic, 0) == (0, 0, 0)
    await written(bus, topic, b"a", b"b", b"c")
    assert await bus.offsets(topic, 0) == (0, 3, 3)
    await harness.leave_open(topic, "open", [b"d", b"e"])
    assert await bus.offsets(topic, 0) == (0, 3, 5)
    await harness.delete_before(topic, 2)
    assert await bus.offsets(topic, 0) == (2, 3, 5)


async def test_offset_at_finds_the_first_record_that_is_as_young(harness: BusHarness) -> None:
    topic, bus = await harness.topic(append_time=True), await harness.bus()
    await written(bus, topic, b"old")
    got = await everything(bus, topic)
    while got[-1].timestamp_ms == got[0].timestamp_ms:
        await written(bus, topic, b"perhaps younger")
        got = await everything(bus, topic)
    first, last = got[0], got[-1]
    assert await bus.offset_at(topic, 0, 0) == 0
    assert await bus.offset_at(topic, 0, first.timestamp_ms + 1) == last.offset
    assert await bus.offset_at(topic, 0, last.timestamp_ms) == last.offset
    assert await bus.offset_at(topic, 0, last.timestamp_ms + 1) == last.offset + 1, (
        "none is as young: the end"
    )


async def test_timestamps_are_those_of_the_append_where_the_topic_says_so(harness: BusHarness) -> None:
    topic, bus = await harness.topic(append_time=True), await harness.bus()
    await written(bus, topic, b"a")
    await written(bus, topic, b"b")
    stamps = [record.timestamp_ms for record in await everything(bus, topic)]
    assert stamps == sorted(stamps)
    assert all(stamp > 0 for stamp in stamps)


async def test_a_producer_learns_when_the_broker_appended(harness: BusHarness) -> None:
    bus = await harness.bus()
    for append_time in (True, False):
        topic = await harness.topic(append_time=append_time)
        for acks in ALL_ACKS:
            producer = await bus.producer(acks=acks)
            assert producer.append_ms is None
            await producer.send(topic, 0, outgoing(b"1", b"2"))
            stamps = [record.timestamp_ms for record in await everything(bus, topic)]
            assert producer.append_ms in (stamps if append_time else [*stamps, None])
            await producer.close()


async def test_retention_passing_the_offset_is_out_of_range(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"a", b"b", b"c")
    await harness.delete_before(topic, 2)
    reader = await bus.reader(topic, 0, 1)
    with pytest.raises(OffsetOutOfRange):
        await reader.fetch()
    assert reader.position == 1, "position is unchanged"
    reader.seek(2)
    assert values(await read_until(reader, 3)) == [b"c"]


async def test_an_offset_beyond_the_end_is_out_of_range(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"a")
    reader = await bus.reader(topic, 0, 2)
    with pytest.raises(OffsetOutOfRange):
        await reader.fetch()


# --- transactions -----------------------------------------------------------------------------------


async def test_a_transaction_is_visible_as_a_whole_and_its_offsets_are_returned(harness: BusHarness) -> None:
    one, two, bus = await harness.topic(), await harness.topic(), await harness.bus()
    producer = await bus.transactional_producer("t")
    mixed = [*writes(one, b"a"), *writes(two, b"b"), *writes(one, b"c")]
    assert await producer.transact(mixed) == (0, 0, 1)
    reader = await bus.reader(one, 0, 0)
    got = await read_until(reader, 3)
    assert values(got) == [b"a", b"c"]
    assert [r.offset for r in got] == [0, 1], "offset 2 is the commit marker"
    assert values(await read_until(await bus.reader(two, 0, 0), 2)) == [b"b"]


async def test_offsets_go_on_over_the_markers(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    producer = await bus.transactional_producer("t")
    offsets = [await producer.transact(writes(topic, b"%d" % i)) for i in range(4)]
    assert offsets == [(0,), (2,), (4,), (6,)]
    got = await read_until(await bus.reader(topic, 0, 0), 8)
    assert [(r.offset, r.value) for r in got] == [(0, b"0"), (2, b"1"), (4, b"2"), (6, b"3")]


async def test_position_passes_aborted_records_and_markers_that_never_arrive(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await harness.abort(topic, "t", [b"x", b"y"])
    reader = await bus.reader(topic, 0, 0)
    assert values(await read_until(reader, 3)) == []
    assert reader.position == 3
    assert await bus.offsets(topic, 0) == (0, 3, 3)


async def test_who_reads_uncommitted_sees_open_and_aborted_records(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await harness.abort(topic, "aborted", [b"x"])
    await harness.leave_open(topic, "open", [b"y"])
    assert values(await everything(bus, topic, committed=False)) == [b"x", b"y"]
    assert values(await everything(bus, topic)) == []


async def test_committed_readers_stop_before_an_open_transaction(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"a")
    await harness.leave_open(topic, "open", [b"x"])
    await written(bus, topic, b"b")
    reader = await bus.reader(topic, 0, 0)
    assert values(await read_until(reader, 1)) == [b"a"]
    assert await reader.fetch(wait_ms=30) == []
    assert reader.position == 1


async def test_a_fetch_may_bring_half_a_transaction(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    producer = await bus.transactional_producer("t")
    await producer.transact(writes(topic, b"a", b"b", b"c"))
    reader = await bus.reader(topic, 0, 0)
    halves: list[bytes | None] = []
    while not halves:
        halves = values(await reader.fetch(max_records=2))
    assert halves in ([b"a"], [b"a", b"b"])


async def test_starting_a_producer_ends_what_its_predecessor_left_open(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await harness.leave_open(topic, "city", [b"x", b"y"])
    await bus.transactional_producer("city")
    bounds = await bus.offsets(topic, 0)
    assert bounds == (0, 3, 3), "aborted, its marker written, before the start returned"
    assert values(await everything(bus, topic)) == []


async def test_a_successor_fences_its_predecessor_for_good(harness: BusHarness) -> None:
    topic, bus, other = await harness.topic(), await harness.bus(), await harness.bus()
    old = await bus.transactional_producer("city")
    await old.transact(writes(topic, b"old"))
    new = await other.transactional_producer("city")
    with pytest.raises(Fenced):
        await old.transact(writes(topic, b"zombie"))
    with pytest.raises(BusError):
        await old.transact(writes(topic, b"zombie again"))
    await new.transact(writes(topic, b"new"))
    end = (await bus.offsets(topic, 0)).end
    assert values(await read_until(await bus.reader(topic, 0, 0), end)) == [b"old", b"new"]


async def test_a_successor_may_start_in_the_middle_of_a_transaction(harness: BusHarness) -> None:
    """Whichever producer wins: all of the transaction is visible or nothing, and Fenced means nothing."""
    topic, bus, other = await harness.topic(), await harness.bus(), await harness.bus()
    for turn in range(8):
        old = await bus.transactional_producer("city")
        both = writes(topic, b"%d-a" % turn, b"%d-b" % turn)
        grown = (await bus.offsets(topic, 0)).end + turn % 4
        new = _successor(other, topic, grown)
        done, _new = await asyncio.gather(old.transact(both), new, return_exceptions=True)
        end = (await bus.offsets(topic, 0)).end
        seen = values(await read_until(await bus.reader(topic, 0, 0), end))
        mine = [w.record.value for w in both if w.record.value in seen]
        assert mine in ([], [w.record.value for w in both]), "half a transaction"
        if isinstance(done, Fenced):
            assert mine == []
        elif not isinstance(done, BaseException):
            assert mine, "it said that it committed"
        else:
            assert isinstance(done, Unknown)


async def _successor(bus: Bus, topic: str, grown: int) -> TransactionalProducer:
    """Starts once the log has grown so far: at once, after the first record, after both, after the marker."""
    while (await bus.offsets(topic, 0)).end < grown:
        pass
    return await bus.transactional_producer("city")


async def test_transactions_of_different_ids_do_not_disturb_each_other(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    one = await bus.transactional_producer("one")
    two = await bus.transactional_producer("two")
    await asyncio.gather(one.transact(writes(topic, b"1")), two.transact(writes(topic, b"2")))
    end = (await bus.offsets(topic, 0)).end
    assert sorted(str(v) for v in values(await read_until(await bus.reader(topic, 0, 0), end))) == [
        "b'1'",
        "b'2'",
    ]


async def test_a_transaction_larger_than_a_batch_is_whole_all_the_same(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    producer = await bus.transactional_producer("t")
    texts = [bytes([i]) * 400_000 for i in range(5)]
    offsets = await producer.transact(writes(topic, *texts))
    assert offsets == (0, 1, 2, 3, 4)
    assert values(await read_until(await bus.reader(topic, 0, 0), 6)) == texts


async def test_an_empty_transaction_writes_nothing(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    producer = await bus.transactional_producer("t")
    assert await producer.transact([]) == ()
    assert await bus.offsets(topic, 0) == (0, 0, 0)


# --- a broker that does not answer ------------------------------------------------------------------


async def test_a_transaction_without_an_answer_is_unknown_and_its_producer_spent(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    producer = await bus.transactional_producer("city")
    await producer.transact(writes(topic, b"before"))
    harness.silence()
    with pytest.raises(Unknown):
        await producer.transact(writes(topic, b"x", b"y"))
    harness.answer()
    with pytest.raises(BusError):
        await producer.transact(writes(topic, b"z"))
    after = await bus.transactional_producer("city")
    await after.transact(writes(topic, b"after"))
    end = (await bus.offsets(topic, 0)).end
    seen = values(await read_until(await bus.reader(topic, 0, 0), end))
    assert seen in ([b"before", b"after"], [b"before", b"x", b"y", b"after"])


async def test_a_send_without_an_answer_is_unknown_and_the_next_one_works(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    producer = await bus.producer()
    await producer.send(topic, 0, outgoing(b"a"))
    harness.silence()
    with pytest.raises(Unknown):
        await producer.send(topic, 0, outgoing(b"b"))
    harness.answer()
    await producer.send(topic, 0, outgoing(b"c"))
    seen = values(await everything(bus, topic))
    assert seen[0] == b"a"
    assert b"c" in seen
    assert seen.count(b"b") <= 1, "an idempotent producer never doubles"


async def test_a_reader_says_unavailable_within_its_bound_and_keeps_its_position(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"a", b"b")
    reader = await bus.reader(topic, 0, 1)
    harness.silence()
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(Unavailable):
        await reader.fetch()
    assert loop.time() - began < 20
    harness.answer()
    assert reader.position == 1
    assert values(await read_until(reader, 2)) == [b"b"]


async def test_concurrent_sends_of_one_producer_all_arrive_once(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    producer = await bus.producer()
    offsets = await asyncio.gather(*[producer.send(topic, 0, outgoing(b"%d" % i)) for i in range(20)])
    assert sorted(offset for (offset,) in offsets) == list(range(20))
    assert len({r.value for r in await everything(bus, topic)}) == 20


async def test_what_may_be_lost_is_written_with_one_acknowledgement(harness: BusHarness) -> None:
    topic, bus = await harness.topic(append_time=True), await harness.bus()
    producer = await bus.producer(acks="leader")
    offsets = await producer.send(topic, 0, outgoing(*[b"fix" * 50] * 1000))
    assert len(offsets) == 1000
    assert len(await everything(bus, topic)) == 1000


# --- what others hold open --------------------------------------------------------------------------


async def test_a_reader_tells_that_an_open_transaction_withholds_records(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    reader = await bus.reader(topic, 0, 0)
    uncommitted = await bus.reader(topic, 0, 0, committed=False)
    await written(bus, topic, b"a")
    await harness.leave_open(topic, "another", [b"b", b"c"])
    await written(bus, topic, b"d")
    assert values(await read_until(reader, 1)) == [b"a"]
    while not reader.withheld:
        assert await reader.fetch() == []
    assert (reader.position, reader.withheld) == (1, 3)
    assert len(await read_until(uncommitted, 4)) == 4
    assert uncommitted.withheld == 0


async def test_nothing_is_withheld_once_the_transaction_has_ended(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await harness.abort(topic, "another", [b"a"])
    reader = await bus.reader(topic, 0, 0)
    end = (await bus.offsets(topic, 0)).end
    await read_until(reader, end)
    await reader.fetch()
    assert reader.withheld == 0
    assert await bus.open_transactions(topic, 0) == ()


async def test_the_broker_names_who_holds_a_transaction_open(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"a")
    await harness.leave_open(topic, f"first-{topic}", [b"b"])
    await harness.leave_open(topic, f"second-{topic}", [b"c"])
    first, second = await open_transactions(bus, topic, 2)
    assert (first.start, first.transactional_id) == (1, f"first-{topic}")
    assert (second.start, second.transactional_id) == (2, f"second-{topic}")
    assert first.producer_id != second.producer_id
    assert first.producer_epoch == second.producer_epoch == 0
    assert first.began_ms
    assert first.timeout_ms == 60_000
    assert not first.is_hanging


async def test_a_topic_that_is_not_there_has_no_open_transactions(
    harness: BusHarness,
) -> None:
    bus = await harness.bus()
    assert await bus.open_transactions("no-such-topic", 0) == ()


async def open_transactions(bus: Bus, topic: str, count: int) -> tuple[OpenTransaction, ...]:
    """A question may get lost, and then gets an empty answer."""
    while True:
        found = await bus.open_transactions(topic, 0)
        if len(found) == count:
            return found


# --- names ------------------------------------------------------------------------------------------


async def test_a_prefix_keeps_transactional_ids_apart(harness: BusHarness) -> None:
    plain, other = await harness.bus(), await harness.bus(prefix="p.")
    topic = await harness.topic()
    first = await plain.transactional_producer("city")
    await other.transactional_producer("city")
    await first.transact([Write(topic, 0, Outgoing(None, b"not fenced"))])


async def test_a_record_says_who_wrote_it_in_a_transaction(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"plain")
    name = f"city-{topic}"
    first = await bus.transactional_producer(name)
    await first.transact(writes(topic, b"a", b"b"))
    second = await bus.transactional_producer(name)
    await second.transact(writes(topic, b"c"))
    other = await bus.transactional_producer(f"other-{topic}")
    await other.transact(writes(topic, b"d"))
    end = (await bus.offsets(topic, 0)).end
    while (await bus.offsets(topic, 0)).stable < end:
        pass
    plain, a, b, c, d = await everything(bus, topic)
    assert plain.writer is None
    assert a.writer == b.writer == (first.producer_id, 0)
    assert c.writer == (second.producer_id, 1)
    assert first.producer_id == second.producer_id
    assert d.writer == (other.producer_id, 0)
    assert other.producer_id != first.producer_id
