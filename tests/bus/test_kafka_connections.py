# SPDX-License-Identifier: Apache-2.0
"""Connections that lead nowhere: each use of the bus finds a new one, within the time that callers have."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from aiokafka.errors import KafkaError

from gateway.http.ride_service import RideRequest, RideService
from gateway.settings import Settings as GatewaySettings
from gateway.updates.city_view import CityView
from taxi import topics
from taxi.bus import Bus, Claim, Unavailable, Unknown, Write
from taxi.bus.kafka.admin import KafkaAdmin
from taxi.bus.kafka.bus import KafkaBus
from taxi.bus.kafka.limits import KafkaLimits
from taxi.runtime.env import Env
from taxi.runtime.settings import Settings
from taxistream.local.ports import PortPool
from testing.gateway_harness import HERE, ROADS, THERE, Spy
from testing.kafka_proxy import KafkaProxy
from testing.kafka_server import KafkaServer
from tests.bus.harness import everything, outgoing, read_until, values
from tests.bus.harness_kafka import KafkaHarness

pytestmark = pytest.mark.kafka

CALLER_S = 5.0
"""How long a gateway waits for the log to take a ride request."""
SLACK_S = 2.0
"""For a machine that has other things to do."""


@pytest.fixture
def harness(kafka_server: KafkaServer) -> KafkaHarness:
    return KafkaHarness(kafka_server)


@asynccontextmanager
async def proxied(server: KafkaServer, **limits: Any) -> AsyncIterator[tuple[KafkaProxy, KafkaBus]]:
    """A bus all of whose connections go through a proxy."""
    async with KafkaProxy(server.port) as proxy:
        bus = await connected(proxy.address, **limits)
        try:
            yield proxy, bus
        finally:
            await bus.close()


async def connected(addresses: str, **limits: Any) -> KafkaBus:
    settings = Settings(kafka_bootstrap_servers=addresses)
    return await KafkaBus.connect(settings, client_id="test", limits=replace(KafkaLimits(), **limits))


async def test_a_write_on_a_stranded_connection_is_acknowledged_on_another_and_there_once(
    harness: KafkaHarness, kafka_server: KafkaServer
) -> None:
    topic = await harness.topic()
    async with proxied(kafka_server) as (proxy, bus):
        producer = await bus.producer()
        await producer.send(topic, 0, outgoing(b"before"))
        proxy.strand()
        async with asyncio.timeout(CALLER_S + SLACK_S):
            await producer.send(topic, 0, outgoing(b"after"))
        assert values(await everything(await harness.bus(), topic)) == [b"before", b"after"]


async def test_a_caller_that_gives_up_takes_its_connection_along(
    harness: KafkaHarness, kafka_server: KafkaServer
) -> None:
    """Otherwise the next callers would wait behind the request that gets no answer."""
    topic = await harness.topic()
    async with proxied(kafka_server, answer_s=60.0, request_ms=60_000) as (proxy, bus):
        producer = await bus.producer()
        await producer.send(topic, 0, outgoing(b"before"))
        proxy.strand()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await producer.send(topic, 0, outgoing(b"given up"))
        async with asyncio.timeout(CALLER_S):
            await producer.send(topic, 0, outgoing(b"after"))
        assert values(await everything(await harness.bus(), topic))[-1] == b"after"


async def test_a_ride_request_is_accepted_over_a_stranded_connection(kafka_server: KafkaServer) -> None:
    """Nineteen of nineteen were refused: the gateway gave up on each before its connection was closed."""
    prefix = f"p{uuid.uuid4().hex[:8]}."
    async with KafkaProxy(kafka_server.port) as proxy:
        settings = GatewaySettings(kafka_bootstrap_servers=proxy.address, prefix=prefix, city="grid")
        async with KafkaAdmin.connect(settings) as admin:
            await admin.ensure_topics(topics.specs())
        bus = await KafkaBus.connect(settings, client_id="test")
        spy = Spy()
        env = Env(
            settings=settings,
            bus=bus,
            now_ms=lambda: 0,
            random=random.Random(1),
            new_id=lambda: "0" * 16,
            log=spy,
            metrics=spy,
            health=spy,
        )
        city_view = cast("CityView", object())  # that there is one suffices
        ride_service = RideService(env, ROADS, lambda: city_view)

        async def ask(ride: str) -> None:
            body = RideRequest(ride, HERE, THERE)
            await ride_service.request_ride(msgspec.json.encode(body), {})

        await ask("before")
        for number in range(3):
            proxy.strand()
            began_s = time.monotonic()
            await ask(f"after-{number}")
            assert time.monotonic() - began_s < CALLER_S
        await bus.close()


async def test_every_other_use_recovers_too(harness: KafkaHarness, kafka_server: KafkaServer) -> None:
    topic = await harness.topic()
    async with proxied(kafka_server) as (proxy, bus):
        fixes, commands = await bus.producer(acks="leader"), await bus.producer()
        reader = await bus.reader(topic, 0, 0)
        transactional = await bus.transactional_producer(f"t-{topic}")
        await fixes.send(topic, 0, outgoing(b"0"))
        await commands.send(topic, 0, outgoing(b"1"))
        await transactional.transact([Write(topic, 0, outgoing(b"2")[0])])
        await read_until(reader, 4)
        proxy.strand()
        began_s = time.monotonic()

        async def transact() -> None:
            with suppress(Unknown):
                await transactional.transact([Write(topic, 0, outgoing(b"3")[0])])
            successor = await bus.transactional_producer(f"t-{topic}")
            await successor.transact([Write(topic, 0, outgoing(b"4")[0])])

        uses: list[Awaitable[object]] = [
            fixes.send(topic, 0, outgoing(b"5")),
            commands.send(topic, 0, outgoing(b"6")),
            reader.fetch(wait_ms=500),
            bus.offsets(topic, 0),
            bus.offset_at(topic, 0, 1_000),
            transact(),
        ]
        await asyncio.gather(*uses)
        assert time.monotonic() - began_s < 12.0 + SLACK_S
        found = values(await everything(await harness.bus(), topic))
        assert {b"4", b"5", b"6"} <= set(found)
        assert len(found) == len(set(found))


async def _confirmed(claim: Claim, proxy: KafkaProxy, within_s: float) -> None:
    """Confirm the claim again after each answer that passes, until the group has confirmed it."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                return await claim.confirm()
            except Unavailable:
                await proxy.next_answer()


