# SPDX-License-Identifier: Apache-2.0
"""What only a real cluster can show: kill -9, topics as they were made, cost of an idle reader."""

import asyncio
import time
import uuid
from dataclasses import replace

import pytest

from taxi import topics
from taxi.bus import BusError, ClaimLost, Unavailable, Unknown
from taxi.bus.kafka.admin import KafkaAdmin
from taxi.bus.kafka.bus import KafkaBus
from taxi.bus.kafka.limits import KafkaLimits
from taxi.runtime.settings import Settings
from testing.kafka_server import KafkaServer
from tests.bus.harness import outgoing, read_until, values
from tests.bus.harness_kafka import IMPATIENT, KafkaHarness
from tests.bus.test_group import settled

pytestmark = pytest.mark.kafka


@pytest.fixture
def harness(kafka_server: KafkaServer) -> KafkaHarness:
    return KafkaHarness(kafka_server)


async def test_nothing_acknowledged_is_lost_or_doubled_over_kill_9(
    harness: KafkaHarness, kafka_server: KafkaServer
) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    acknowledged: list[bytes] = []
    one_more = asyncio.Event()
    stop = asyncio.Event()

    async def write(writer: int) -> None:
        producer = await bus.producer()
        number = 0
        while not stop.is_set():
            text = b"%d-%d" % (writer, number)
            try:
                await producer.send(topic, 0, outgoing(text))
                acknowledged.append(text)
                one_more.set()
            except Unknown:
                pass  # a text is used once: this one may be there or not
            number += 1

    async def more(count: int) -> None:
        target = len(acknowledged) + count
        while len(acknowledged) < target:
            one_more.clear()
            await one_more.wait()

    async with asyncio.TaskGroup() as group:
        for writer in range(4):
            group.create_task(write(writer))
        await more(100)
        kafka_server.kill()
        await asyncio.to_thread(kafka_server.start)
        await more(100)
        stop.set()
    end = (await bus.offsets(topic, 0)).stable
    seen = values(await read_until(await bus.reader(topic, 0, 0), end))
    assert len(seen) == len(set(seen)), "doubled"
    assert set(acknowledged) <= set(seen), "lost"


async def test_a_reader_goes_on_where_it_was_after_the_broker_came_back(
    harness: KafkaHarness, kafka_server: KafkaServer
) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    producer = await bus.producer()
    await producer.send(topic, 0, outgoing(b"a"))
    reader = await bus.reader(topic, 0, 0)
    assert values(await read_until(reader, 1)) == [b"a"]
    kafka_server.kill()
    with pytest.raises(Unavailable):
        await reader.fetch()
    kafka_server.start()
    await producer.send(topic, 0, outgoing(b"b"))
    assert values(await read_until(reader, 2)) == [b"b"]


async def test_topics_are_made_once_and_as_they_were_asked_for(kafka_server: KafkaServer) -> None:
    settings = Settings(
        kafka_bootstrap_servers=kafka_server.bootstrap_servers, prefix=f"p{uuid.uuid4().hex[:6]}."
    )
    names = [spec.name for spec in topics.specs()]
    async with KafkaAdmin.connect(settings) as admin:
        assert list(await admin.ensure_topics(topics.specs(), partitions=2)) == names
        assert await admin.ensure_topics(topics.specs(), partitions=2) == ()
        found = await admin.describe_topics([*names, "missing"])
        assert len(await admin.cluster_id()) > 10
        await admin.delete_topics(names)
    assert sorted(found) == sorted(names)
    for spec in topics.specs():
        assert found[spec.name].partitions == 2
        assert found[spec.name].config.items() >= spec.config.items()


async def test_a_topic_made_after_a_member_joined_is_given_to_it(harness: KafkaHarness) -> None:
    """A dispatcher that starts a moment before a broker knows its topic must not stand by for minutes."""
    topic, bus = f"late{uuid.uuid4().hex[:8]}", await harness.bus()
    member = await bus.join(f"g-{topic}", topic)
    await harness.make(topic)
    async with asyncio.timeout(30):
        while (await member.next()).partitions != (0,):
            pass


async def test_where_the_cluster_allows_no_short_session_a_longer_one_is_asked_for(
    harness: KafkaHarness,
) -> None:
    """Kafka's own default is a minimum of 6 s; the local broker's is 1 s."""
    topic = await harness.topic()
    bus = await harness.bus(session_ms=500)
    member = await bus.join(f"g-{topic}", topic)
    async with asyncio.timeout(20):
        assert (await member.next()).partitions == (0,)


async def test_a_session_that_is_refused_for_good_is_an_error_not_a_silence(harness: KafkaHarness) -> None:
    topic = await harness.topic()
    bus = await harness.bus(session_ms=500, session_ms_min=500)
    member = await bus.join(f"g-{topic}", topic)
    async with asyncio.timeout(20):
        with pytest.raises(BusError, match="InvalidSessionTimeout"):
            await member.next()


async def test_an_absent_broker_is_unavailable_within_the_bound() -> None:
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1")
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await KafkaBus.connect(settings, client_id="test", limits=KafkaLimits(give_up_s=1.0))
    assert time.monotonic() - began < 5


async def test_a_refused_record_is_an_error_not_a_retry(harness: KafkaHarness) -> None:
    topic, bus = await harness.topic(), await harness.bus()
    producer = await bus.producer()
    with pytest.raises(BusError) as refused:
        await producer.send(topic, 0, outgoing(b"x" * (2 << 20)))
    assert not isinstance(refused.value, Unavailable)


async def test_a_removed_member_loses_its_claim_at_once_and_the_others_share_its_partitions(
    harness: KafkaHarness,
) -> None:
    topic = await harness.topic()
    group, limits = f"g-{topic}", replace(IMPATIENT, session_ms=30_000, heartbeat_ms=100)
    gone, heir = [
        await KafkaBus.connect(harness.settings, client_id=name, limits=limits) for name in ("gone", "heir")
    ]
    try:
        owner = await gone.join(group, topic)
        claim = owner.claim(await owner.next())
        await claim.confirm()
        async with KafkaAdmin.connect(harness.settings) as admin:
            assert await admin.remove_members(group, "somebody else") == 0
            assert await admin.remove_members(group, "gone") == 1
        with pytest.raises(ClaimLost):
            await claim.confirm()
        standby = await heir.join(group, topic)
        await owner.leave()
        [inherited] = await settled(standby, partitions=1)
        assert inherited.partitions == (0,)
    finally:
        for bus in (gone, heir):
            await bus.close()
