# SPDX-License-Identifier: Apache-2.0
"""A broker that forgot the dispatcher's producer id gives it another one, and the city goes on.

Brokers forget a transactional id that was not used for `transactional.id.expiration.ms` (a week; KIP-447).
Readers take the batches of one producer only, so a dispatcher with a new producer id names the one before
it.
"""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient

from taxi import messages as m
from taxi.bus import Bus
from taxi.bus.kafka.open_transactions import ListTransactions
from taxi.bus.ranges import read_range
from taxi.messages import codec
from taxi.topics import EVENTS
from taxistream.local.ports import PortPool
from testing.kafka_server import KafkaServer
from testing.real_city import RealCity, real_city, wait_for
from tests.local.conftest import NEEDS_KAFKA

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

WITHIN_S = 90
DRIVERS = 100


@pytest.fixture
def city(tmp_path: Path, ports: PortPool) -> Iterator[RealCity]:
    """A city on a broker that forgets transactional ids after a second."""
    server = KafkaServer(tmp_path, ports.take())
    server.set_property("transactional.id.expiration.ms", "1000")
    server.set_property("transaction.remove.expired.transaction.cleanup.interval.ms", "500")
    server.start()
    try:
        prefix = f"p{uuid.uuid4().hex[:8]}."
        with real_city(server.bootstrap_servers, prefix, tmp_path, ports.take) as city:
            city.make_topics()
            yield city
    finally:
        server.kill()


async def producers(bus: Bus) -> list[int]:
    """The producer id of each batch, in the order of the log."""
    bounds = await bus.offsets(EVENTS, 0)
    found = []
    async with read_range(bus, EVENTS, 0, bounds.start, bounds.stable) as chunks:
        async for records in chunks:
            for record in records:
                if isinstance(codec.decode(EVENTS, record), m.BatchClosed):
                    assert record.writer is not None
                    found.append(record.writer.producer_id)
    return found


def is_known(city: RealCity, producer_id: int) -> bool:
    """Whether the broker still knows this producer id."""

    async def ask() -> bool:
        client = AIOKafkaClient(bootstrap_servers=city.settings.kafka_bootstrap_servers)
        await client.bootstrap()
        try:
            answer = await client.send(client.get_random_node(), ListTransactions([producer_id]))
            return bool(answer.transactions)
        finally:
            await client.close()

    return asyncio.run(ask())


def test_a_dispatcher_with_a_new_producer_id_replaces_its_predecessor(city: RealCity) -> None:
    dispatcher = city.start("dispatcher")
    simulator = city.start("simulator", "simulator", TAXI_DRIVERS=str(DRIVERS))
    gateway = city.start("gateway", "gateway", TAXI_PORT=str(city.take_port()), TAXI_SKIP_WEB="1")
    wait_for(lambda: gateway.is_ready() and gateway.metric("gateway_drivers") >= DRIVERS, WITHIN_S, "a city")
    dispatcher.kill()
    before = city.on_bus(producers)
    assert len(set(before)) == 1
    assert is_known(city, before[0])
    wait_for(lambda: not is_known(city, before[0]), WITHIN_S, "the broker forgot the producer id")
    dispatcher.restart()
    wait_for(lambda: len(city.on_bus(producers)) > len(before) + 20, WITHIN_S, "batches close again")
    after = city.on_bus(producers)
    assert after[: len(before)] == before
    # More than one where a busy machine pauses for a second: then the broker forgets again.
    assert before[0] not in after[len(before) :]
    wait_for(lambda: simulator.is_ready() and gateway.is_ready(), WITHIN_S, "all follow the new producer")
    findings, verdict = city.audited(), city.replayed()
    assert findings.violations == {}
    assert findings.foreign_events == 0
    assert (verdict.exit_code, verdict.not_verifiable.total()) == (0, 0)
