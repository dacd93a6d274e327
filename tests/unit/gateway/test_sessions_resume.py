# SPDX-License-Identifier: Apache-2.0
"""A client that comes with a cursor: one diff, a reset, or patience; with real gateways in virtual time."""

import asyncio

import pytest

from gateway.follower.boot_state import BootState
from taxi.cursor import Cursor
from testing.gateway_harness import EPOCH, HERE, THERE, GatewayHarness


def test_a_client_goes_on_elsewhere_with_the_view_it_had(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.fix(1, HERE)
        harness.fix(2, THERE)
        harness.batch()
        await harness.gateway("gateway-1")
        corner = [HERE[0], HERE[1], HERE[0], HERE[1]]
        browser = await harness.watch(view=corner)
        harness.kill("gateway-1")
        await harness.gateway("gateway-2")
        again = await harness.watch(browser.state, view=corner)
        assert again.said[0]["mode"] == "resume"
        assert set(again.state.drivers) == {1}

    harness.run(scenario())


def test_a_client_goes_on_at_another_gateway_with_one_diff(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        going_on = harness.loop.create_task(harness.traffic())
        await harness.until(lambda: harness.city.batch > 0)
        await harness.gateway("gateway-1")
        browser = await harness.watch()
        await browser.cut()
        harness.kill("gateway-1")
        await harness.gateway("gateway-2")
        again = await harness.watch(browser.state)
        assert again.said[0]["mode"] == "resume"
        assert again.said[0]["gateway"] == "gateway-2"
        assert not again.cuts[0].is_image
        going_on.cancel()

    harness.run(scenario())


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        (Cursor("feedfeedfeedfeed", 0, 1), "epoch"),
        (Cursor(EPOCH, 10**9, 3), "ahead"),
        (Cursor(EPOCH, 0, 10**9), "ahead"),
    ],
)
def test_a_cursor_that_is_not_of_this_log_is_reset(
    harness: GatewayHarness, cursor: Cursor, reason: str
) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        browser = harness.browse()
        browser.hello(cursor=str(cursor))
        await browser.cut()
        assert browser.said[0] == {"type": "reset", "reason": reason}
        assert browser.said[1]["mode"] == "image"
        assert browser.said[1]["reason"] == reason
        assert browser.cuts[0].is_image

    harness.run(scenario())


def test_a_cursor_older_than_the_window_has_expired(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        going_on = harness.loop.create_task(harness.traffic())
        await harness.until(lambda: harness.city.batch > 0)
        await harness.gateway()
        browser = await harness.watch()
        old = browser.state
        browser.socket.close()
        await asyncio.sleep(130)
        again = await harness.watch(old)
        assert again.said[0] == {"type": "reset", "reason": "expired"}
        going_on.cancel()

    harness.run(scenario())


def test_a_client_ahead_of_its_gateway_is_pending_until_that_has_caught_up(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        harness.fix(1)
        await harness.gateway()
        ahead = (await harness.watch()).state
        harness.broker.harshness.down = True
        harness.fix(2)
        ahead.cursor = harness.end  # as another gateway would have led it there
        browser = harness.browse(ahead)
        browser.hello()
        await asyncio.sleep(3)
        assert browser.said == []
        harness.broker.harshness.down = False
        ready = await browser.next()
        assert isinstance(ready, dict)
        assert ready["mode"] == "resume"

    harness.run(scenario())


def test_a_client_pending_for_ten_seconds_is_sent_away(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        harness.broker.harshness.down = True
        browser = harness.browse()
        browser.hello(cursor=str(Cursor(EPOCH, 1, harness.end.ev)))
        began_s = harness.loop.now
        code, reason = await browser.closed()
        assert code == 4001
        assert 0 < int(reason) <= 1000
        assert 10.0 <= harness.loop.now - began_s < 10.5

    harness.run(scenario())


def test_a_cursor_from_before_the_first_view_is_pending_until_the_deep_one_has_been_read(
    harness: GatewayHarness,
) -> None:
    async def scenario() -> None:
        going_on = harness.loop.create_task(harness.traffic())
        await harness.until(lambda: harness.city.batch > 0)
        await harness.gateway("gateway-1")
        await asyncio.sleep(100)
        browser = await harness.watch()
        browser.socket.close()
        known = browser.state
        await asyncio.sleep(100)
        harness.kill("gateway-1")
        gateway = await harness.gateway("gateway-2")
        assert known.cursor is not None
        assert gateway.city_view is not None
        assert gateway.city_view.awaits(known.cursor) or gateway.city_view.serves(known.cursor)
        back = await harness.watch(known)
        assert [said["mode"] for said in back.said if said["type"] == "ready"] == ["resume"]
        assert gateway.follower.state is BootState.COMPLETE
        assert back.state.drivers.keys() == {1, 2, 3, 4, 5}
        going_on.cancel()

    harness.run(scenario())
