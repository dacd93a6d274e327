# SPDX-License-Identifier: Apache-2.0
"""Another application holds a transaction open on `taxi.events` while the dispatcher is killed."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from aiokafka import AIOKafkaProducer

from taxi.topics import EVENTS
from testing.real_city import RealCity, wait_for
from tests.local.conftest import NEEDS_KAFKA

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

WITHIN_S = 90
STRANGER = "another-application"


def end_of_events(city: RealCity) -> int:
    end: int = city.on_bus(lambda bus: bus.offsets(EVENTS, 0)).end
    return end


@pytest.fixture
def stranger(city: RealCity) -> Iterator[Callable[[], Callable[[], None]]]:
    """Opens a transaction on the events and returns what aborts it."""
    with asyncio.Runner() as runner:
        producers: list[AIOKafkaProducer] = []

        async def hold_open() -> None:
            producer = AIOKafkaProducer(
                bootstrap_servers=city.settings.kafka_bootstrap_servers,
                transactional_id=f"{city.settings.prefix}{STRANGER}",
                transaction_timeout_ms=300_000,
            )
            await producer.start()
            producers.append(producer)
            await producer.begin_transaction()
            await producer.send_and_wait(city.settings.prefix + EVENTS, b'{"type":"Nothing"}', partition=0)

        def opens() -> Callable[[], None]:
            runner.run(hold_open())
            return lambda: runner.run(producers[-1].abort_transaction())

        yield opens
        for producer in producers:
            runner.run(producer.stop())


def test_its_successor_waits_and_decides_nothing_twice(
    city: RealCity, stranger: Callable[[], Callable[[], None]]
) -> None:
    dispatcher = city.start("dispatcher")
    city.start("simulator", "simulator", TAXI_DRIVERS="100")
    wait_for(dispatcher.is_ready, WITHIN_S, "the city lives")
    abort = stranger()
    held_from = end_of_events(city)
    wait_for(lambda: end_of_events(city) > held_from + 100, WITHIN_S, "it is decided behind it")
    dispatcher.kill()
    dispatcher.restart()
    fault = wait_for(
        lambda: [line for line in dispatcher.lines() if line.get("code") == "events_held_back"],
        WITHIN_S,
        "the successor says what it waits for",
    )[0]
    assert STRANGER in fault["text"]
    assert "after 300 s" in fault["text"]
    assert not dispatcher.is_ready()
    assert dispatcher.metric('taxi_fault{code="events_held_back"}') == 1
    end = end_of_events(city)
    findings = city.audited()
    assert findings.violations == {}
    [text] = findings.held_back
    assert STRANGER in text
    assert end_of_events(city) == end, "it was decided while the log could not be read"
    abort()
    wait_for(dispatcher.is_ready, WITHIN_S, "it goes on")
    batches = city.audited().batches
    wait_for(lambda: city.audited().batches > batches + 3, WITHIN_S, "batches close again")
    findings = city.audited()
    assert (findings.violations, findings.held_back) == ({}, [])
    assert city.replayed().exit_code == 0
