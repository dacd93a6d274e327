# SPDX-License-Identifier: Apache-2.0
"""A transaction of another producer that stays open: a gateway shows what is before it, and says so."""

import asyncio
from functools import partial

import pytest

from taxi import messages as m
from taxi import topics
from taxi.bus.memory.log import Fate
from testing.foreign import ID, hold_open
from testing.gateway_harness import GatewayHarness

CODES = {topics.EVENTS: "events_held_back", topics.LOCATIONS: "positions_held_back"}


def codes(harness: GatewayHarness) -> list[str]:
    """What is said to be held back."""
    return [fault.code for fault in harness.faults() if fault.code in CODES.values()]


@pytest.mark.parametrize("topic", CODES)
def test_a_running_gateway_says_that_it_is_held_back(harness: GatewayHarness, topic: str) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        harness.fix(1)
        await harness.gateway()
        end = hold_open(harness.broker, topic)
        going_on = harness.loop.create_task(harness.traffic())
        await harness.until(lambda: codes(harness) == [CODES[topic]])
        [fault] = [fault for fault in harness.faults() if fault.code == CODES[topic]]
        assert not fault.blocks
        assert ID in fault.text
        end(Fate.ABORTED)
        await harness.until(lambda: not codes(harness))
        going_on.cancel()

    harness.run(scenario())


@pytest.mark.parametrize("topic", CODES)
def test_a_gateway_that_starts_serves_what_can_be_read(harness: GatewayHarness, topic: str) -> None:
    async def scenario() -> None:
        going_on = harness.loop.create_task(harness.traffic())
        await asyncio.sleep(10)
        end = hold_open(harness.broker, topic)
        await asyncio.sleep(10)
        harness.snapshot()  # of a batch that cannot be read yet
        await asyncio.sleep(5)
        await harness.gateway()
        browser = await harness.watch()
        assert browser.state.drivers
        await harness.until(lambda: codes(harness) == [CODES[topic]])
        end(Fate.COMMITTED)
        await harness.until(lambda: not codes(harness))
        going_on.cancel()
        await asyncio.sleep(1)
        harness.batch()
        harness.fix(1)
        while browser.state.cursor != harness.end:
            await browser.cut()

    harness.run(scenario())


def test_the_age_of_the_log_is_known_behind_control_records(harness: GatewayHarness) -> None:
    """The last offsets of the positions belong to an aborted transaction: a gateway reads on before them."""

    async def scenario() -> None:
        going_on = harness.loop.create_task(harness.traffic())
        await asyncio.sleep(200)
        going_on.cancel()
        for number in range(20):
            hold_open(harness.broker, topics.LOCATIONS, name=f"stranger-{number}")(Fate.ABORTED)
        await asyncio.sleep(1)
        gateway = await harness.gateway(resume_ms=20_000)
        assert gateway.follower.city_view is not None
        assert gateway.follower.city_view.begins.loc > 0

    harness.run(scenario())


def test_a_transaction_as_short_as_ours_is_no_fault(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        for number in range(30):
            end = hold_open(harness.broker, topics.EVENTS, name=f"stranger-{number}")
            await asyncio.sleep(0.9)
            end(Fate.ABORTED)
            await asyncio.sleep(0.1)
            assert codes(harness) == []

    harness.run(scenario())
