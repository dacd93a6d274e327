# SPDX-License-Identifier: Apache-2.0
"""Where memory is harsher than any Kafka that one could hope to catch in the act."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from taxi.bus import Assignment, BusError, Damaged, Fenced, Unknown, Write
from taxi.bus.memory.bus import MemoryBus
from testing.virtual_time import Node
from tests.bus.harness import everything, outgoing, read_until, values
from tests.bus.harness_memory import IMPATIENT, HarshHarness, HarshHarnesses


@pytest.fixture
def harness() -> HarshHarnesses:
    return HarshHarnesses()


async def until(condition: Callable[[], bool], tick: Callable[[], Awaitable[object]]) -> None:
    while not condition():
        await tick()


async def test_a_commit_is_answered_before_it_is_visible(harness: HarshHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    harness.broker.harshness.latency_s = 0.0
    producer = await bus.transactional_producer("t")
    place = harness.broker.partition(topic, 0)
    for turn in range(20):
        await producer.transact([Write(topic, 0, r) for r in outgoing(b"a", b"b")])
        assert place.offsets[1:] == (3 * turn, 3 * turn + 2), "the marker comes later"


async def test_requests_and_replies_get_lost_and_nothing_is_lost_or_doubled(harness: HarshHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    harness.broker.harshness.loss = 0.3
    producer = await bus.producer()
    acknowledged, tried = [], []
    for number in range(60):
        text = b"%d" % number
        tried.append(text)
        try:
            await producer.send(topic, 0, outgoing(text))
            acknowledged.append(text)
        except Unknown:
            continue
    harness.broker.harshness.loss = 0.0
    seen = values(await everything(bus, topic))
    assert len(seen) == len(set(seen))
    assert set(acknowledged) <= set(seen) <= set(tried)


async def test_unknown_transactions_are_whole_or_absent_and_never_come_late(harness: HarshHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    harness.broker.harshness.loss = 0.1
    harness.broker.harshness.stragglers = 0.1
    outcomes: dict[int, str] = {}
    for number in range(40):
        try:
            producer = await bus.transactional_producer("city")
            before = {r.value for r in await everything(bus, topic)}
            assert all(b"%d-a" % n in before for n, what in outcomes.items() if what == "done")
            await producer.transact(
                [Write(topic, 0, r) for r in outgoing(b"%d-a" % number, b"%d-b" % number)]
            )
            outcomes[number] = "done"
        except BusError as error:
            outcomes[number] = type(error).__name__
    harness.broker.harshness.loss = harness.broker.harshness.stragglers = 0.0
    await bus.transactional_producer("city")
    seen = values(await everything(bus, topic))
    for number, outcome in outcomes.items():
        halves = [text in seen for text in (b"%d-a" % number, b"%d-b" % number)]
        assert halves[0] == halves[1], f"half of {number}"
        assert outcome != "done" or halves[0], f"{number} was committed"


async def test_a_frozen_member_loses_its_session_and_learns_of_it_when_it_thaws(
    harness: HarshHarness,
) -> None:
    topic = await harness.topic()
    nodes = [Node("one"), Node("two")]
    newest: dict[str, Assignment] = {}
    changed = asyncio.Event()

    async def take_part(node: Node) -> None:
        bus = MemoryBus(harness.broker, world=harness.loop, limits=IMPATIENT)
        member = await bus.join("g", topic)
        while True:
            newest[node.name] = await member.next()
            changed.set()

    async def owner_is(name: str) -> None:
        while newest.get(name, Assignment(0)).partitions != (0,):
            changed.clear()
            await changed.wait()

    harness.loop.spawn(nodes[0], take_part(nodes[0]))
    await owner_is("one")
    harness.loop.freeze(nodes[0])
    harness.loop.spawn(nodes[1], take_part(nodes[1]))
    await owner_is("two")
    assert newest["one"].partitions == (0,), "it does not know yet"
    harness.loop.thaw(nodes[0])
    while newest["one"].generation == 1:
        changed.clear()
        await changed.wait()
    for node in nodes:
        harness.loop.kill(node)


async def test_a_transaction_that_stays_open_is_aborted_and_its_producer_fenced(
    harness: HarshHarness,
) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    place = harness.broker.partition(topic, 0)
    producer_epoch = harness.broker.start_writer("t", 1.0)
    harness.broker.produce_in_transaction("t", producer_epoch, 1, (topic, 0), outgoing(b"x"))
    aborted = asyncio.Event()
    place.when_it_grows(aborted.set)
    await aborted.wait()
    with pytest.raises(Fenced):
        harness.broker.produce_in_transaction("t", producer_epoch, 2, (topic, 0), outgoing(b"y"))
    assert values(await read_until(await bus.reader(topic, 0, 0), 2)) == []


async def test_compaction_leaves_gaps_that_a_reader_passes(harness: HarshHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    place = harness.broker.partition(topic, 0)
    for number in range(6):
        [record] = outgoing(b"%d" % number)
        place.append([type(record)(b"odd" if number % 2 else b"even", record.value)], 1)
    place.compact()
    assert values(await read_until(await bus.reader(topic, 0, 0), 6)) == [b"4", b"5"]


async def test_a_stranded_connection_costs_one_attempt(harness: HarshHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    producer, reader = await bus.producer(), await bus.reader(topic, 0, 0)
    await producer.send(topic, 0, outgoing(b"before"))
    bus.network.strand()
    await producer.send(topic, 0, outgoing(b"after"))
    assert values(await read_until(reader, 2)) == [b"before", b"after"]


async def test_a_caller_that_gives_up_takes_its_connection_along(harness: HarshHarness) -> None:
    """Whatever that caller's limit is: below that of a request, too."""
    topic, bus = await harness.topic(), await harness.bus()
    producer = await bus.producer()
    await producer.send(topic, 0, outgoing(b"before"))
    bus.network.strand()
    given_up = 0
    for _ in range(3):
        try:
            async with asyncio.timeout(0.25):
                await producer.send(topic, 0, outgoing(b"after"))
            break
        except TimeoutError:
            given_up += 1
    assert given_up < 3


async def test_what_cannot_be_parsed_is_passed_over(harness: HarshHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    place = harness.broker.partition(topic, 0)
    place.append(outgoing(b"0"), 1)
    place.append_damaged("nonsense", 2, count=3)
    place.append(outgoing(b"4", b"5", b"6"), 3)
    place.corrupt(5, 6)
    found = await read_until(await bus.reader(topic, 0, 0), 7)
    assert [(one.offset, one.next_offset, one.value) for one in found] == [
        (0, 1, b"0"),
        (1, 4, None),
        (4, 5, b"4"),
        (5, 6, None),
        (6, 7, b"6"),
    ]
    assert [one.is_on_disk for one in found if isinstance(one, Damaged)] == [False, True]
    inside = await read_until(await bus.reader(topic, 0, 2), 4)
    assert (inside[0].offset, inside[0].next_offset) == (2, 4)
