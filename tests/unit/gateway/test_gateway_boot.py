# SPDX-License-Identifier: Apache-2.0
"""What a gateway knows when it begins, from logs that are whole, cut off, damaged or another's."""

import asyncio
from functools import partial

import pytest

from taxi import messages as m
from taxi import topics
from taxi.state import EVENTS_LOST
from testing.gateway_harness import GatewayHarness


def test_no_client_is_let_in_before_the_log_is_read(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.start()
        await asyncio.sleep(5)
        assert harness.spy().reason == "awaiting_log: the log has no epoch yet"
        assert not harness.sockets.listeners["gateway-1"].is_open
        harness.batch()
        await harness.until(lambda: harness.spy().reason is None)
        assert harness.sockets.listeners["gateway-1"].is_open

    harness.run(scenario())


@pytest.mark.parametrize("value", [None, b"", b"{}", b"nonsense", b'{"type":"Unheard"}', b"\xff\xfe"])
@pytest.mark.parametrize("topic", [topics.LOCATIONS, topics.EVENTS])
def test_what_cannot_be_read_is_counted_and_stops_nothing(
    harness: GatewayHarness, topic: str, value: bytes | None
) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        browser = await harness.watch()
        harness.raw(topic, value)
        harness.fix(1)
        harness.batch(partial(m.DriverCameOnline, driver=1))
        while browser.state.cursor != harness.end:
            await browser.cut()
        assert browser.state.drivers[1].status == 1
        assert harness.spy().counts[f"gateway_undecodable_total {topic}"] == 1

    harness.run(scenario())


@pytest.mark.parametrize("topic", [topics.LOCATIONS, topics.EVENTS])
@pytest.mark.parametrize("before_it_starts", [True, False])
def test_what_cannot_be_parsed_is_counted_and_stops_nothing(
    harness: GatewayHarness, topic: str, before_it_starts: bool
) -> None:
    async def scenario() -> None:
        harness.batch()
        if not before_it_starts:
            await harness.gateway()
        harness.broker.partition(topic, 0).append_damaged(
            "a header's name is not UTF-8", harness.now_ms(), count=3
        )
        if before_it_starts:
            await harness.gateway()
        browser = await harness.watch()
        harness.fix(1)
        harness.batch(partial(m.DriverCameOnline, driver=1))
        while browser.state.cursor != harness.end:
            await browser.cut()
        assert browser.state.drivers[1].status == 1
        assert harness.spy().counts[f"gateway_undecodable_total {topic}"] == 1

    harness.run(scenario())


def test_a_gateway_begins_at_a_snapshot_when_the_log_no_longer_does(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        going_on = harness.loop.create_task(harness.traffic())
        await harness.until(lambda: harness.city.batch > 0)
        for _ in range(5):
            await asyncio.sleep(60)
            harness.snapshot()
        old = await harness.gateway("gateway-1", resume_ms=100_000)
        harness.broker.partition(topics.EVENTS, 0).delete_before(40)
        harness.broker.partition(topics.LOCATIONS, 0).delete_before(100)
        fresh = await harness.gateway("gateway-2", resume_ms=100_000)
        assert fresh.follower.city_view is not None
        assert fresh.follower.city_view.begins.ev > 40
        going_on.cancel()
        await asyncio.sleep(1)
        assert old.city_view is not None
        assert fresh.city_view is not None
        assert old.city_view.diff(None, None, None) == fresh.city_view.diff(None, None, None)

    harness.run(scenario())


def test_a_log_whose_beginning_nothing_covers_is_never_folded_from_the_middle(
    harness: GatewayHarness,
) -> None:
    async def scenario() -> None:
        for _ in range(20):
            harness.batch()
        harness.broker.partition(topics.EVENTS, 0).delete_before(10)
        harness.start()
        await asyncio.sleep(20)
        assert harness.spy().reason is not None
        assert not harness.sockets.listeners["gateway-1"].is_open
        harness.snapshot()
        harness.batch()
        await harness.until(lambda: harness.spy().reason is None)

    harness.run(scenario())


def test_an_epoch_that_starts_from_nothing_is_a_beginning_like_any_other(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=7))
        for _ in range(20):
            harness.batch()
        harness.fix(7)
        old = await harness.gateway("gateway-1")
        browser = await harness.watch()
        assert browser.state.drivers[7].status == 1
        harness.broker.partition(topics.EVENTS, 0).delete_before(10)
        harness.batch(epoch="fedcba9876543210", reason=EVENTS_LOST)
        while browser.state.drivers[7].status != 0:
            await browser.cut()
        fresh = await harness.gateway("gateway-2")
        await harness.until(lambda: harness.spy("gateway-1").reason is None)
        assert old.city_view is not None
        assert fresh.city_view is not None
        assert old.city_view.diff(None, None, None) == fresh.city_view.diff(None, None, None)

    harness.run(scenario())


def test_a_snapshot_of_another_log_is_not_believed(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        for driver in range(1, 10):
            harness.batch(partial(m.DriverCameOnline, driver=driver))
        harness.snapshot()
        await asyncio.sleep(300)
        harness.broker.create_topic(topics.EVENTS)
        harness.city = type(harness.city)()
        for _ in range(30):
            harness.batch(epoch=None if harness.city.batch else "fedcba9876543210")
        harness.fix(7)
        gateway = await harness.gateway()
        assert gateway.city_view is not None
        assert gateway.city_view.city.epoch == "fedcba9876543210"
        assert gateway.city_view.city.drivers == {}

    harness.run(scenario())
