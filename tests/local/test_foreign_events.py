# SPDX-License-Identifier: Apache-2.0
"""Another application writes well-formed events to `taxi.events`: the city goes on, also after restarts."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from aiokafka import AIOKafkaProducer

from taxi import messages as m
from taxi.bus import Bus
from taxi.bus.ranges import read_range
from taxi.messages import codec
from taxi.topics import DEAD_LETTERS, EVENTS
from testing.foreign import FOREIGN_EVENTS, foreign_events
from testing.real_city import RealCity, wait_for
from tests.local.conftest import NEEDS_KAFKA

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

WITHIN_S = 90
Write = Callable[[list[m.Event]], None]


@pytest.fixture(params=[True, False], ids=["in transactions", "without transactions"])
def write(city: RealCity, request: pytest.FixtureRequest) -> Iterator[Write]:
    """Writes events as a stranger."""
    with asyncio.Runner() as runner:

        async def begin() -> AIOKafkaProducer:
            own_id = f"{city.settings.prefix}another-application" if request.param else None
            producer = AIOKafkaProducer(
                bootstrap_servers=city.settings.kafka_bootstrap_servers, transactional_id=own_id
            )
            await producer.start()
            return producer

        producer = runner.run(begin())

        async def send(events: list[m.Event]) -> None:
            for event in events:
                topic = city.settings.prefix + EVENTS
                await producer.send_and_wait(topic, codec.encode(event), partition=0)

        async def in_transaction(events: list[m.Event]) -> None:
            async with producer.transaction():
                await send(events)

        yield lambda events: runner.run(in_transaction(events) if request.param else send(events))
        runner.run(producer.stop())


async def last_batch(bus: Bus) -> m.BatchClosed:
    """The last one on the log that the audit counts; a stranger's numbers are never just behind it."""
    bounds = await bus.offsets(EVENTS, 0)
    found: list[m.BatchClosed] = []
    start = max(bounds.start, bounds.stable - 400)
    async with read_range(bus, EVENTS, 0, start, bounds.stable) as chunks:
        async for records in chunks:
            for record in records:
                event = codec.decode(EVENTS, record)
                if isinstance(event, m.BatchClosed) and event.commands_offset < 10**9:
                    found.append(event)
    return found[-1]


def letters(city: RealCity) -> int:
    end: int = city.on_bus(lambda bus: bus.offsets(DEAD_LETTERS, 0)).end
    return end


def test_a_city_goes_on_whatever_another_producer_writes(city: RealCity, write: Write) -> None:
    dispatcher = city.start("dispatcher")
    simulator = city.start("simulator", "simulator", TAXI_DRIVERS="100")
    wait_for(lambda: dispatcher.is_ready() and simulator.is_ready(), WITHIN_S, "the city lives")
    written = 0
    for kind in FOREIGN_EVENTS:
        last = city.on_bus(last_batch)
        events = foreign_events(kind, last.batch, last.at_ms)
        write(events)
        written += len(events)
    wait_for(lambda: letters(city) >= written, WITHIN_S, "each has a dead letter")
    wait_for(lambda: dispatcher.metric('taxi_fault{code="foreign_events"}') == 1, WITHIN_S, "it is reported")
    for part in (dispatcher, simulator):
        part.kill()
        part.restart()
    wait_for(lambda: dispatcher.is_ready() and simulator.is_ready(), WITHIN_S, "it lives after a restart")
    batches = city.audited().batches
    wait_for(lambda: city.audited().batches > batches + 5, WITHIN_S, "batches close again")
    findings = city.audited()
    assert findings.violations == {}
    assert findings.foreign_events == written
    verdict = city.replayed()
    assert (verdict.exit_code, verdict.not_verifiable.total()) == (0, 0)
