# SPDX-License-Identifier: Apache-2.0
"""A gateway notices that an input has stopped, although the log can be read, and tells its clients."""

import asyncio
import itertools
from functools import partial
from typing import Any

from gateway.follower.input_faults import NO_DECISIONS_S, NO_POSITIONS_S, NO_ROWS_S, InputFaults
from taxi import messages as m
from taxi import topics
from taxi.runtime.faults import Faults
from testing.gateway_harness import THERE, Browser, GatewayHarness


def codes(browser: Browser) -> list[list[str]]:
    """The codes of each `health` that came."""
    messages = [notice for notice in browser.notices if notice["type"] == "health"]
    return [[fault["code"] for fault in notice["faults"]] for notice in messages]


def faults(harness: GatewayHarness) -> list[str]:
    """The gateway's own."""
    return [fault.code for fault in harness.faults()]


async def positions(harness: GatewayHarness) -> None:
    while True:
        harness.fix(1)
        await asyncio.sleep(1.0)


async def batches(harness: GatewayHarness) -> None:
    while True:
        harness.batch()
        await asyncio.sleep(1.0)


async def followed(browser: Browser, seconds: float) -> None:
    """Take in what comes for so long."""
    with_end = asyncio.get_running_loop().time() + seconds
    while (left_s := with_end - asyncio.get_running_loop().time()) > 0:
        try:
            await browser.next(left_s)
        except TimeoutError:
            return


def test_positions_that_stop_are_a_fault_until_one_arrives(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        harness.fix(1)
        await harness.gateway()
        browser = await harness.watch()
        await followed(browser, NO_POSITIONS_S - 1)
        assert codes(browser) == []
        await followed(browser, 2)
        assert codes(browser) == [["no_positions"]]
        assert faults(harness) == ["no_positions"]
        assert harness.spy().reason is None, "the picture is right, so the gateway is ready"
        harness.fix(1)
        await followed(browser, 0.5)
        assert codes(browser) == [["no_positions"], []]
        assert faults(harness) == []

    harness.run(scenario())


def test_a_dispatcher_that_stops_is_a_fault_while_positions_arrive(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        harness.fix(1)
        await harness.gateway()
        moving = harness.loop.create_task(positions(harness))
        browser = await harness.watch()
        await followed(browser, NO_DECISIONS_S - 1)
        assert codes(browser) == []
        await followed(browser, 2)
        assert codes(browser) == [["no_decisions"]]
        late = await harness.watch()
        assert codes(late) == [["no_decisions"]], "sent at the start of a session"
        harness.batch()
        await followed(browser, 0.5)
        assert codes(browser)[-1] == []
        moving.cancel()

    harness.run(scenario())


def test_an_idle_city_without_input_needs_no_decisions(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        await asyncio.sleep(NO_DECISIONS_S + NO_POSITIONS_S + 5)
        assert faults(harness) == ["no_positions"]

    harness.run(scenario())


def test_positions_that_make_no_row_are_a_fault(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        deciding = harness.loop.create_task(batches(harness))
        browser = await harness.watch()

        async def far_from_now() -> None:
            while True:
                harness.fix(1, at_ms=harness.now_ms() + 60_000)
                await asyncio.sleep(0.5)

        sending = harness.loop.create_task(far_from_now())
        await followed(browser, NO_ROWS_S + 1)
        assert "no_rows" in codes(browser)[-1]
        sending.cancel()
        harness.fix(2, THERE)
        await followed(browser, 0.5)
        assert "no_rows" not in codes(browser)[-1]
        deciding.cancel()

    harness.run(scenario())


def test_while_the_broker_is_away_nothing_is_known_of_the_inputs(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        harness.fix(1)
        await harness.gateway()
        browser = await harness.watch()
        harness.broker.harshness.down = True
        await followed(browser, NO_POSITIONS_S + 10)
        assert codes(browser) == [["not_ready"]]
        harness.broker.harshness.down = False
        await followed(browser, 3)
        assert codes(browser)[-1] == []

    harness.run(scenario())


def test_a_process_that_stood_still_knows_nothing_of_its_inputs() -> None:
    """A laptop that slept for an hour must not show a fault in the moment it wakes."""

    async def scenario() -> None:
        faults = Faults()
        inputs = InputFaults(faults, 0.0)
        steady: dict[str, Any] = {"is_reading": True, "positions": True, "batches": True, "rows": 1}
        for tick in range(20):
            inputs.check(tick / 10, **steady)
        inputs.check(3_600.0, **steady | {"positions": False, "batches": False})
        assert faults.current == ()

    asyncio.run(scenario())


def test_a_command_of_ones_own_that_no_batch_follows_is_a_fault() -> None:
    async def scenario() -> None:
        faults = Faults()
        inputs = InputFaults(faults, 0.0)
        for tick in range(int(NO_DECISIONS_S * 10) + 20):
            inputs.check(tick / 10, is_reading=True, rows=1, commands=int(tick > 5))
        assert [fault.code for fault in faults.current] == ["no_decisions"]

    asyncio.run(scenario())


def test_a_pending_client_hears_of_it_every_second_until_it_is_sent_away(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        harness.fix(1)
        await harness.gateway()
        ahead = (await harness.watch()).state
        harness.broker.harshness.down = True
        harness.fix(2)
        ahead.cursor = harness.end
        browser = harness.browse(ahead)
        browser.hello()
        began_s, sent_s = harness.loop.now, []
        while (message := await browser.socket.receive()) is not None:
            assert message == '{"type":"pending"}'
            sent_s.append(harness.loop.now - began_s)
        assert sent_s[0] < 0.1
        assert max(later - sooner for sooner, later in itertools.pairwise(sent_s)) < 2.0
        assert sent_s[-1] > 8.5
        assert browser.socket.closed is not None
        assert int(browser.socket.closed.code) == 4001

    harness.run(scenario())


def test_clients_are_sent_how_far_positions_are_off(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        harness.fix(1)
        await harness.gateway()
        browser = await harness.watch()
        for _ in range(12):
            harness.fix(1, at_ms=harness.now_ms() + 2_000)
            await followed(browser, 0.5)
        [fault] = harness.faults()
        assert fault.code == "positions_ahead"
        assert "positions arrive but are 2.0 s in the future" in fault.text
        assert codes(browser)[-1] == ["positions_ahead"]
        for _ in range(110):
            harness.batch()
            harness.fix(1)
            await followed(browser, 0.1)
        assert codes(browser)[-1] == []

    harness.run(scenario())


def test_clients_are_sent_a_fault_for_records_that_are_no_positions(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        harness.fix(1)
        await harness.gateway()
        browser = await harness.watch()
        for _ in range(8):
            harness.raw(topics.LOCATIONS, b"{}")
            await followed(browser, 0.5)
        assert codes(browser)[-1] == ["positions_unreadable"]

    harness.run(scenario())


def test_history_is_no_fault(harness: GatewayHarness) -> None:
    """What a gateway reads at its start may be a minute old: those who wrote it may be well by now."""

    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        for _ in range(50):
            harness.fix(1, at_ms=harness.now_ms() + 2_000)
        harness.fix(1)
        await harness.gateway()
        await followed(await harness.watch(), 3.0)
        assert faults(harness) == []

    harness.run(scenario())