async def test_a_member_keeps_its_place_over_a_stranded_connection(
    harness: KafkaHarness, kafka_server: KafkaServer
) -> None:
    topic = await harness.topic()
    session_s = KafkaLimits().session_ms / 1000
    async with proxied(kafka_server) as (proxy, bus):
        member = await bus.join(f"g-{topic}", topic)
        assignment = await member.next()
        claim = member.claim(assignment)
        await claim.confirm()
        proxy.strand()
        await _confirmed(claim, proxy, 2 * session_s)
        assert claim.holds()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2 * session_s):
                await member.next()  # nothing was taken from it in the meantime either


async def test_who_manages_topics_recovers_too(harness: KafkaHarness, kafka_server: KafkaServer) -> None:
    topic = await harness.topic()
    async with KafkaProxy(kafka_server.port) as proxy:
        limits = replace(KafkaLimits(), request_ms=2_000)
        settings = Settings(kafka_bootstrap_servers=proxy.address)
        async with KafkaAdmin.connect(settings, limits=limits) as admin:
            await admin.describe_topics([topic])
            proxy.strand()
            with suppress(KafkaError):
                await admin.describe_topics([topic])
            assert list(await admin.describe_topics([topic])) == [topic]


async def test_a_bootstrap_address_that_leads_nowhere_costs_a_moment(kafka_server: KafkaServer) -> None:
    async with KafkaProxy(kafka_server.port) as silent, KafkaProxy(kafka_server.port) as good:
        silent.swallows = True
        for _ in range(4):  # in whatever order they are asked
            bus = await connected(f"{silent.address},{good.address}", connect_s=1.0, answer_s=1.0)
            await bus.close()


