# SPDX-License-Identifier: Apache-2.0
"""Where memory is harsher than any Kafka that one could hope to catch in the act."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from taxi.bus import Assignment, BusError, Fenced, Unknown, Write
from taxi.bus.memory import MemoryBus
from tests.bus.lab import everything, outgoing, read_until, values
from tests.bus.lab_memory import IMPATIENT, HarshLab, HarshLabs
from tests.simulation.loop import Node


@pytest.fixture
def lab() -> HarshLabs:
    return HarshLabs()


async def until(condition: Callable[[], bool], tick: Callable[[], Awaitable[object]]) -> None:
    while not condition():
        await tick()


async def test_a_commit_is_answered_before_it_is_visible(lab: HarshLab) -> None:
    topic, bus = await lab.topic(), await lab.bus()
    lab.broker.harshness.latency_s = 0.0
    producer = await bus.transactional_producer("t")
    place = lab.broker.partition(topic, 0)
    for turn in range(20):
        await producer.transact([Write(topic, 0, r) for r in outgoing(b"a", b"b")])
        assert place.offsets[1:] == (3 * turn, 3 * turn + 2), "the marker comes later"


async def test_requests_and_replies_get_lost_and_nothing_is_lost_or_doubled(lab: HarshLab) -> None:
    topic, bus = await lab.topic(), await lab.bus()
    lab.broker.harshness.loss = 0.3
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
    lab.broker.harshness.loss = 0.0
    seen = values(await everything(bus, topic))
    assert len(seen) == len(set(seen))
    assert set(acknowledged) <= set(seen) <= set(tried)


async def test_unknown_transactions_are_whole_or_absent_and_never_come_late(lab: HarshLab) -> None:
    topic, bus = await lab.topic(), await lab.bus()
    lab.broker.harshness.loss = 0.1
    lab.broker.harshness.stragglers = 0.1
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
    lab.broker.harshness.loss = lab.broker.harshness.stragglers = 0.0
    await bus.transactional_producer("city")
    seen = values(await everything(bus, topic))
    for number, outcome in outcomes.items():
        halves = [text in seen for text in (b"%d-a" % number, b"%d-b" % number)]
        assert halves[0] == halves[1], f"half of {number}"
        assert outcome != "done" or halves[0], f"{number} was committed"


async def test_a_frozen_member_loses_its_session_and_learns_of_it_when_it_thaws(lab: HarshLab) -> None:
    topic = await lab.topic()
    nodes = [Node("one"), Node("two")]
    newest: dict[str, Assignment] = {}
    changed = asyncio.Event()

    async def take_part(node: Node) -> None:
        bus = MemoryBus(lab.broker, world=lab.loop, limits=IMPATIENT)
        member = await bus.join("g", topic)
        while True:
            newest[node.name] = await member.next()
            changed.set()

    async def owner_is(name: str) -> None:
        while newest.get(name, Assignment(0)).partitions != (0,):
            changed.clear()
            await changed.wait()

    lab.loop.spawn(nodes[0], take_part(nodes[0]))
    await owner_is("one")
    lab.loop.freeze(nodes[0])
    lab.loop.spawn(nodes[1], take_part(nodes[1]))
    await owner_is("two")
    assert newest["one"].partitions == (0,), "it does not know yet"
    lab.loop.thaw(nodes[0])
    while newest["one"].generation == 1:
        changed.clear()
        await changed.wait()
    for node in nodes:
        lab.loop.kill(node)


async def test_a_transaction_that_stays_open_is_aborted_and_its_producer_fenced(lab: HarshLab) -> None:
    topic, bus = await lab.topic(), await lab.bus()
    place = lab.broker.partition(topic, 0)
    epoch = lab.broker.start_writer("t", 1.0)
    lab.broker.produce_in_transaction("t", epoch, 1, (topic, 0), outgoing(b"x"))
    aborted = asyncio.Event()
    place.when_it_grows(aborted.set)
    await aborted.wait()
    with pytest.raises(Fenced):
        lab.broker.produce_in_transaction("t", epoch, 2, (topic, 0), outgoing(b"y"))
    assert values(await read_until(await bus.reader(topic, 0, 0), 2)) == []


async def test_compaction_leaves_gaps_that_a_reader_passes(lab: HarshLab) -> None:
    topic, bus = await lab.topic(), await lab.bus()
    place = lab.broker.partition(topic, 0)
    for number in range(6):
        [record] = outgoing(b"%d" % number)
        place.append([type(record)(b"odd" if number % 2 else b"even", record.value)], 1)
    place.compact()
    assert values(await read_until(await bus.reader(topic, 0, 0), 6)) == [b"4", b"5"]
