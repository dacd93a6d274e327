# SPDX-License-Identifier: Apache-2.0
"""What others, or the disk, put on `taxi.events`: a gateway shows the city, or says why it cannot."""

import asyncio
from functools import partial
from typing import Any

import pytest

from taxi import messages as m
from taxi import topics
from taxi.messages import codec
from testing.foreign import FOREIGN_EVENTS, commit, foreign_events
from testing.gateway_harness import Browser, GatewayHarness


def codes(harness: GatewayHarness) -> list[str]:
    return [fault.code for fault in harness.faults()]


async def at_the_end(harness: GatewayHarness, browser: Browser) -> None:
    """The browser has got all of the log."""
    while browser.state.cursor != harness.end:
        await browser.cut()


@pytest.mark.parametrize("starts_later", [False, True], ids=["running", "started later"])
@pytest.mark.parametrize("kind", FOREIGN_EVENTS)
def test_foreign_events_change_nothing_but_are_reported(
    harness: GatewayHarness, kind: str, starts_later: bool
) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        harness.fix(1)
        gateway = None if starts_later else await harness.gateway()
        await asyncio.sleep(1)
        commit(harness.broker, *foreign_events(kind, harness.city.batch, harness.now_ms()))
        await harness.until(lambda: not harness.broker.partition(topics.EVENTS, 0).open_transactions)
        harness.batch(partial(m.DriverCameOnline, driver=2))
        harness.fix(2)
        gateway = gateway or await harness.gateway()
        browser = await harness.watch()
        await at_the_end(harness, browser)
        assert sorted(browser.state.drivers) == [1, 2]
        assert browser.state.cursor is not None
        assert browser.state.cursor.epoch == harness.city.epoch
        assert harness.spy().counts.get("gateway_rebuilds_total", 0) == 0
        harness.fix(1)
        await harness.until(lambda: "foreign_events" in codes(harness))
        assert harness.spy().reason is None
        await harness.until(lambda: "foreign_events" not in codes(harness), within_s=90)

    harness.run(scenario())


def lose_a_batch(harness: GatewayHarness) -> None:
    """A batch, of which the disk has lost the first event."""
    when: dict[str, Any] = {"batch": harness.city.batch + 1, "at_ms": harness.now_ms()}
    closed = m.BatchClosed(**when, count=2, commands_offset=0, locations_offset=0)
    for event in (m.DriverCameOnline(**when, driver=9), closed):
        harness.city.apply(event)
    place = harness.broker.partition(topics.EVENTS, 0)
    place.append_damaged("the checksum is wrong", harness.now_ms(), is_on_disk=True)
    harness.raw(topics.EVENTS, codec.encode(closed))


def test_a_gateway_that_starts_behind_a_gap_waits_for_a_snapshot(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        harness.fix(1)
        lose_a_batch(harness)
        going_on = harness.loop.create_task(harness.traffic())
        harness.start()
        await harness.until(lambda: codes(harness) == ["events_gap"])
        await asyncio.sleep(30)
        [fault] = harness.faults()
        assert fault.blocks
        assert "batch 2 lacks events" in fault.text
        assert harness.spy().counts.get("gateway_rebuilds_total", 0) == 0
        harness.snapshot()
        await harness.until(lambda: harness.spy().reason is None)
        assert "events_gap" not in codes(harness)
        browser = await harness.watch()
        going_on.cancel()
        await at_the_end(harness, browser)
        assert harness.spy().counts["gateway_rebuilds_total"] == 1

    harness.run(scenario())


def test_an_epoch_that_begins_empty_ends_a_gap(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        lose_a_batch(harness)
        harness.start()
        await harness.until(lambda: codes(harness) == ["events_gap"])
        harness.batch(partial(m.DriverCameOnline, driver=3), epoch="a" * 16, reason="events_lost")
        harness.fix(3)
        await harness.until(lambda: harness.spy().reason is None)
        browser = await harness.watch()
        harness.fix(1)
        await at_the_end(harness, browser)
        assert {number: row.status for number, row in browser.state.drivers.items()} == {1: 0, 3: 1}

    harness.run(scenario())


def test_a_running_gateway_that_meets_a_gap_begins_at_the_newest_snapshot(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        harness.fix(1)
        await harness.gateway()
        browser = await harness.watch()
        lose_a_batch(harness)
        harness.batch()
        await harness.until(lambda: "events_gap" in codes(harness))
        harness.snapshot()
        harness.batch()
        await harness.until(lambda: harness.spy().reason is None)
        await at_the_end(harness, browser)
        harness.fix(9)
        await at_the_end(harness, browser)
        assert browser.state.drivers[9].status == 1

    harness.run(scenario())


def test_a_gap_before_the_newest_snapshot_costs_nothing(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        harness.fix(1)
        lose_a_batch(harness)
        harness.batch()
        harness.snapshot()
        harness.batch()
        await harness.gateway()
        assert "events_gap" not in codes(harness)
        browser = await harness.watch()
        await at_the_end(harness, browser)

    harness.run(scenario())


def test_a_log_without_beginning_or_snapshot_is_waited_for(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        going_on = harness.loop.create_task(harness.traffic())
        await asyncio.sleep(10)
        harness.broker.partition(topics.EVENTS, 0).delete_before(3)
        harness.start()
        await harness.until(lambda: codes(harness) == ["events_gap"])
        await asyncio.sleep(30)
        assert harness.spy().counts.get("gateway_rebuilds_total", 0) == 0
        assert "gateway_passed_over_total" not in harness.spy().counts
        harness.snapshot()
        await harness.until(lambda: harness.spy().reason is None)
        going_on.cancel()

    harness.run(scenario())