async def test_brokers_that_moved_are_found_by_the_bootstrap_address(
    harness: KafkaHarness, kafka_server: KafkaServer
) -> None:
    topic = await harness.topic()
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(KafkaProxy(kafka_server.port))
        old = await stack.enter_async_context(KafkaProxy(kafka_server.port))
        new = await stack.enter_async_context(KafkaProxy(kafka_server.port))
        door.advertised = old.port
        bus = await connected(door.address)
        stack.push_async_callback(bus.close)
        producer = await bus.producer()
        reader = await bus.reader(topic, 0, 0)
        member = await bus.join(f"g-{topic}", topic)
        claim = member.claim(await member.next())
        await producer.send(topic, 0, outgoing(b"before"))
        door.advertised = new.advertised = new.port
        await old.close()
        await producer.send(topic, 0, outgoing(b"after"))
        assert values(await read_until(reader, 2)) == [b"before", b"after"]
        assert new.opened > 0
        await _confirmed(claim, new, 20.0)


async def test_old_brokers_that_lead_nowhere_are_found_at_their_new_address(
    harness: KafkaHarness, kafka_server: KafkaServer
) -> None:
    """Nothing refuses a connection: the old address takes them and never answers."""
    topic = await harness.topic()
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(KafkaProxy(kafka_server.port))
        old = await stack.enter_async_context(KafkaProxy(kafka_server.port))
        new = await stack.enter_async_context(KafkaProxy(kafka_server.port))
        door.advertised = old.port
        bus = await connected(door.address, connect_s=1.0, answer_s=1.0)
        stack.push_async_callback(bus.close)
        producer = await bus.producer()
        await producer.send(topic, 0, outgoing(b"before"))
        door.advertised = new.advertised = new.port
        old.strand()
        old.swallows = True
        await producer.send(topic, 0, outgoing(b"after"))
        assert values(await everything(await harness.bus(), topic)) == [b"before", b"after"]


# --- topics ------------------------------------------------------------------------------------------


async def _use_all(bus: Bus, settings: Settings, topic: str) -> None:
    """Every use of a topic that a service may make, of one that is not there."""

    async def try_(use: Callable[[], Awaitable[object]]) -> None:
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(2.0):
                await use()

    await try_(lambda: bus.offsets(topic, 0))
    reader = await bus.reader(topic, 0, 0)
    await try_(reader.fetch)
    producer = await bus.producer()
    await try_(lambda: producer.send(topic, 0, outgoing(b"x")))
    member = await bus.join(f"g-{topic}", topic)
    await try_(member.next)
    async with KafkaAdmin.connect(settings) as admin:
        assert await admin.describe_topics([topic]) == {}


async def test_no_request_permits_a_broker_to_create_topics(kafka_server: KafkaServer) -> None:
    async with proxied(kafka_server) as (proxy, bus):
        await _use_all(bus, Settings(kafka_bootstrap_servers=proxy.address), "not-there")
        asked = [request for request in proxy.requests if request.api_key == 3]
        assert len(asked) > 5
        assert not [request for request in asked if request.may_create_topics]


async def test_a_cluster_that_creates_topics_creates_none_for_us(tmp_path: Path, ports: PortPool) -> None:
    server = KafkaServer(tmp_path, ports.take())
    server.set_property("auto.create.topics.enable", "true")
    server.start()
    try:
        bus = await connected(server.bootstrap_servers)
        settings = Settings(kafka_bootstrap_servers=server.bootstrap_servers)
        await _use_all(bus, settings, "not-there")
        async with KafkaAdmin.connect(settings) as admin:
            assert await admin.describe_topics(["not-there"]) == {}
        await bus.close()
    finally:
        server.kill()
