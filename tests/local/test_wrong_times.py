# SPDX-License-Identifier: Apache-2.0
"""Wrong append times on a real Kafka: of a single position, and of a clock that is set back."""

import asyncio
import time
from collections import Counter

import pytest
from aiokafka import AIOKafkaProducer

from taxi import messages as m
from taxi.bus import Bus
from taxi.bus.kafka.admin import KafkaAdmin
from taxi.bus.ranges import read_range
from taxi.messages import codec
from taxi.topics import EVENTS, LOCATIONS
from testing.real_city import RealCity, RealPart, wait_for
from tests.local.conftest import NEEDS_KAFKA

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

WITHIN_S = 90
DRIVERS = 100
AHEAD_MS = 3_400_000
APART_MS = 20_000
"""So close log time is to the real one, on a loaded machine."""


def write_with_times(city: RealCity, ahead_ms: list[int]) -> None:
    """Let the topic keep senders' times for a moment, and write positions that lie so far ahead.

    They are one batch, so the log has no other position between them: log time is the median of five.
    """

    async def work() -> None:
        async with KafkaAdmin.connect(city.settings) as admin:
            [topic] = (await admin.describe_topics([LOCATIONS])).values()
            await admin.alter_topic(topic, {"message.timestamp.type": "CreateTime"})
            producer = AIOKafkaProducer(bootstrap_servers=city.settings.kafka_bootstrap_servers)
            await producer.start()
            try:
                batch = producer.create_batch()
                for ms in ahead_ms:
                    at_ms = time.time_ns() // 1_000_000 + ms
                    fix = codec.encode(m.Fix(driver=1, at_ms=at_ms, lng=-73.98, lat=40.75))
                    assert batch.append(key=None, value=fix, timestamp=at_ms) is not None
                batch.close()
                await (await producer.send_batch(batch, city.settings.prefix + LOCATIONS, partition=0))
            finally:
                await producer.stop()
                await admin.alter_topic(topic, {"message.timestamp.type": "LogAppendTime"})

    asyncio.run(work())


async def events(bus: Bus) -> list[m.AnyEvent]:
    bounds = await bus.offsets(EVENTS, 0)
    async with read_range(bus, EVENTS, 0, bounds.start, bounds.stable) as chunks:
        return [codec.decode(EVENTS, record) async for records in chunks for record in records]


def counts(city: RealCity) -> Counter[str]:
    return Counter(type(event).__name__ for event in city.on_bus(events))


def log_time_ahead_ms(city: RealCity) -> int:
    """By how much the last batch is ahead of now."""
    last: m.AnyEvent = city.on_bus(events)[-1]
    return last.at_ms - time.time_ns() // 1_000_000


def living(city: RealCity) -> tuple[RealPart, ...]:
    """A dispatcher, a simulator and a gateway, all ready."""
    parts = (
        city.start("dispatcher"),
        city.start("simulator", "simulator", TAXI_DRIVERS=str(DRIVERS)),
        city.start("gateway", "gateway", TAXI_PORT=str(city.take_port()), TAXI_SKIP_WEB="1"),
    )
    wait_for(lambda: all(part.is_ready() for part in parts), WITHIN_S, "the city lives")
    wait_for(lambda: parts[2].metric("gateway_drivers") >= DRIVERS, WITHIN_S, "all drivers are shown")
    return parts


def is_clean(city: RealCity) -> bool:
    findings, verdict = city.audited(), city.replayed()
    assert findings.violations == {}
    assert (verdict.exit_code, verdict.not_verifiable.total()) == (0, 0)
    return True


def test_a_position_that_lies_an_hour_ahead_costs_nothing(city: RealCity) -> None:
    *_, gateway = living(city)
    write_with_times(city, [AHEAD_MS])
    wait_for(
        lambda: gateway.metric('gateway_dropped_positions_total{reason="unbelieved"}') >= 1,
        WITHIN_S,
        "it is counted",
    )
    batches = counts(city)["BatchClosed"]
    wait_for(lambda: counts(city)["BatchClosed"] > batches + 4, WITHIN_S, "batches close")
    found = counts(city)
    assert not {"DriverLost", "RideNoShow", "RideExpired", "ClockSetBack"} & found.keys()
    assert abs(log_time_ahead_ms(city)) < APART_MS
    assert gateway.metric("gateway_drivers") >= DRIVERS
    assert gateway.is_ready()
    # A batch that closes early leaves the positions to the next one.
    wait_for(lambda: city.audited().positions_dropped["unbelieved"] == 1, WITHIN_S, "the audit counts it")
    assert is_clean(city)


def test_a_clock_that_is_set_back_by_an_hour_is_shifted_and_the_city_goes_on(city: RealCity) -> None:
    dispatcher, simulator, gateway = living(city)
    write_with_times(city, [AHEAD_MS] * 10)  # for so long the clock was wrong
    wait_for(lambda: counts(city)["ClockSetBack"] == 1, WITHIN_S, "the clock is found set back")
    assert abs(log_time_ahead_ms(city) - AHEAD_MS) < APART_MS
    for part in (dispatcher, simulator, gateway):
        part.kill()
        part.restart()
    wait_for(
        lambda: all(part.is_ready() for part in (dispatcher, simulator, gateway)),
        WITHIN_S,
        "it lives after a restart",
    )
    wait_for(lambda: gateway.metric("gateway_drivers") >= DRIVERS, WITHIN_S, "all drivers are shown")
    before = counts(city)["RideAssigned"]
    wait_for(lambda: counts(city)["RideAssigned"] > before, WITHIN_S, "rides are assigned")
    assert counts(city)["ClockSetBack"] == 1
    assert abs(log_time_ahead_ms(city) - AHEAD_MS) < APART_MS
    assert is_clean(city)
