# SPDX-License-Identifier: Apache-2.0
"""What a gateway knows when it begins, from logs that are whole, cut off, damaged or another's."""

import asyncio
from functools import partial

import pytest

from taxi import messages as m
from taxi import topics
from taxi.city import EVENTS_LOST
from tests.unit.gateway.lab import Lab


def test_nobody_is_let_in_before_the_log_is_read(lab: Lab) -> None:
    async def story() -> None:
        lab.start()
        await asyncio.sleep(5)
        assert lab.spy().reason == "the log has no epoch yet"
        assert not lab.sockets.listeners["gateway-1"].is_open
        lab.batch()
        await lab.until(lambda: lab.spy().reason is None)
        assert lab.sockets.listeners["gateway-1"].is_open

    lab.run(story())


@pytest.mark.parametrize("value", [None, b"", b"{}", b"nonsense", b'{"type":"Unheard"}', b"\xff\xfe"])
@pytest.mark.parametrize("topic", [topics.LOCATIONS, topics.EVENTS])
def test_what_cannot_be_read_is_counted_and_stops_nothing(lab: Lab, topic: str, value: bytes | None) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        browser = await lab.watch()
        lab.raw(topic, value)
        lab.fix(1)
        lab.batch(partial(m.DriverCameOnline, driver=1))
        while browser.state.cursor != lab.end:
            await browser.cut()
        assert browser.state.drivers[1].status == 1
        assert lab.spy().counts[f"gateway_undecodable_total {topic}"] == 1

    lab.run(story())


def test_a_gateway_begins_at_a_snapshot_when_the_log_no_longer_does(lab: Lab) -> None:
    async def story() -> None:
        going_on = lab.loop.create_task(lab.traffic())
        await lab.until(lambda: lab.city.batch > 0)
        for _ in range(5):
            await asyncio.sleep(60)
            lab.snapshot()
        old = await lab.gateway("gateway-1", resume_ms=100_000)
        lab.broker.partition(topics.EVENTS, 0).delete_before(40)
        lab.broker.partition(topics.LOCATIONS, 0).delete_before(100)
        fresh = await lab.gateway("gateway-2", resume_ms=100_000)
        assert fresh._fresh is not None
        assert fresh._fresh.view._window._ev_start > 40
        going_on.cancel()
        await asyncio.sleep(1)
        assert old._shown is not None
        assert fresh._shown is not None
        assert old._shown.diff(None, None, None) == fresh._shown.diff(None, None, None)

    lab.run(story())


def test_a_log_whose_beginning_nothing_covers_is_never_folded_from_the_middle(lab: Lab) -> None:
    async def story() -> None:
        for _ in range(20):
            lab.batch()
        lab.broker.partition(topics.EVENTS, 0).delete_before(10)
        lab.start()
        await asyncio.sleep(20)
        assert lab.spy().reason is not None
        assert not lab.sockets.listeners["gateway-1"].is_open
        lab.snapshot()
        lab.batch()
        await lab.until(lambda: lab.spy().reason is None)

    lab.run(story())


def test_an_epoch_that_starts_from_nothing_is_a_beginning_like_any_other(lab: Lab) -> None:
    async def story() -> None:
        lab.batch(partial(m.DriverCameOnline, driver=7))
        for _ in range(20):
            lab.batch()
        lab.fix(7)
        old = await lab.gateway("gateway-1")
        browser = await lab.watch()
        assert browser.state.drivers[7].status == 1
        lab.broker.partition(topics.EVENTS, 0).delete_before(10)
        lab.batch(epoch="fedcba9876543210", reason=EVENTS_LOST)
        while browser.state.drivers[7].status != 0:
            await browser.cut()
        fresh = await lab.gateway("gateway-2")
        await lab.until(lambda: lab.spy("gateway-1").reason is None)
        assert old._shown is not None
        assert fresh._shown is not None
        assert old._shown.diff(None, None, None) == fresh._shown.diff(None, None, None)

    lab.run(story())


def test_a_snapshot_of_another_log_is_not_believed(lab: Lab) -> None:
    async def story() -> None:
        for driver in range(1, 10):
            lab.batch(partial(m.DriverCameOnline, driver=driver))
        lab.snapshot()
        await asyncio.sleep(300)
        lab.broker.create_topic(topics.EVENTS)
        lab.city = type(lab.city)()
        for _ in range(30):
            lab.batch(epoch=None if lab.city.batch else "fedcba9876543210")
        lab.fix(7)
        gateway = await lab.gateway()
        assert gateway._shown is not None
        assert gateway._shown.city.epoch == "fedcba9876543210"
        assert gateway._shown.city.drivers == {}

    lab.run(story())
