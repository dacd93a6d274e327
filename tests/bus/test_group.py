# SPDX-License-Identifier: Apache-2.0
"""Groups: which member has which cities, and that each change is delivered."""

import asyncio

import pytest

from taxi.bus import Assignment, ClaimLost, Membership, Write
from tests.bus.harness import BusHarness, outgoing, read_until, values, written


async def settled(*members: Membership, partitions: int) -> list[Assignment]:
    """Wait until the members' newest assignments share all partitions out; those assignments."""
    newest = [Assignment(0, ()) for _ in members]
    shared = asyncio.Event()

    async def watch(index: int) -> None:
        while True:
            newest[index] = await members[index].next()
            together = sorted(p for assignment in newest for p in assignment.partitions)
            if together == list(range(partitions)):
                shared.set()
            else:
                shared.clear()

    watchers = [asyncio.create_task(watch(index)) for index in range(len(members))]
    try:
        await asyncio.wait_for(shared.wait(), 30)
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
    return newest


async def test_the_only_member_gets_all_partitions(harness: BusHarness) -> None:
    topic, bus = await harness.topic(partitions=3), await harness.bus()
    member = await bus.join(f"g-{topic}", topic)
    assignment = await member.next()
    assert assignment.partitions == (0, 1, 2)
    assert assignment.generation > 0


async def test_a_second_member_takes_its_share_and_gives_it_back_when_it_leaves(harness: BusHarness) -> None:
    topic, bus, other = await harness.topic(partitions=2), await harness.bus(), await harness.bus()
    first = await bus.join(f"g-{topic}", topic)
    alone = await first.next()
    second = await other.join(f"g-{topic}", topic)
    both = await settled(first, second, partitions=2)
    assert [len(assignment.partitions) for assignment in both] == [1, 1]
    await second.leave()
    [again] = await settled(first, partitions=2)
    assert alone.generation < both[0].generation < again.generation


async def test_the_standby_of_a_single_partition_has_nothing_until_the_owner_leaves(
    harness: BusHarness,
) -> None:
    topic, bus, other = await harness.topic(), await harness.bus(), await harness.bus()
    owner = await bus.join(f"g-{topic}", topic)
    assert (await owner.next()).partitions == (0,)
    standby = await other.join(f"g-{topic}", topic)
    both = await settled(owner, standby, partitions=1)
    heir, gone = (standby, owner) if both[0].partitions else (owner, standby)
    await gone.leave()
    [inherited] = await settled(heir, partitions=1)
    assert inherited.partitions == (0,)


async def test_a_claim_holds_for_a_while_after_the_group_has_confirmed_it(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    member = await bus.join(f"g-{topic}", topic)
    claim = member.claim(await member.next())
    assert not claim.holds(), "not confirmed yet"
    await claim.confirm()
    assert claim.holds()
    producer = await bus.transactional_producer(f"t-{topic}", claim)
    assert len(await producer.transact([Write(topic, 0, record) for record in outgoing(b"mine")])) == 1


async def test_a_member_that_has_left_can_not_start_a_producer_by_what_it_had(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    member = await bus.join(f"g-{topic}", topic)
    claim = member.claim(await member.next())
    await claim.confirm()
    await member.leave()
    assert not claim.holds()
    with pytest.raises(ClaimLost):
        await bus.transactional_producer(f"t-{topic}", claim)


async def test_a_claim_ends_with_its_assignment_and_never_fences_who_has_it_now(harness: BusHarness) -> None:
    topic, bus, other = await harness.topic(), await harness.bus(), await harness.bus()
    first = await bus.join(f"g-{topic}", topic)
    old = first.claim(await first.next())
    second = await other.join(f"g-{topic}", topic)
    both = await settled(first, second, partitions=1)
    index = 0 if both[0].partitions else 1
    rightful = (first, second)[index].claim(both[index])
    producer = await (bus, other)[index].transactional_producer(f"t-{topic}", rightful)
    with pytest.raises(ClaimLost):
        await bus.transactional_producer(f"t-{topic}", old)
    assert len(await producer.transact([Write(topic, 0, record) for record in outgoing(b"mine")])) == 1


async def test_a_prefix_keeps_topics_and_groups_apart(harness: BusHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    await written(bus, topic, b"plain")
    head, tail = topic[:3], topic[3:]
    prefixed = await harness.bus(prefix=head)
    reader = await prefixed.reader(tail, 0, 0)
    assert values(await read_until(reader, 1)) == [b"plain"], "prefix + name is the topic"
    producer = await prefixed.transactional_producer("t")
    await producer.transact([Write(tail, 0, record) for record in outgoing(b"by prefix")])
    assert values(await read_until(reader, 3)) == [b"by prefix"]
    ours = await bus.join(f"g-{topic}", topic)
    theirs = await prefixed.join(f"g-{topic}", tail)
    assert (await ours.next()).partitions == (await theirs.next()).partitions == (0,)
