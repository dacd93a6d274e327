# SPDX-License-Identifier: Apache-2.0
"""A client that comes with a cursor: one diff, a reset, or patience; with real gateways in virtual time."""

import asyncio

import pytest

from taxi.cursor import Cursor
from tests.unit.gateway.lab import EPOCH, HERE, THERE, Lab


def test_a_client_goes_on_elsewhere_with_the_view_it_had(lab: Lab) -> None:
    async def story() -> None:
        lab.fix(1, HERE)
        lab.fix(2, THERE)
        lab.batch()
        await lab.gateway("gateway-1")
        corner = [HERE[0], HERE[1], HERE[0], HERE[1]]
        browser = await lab.watch(view=corner)
        lab.kill("gateway-1")
        await lab.gateway("gateway-2")
        again = await lab.watch(browser.state, view=corner)
        assert again.said[0]["mode"] == "resume"
        assert set(again.state.drivers) == {1}

    lab.run(story())


def test_a_client_goes_on_at_another_gateway_with_one_diff(lab: Lab) -> None:
    async def story() -> None:
        going_on = lab.loop.create_task(lab.traffic())
        await lab.until(lambda: lab.city.batch > 0)
        await lab.gateway("gateway-1")
        browser = await lab.watch()
        await browser.cut()
        lab.kill("gateway-1")
        await lab.gateway("gateway-2")
        again = await lab.watch(browser.state)
        assert again.said[0]["mode"] == "resume"
        assert again.said[0]["gateway"] == "gateway-2"
        assert not again.cuts[0].is_image
        going_on.cancel()

    lab.run(story())


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        (Cursor("feedfeedfeedfeed", 0, 1), "epoch"),
        (Cursor(EPOCH, 10**9, 3), "ahead"),
        (Cursor(EPOCH, 0, 10**9), "ahead"),
    ],
)
def test_a_cursor_that_is_not_of_this_log_is_reset(lab: Lab, cursor: Cursor, reason: str) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        browser = lab.browse()
        browser.hello(cursor=str(cursor))
        await browser.cut()
        assert browser.said[0] == {"type": "reset", "reason": reason}
        assert browser.said[1]["mode"] == "image"
        assert browser.said[1]["reason"] == reason
        assert browser.cuts[0].is_image

    lab.run(story())


def test_a_cursor_older_than_the_window_has_expired(lab: Lab) -> None:
    async def story() -> None:
        going_on = lab.loop.create_task(lab.traffic())
        await lab.until(lambda: lab.city.batch > 0)
        await lab.gateway()
        browser = await lab.watch()
        old = browser.state
        browser.socket.close()
        await asyncio.sleep(130)
        again = await lab.watch(old)
        assert again.said[0] == {"type": "reset", "reason": "expired"}
        going_on.cancel()

    lab.run(story())


def test_a_client_ahead_of_its_gateway_is_held_until_that_has_caught_up(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        lab.fix(1)
        await lab.gateway()
        ahead = (await lab.watch()).state
        lab.broker.harshness.down = True
        lab.fix(2)
        ahead.cursor = lab.end  # as another gateway would have led it there
        browser = lab.browse(ahead)
        browser.hello()
        await asyncio.sleep(3)
        assert browser.said == []
        lab.broker.harshness.down = False
        ready = await browser.next()
        assert isinstance(ready, dict)
        assert ready["mode"] == "resume"

    lab.run(story())


def test_a_client_held_for_ten_seconds_is_sent_away(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        lab.broker.harshness.down = True
        browser = lab.browse()
        browser.hello(cursor=str(Cursor(EPOCH, 1, lab.end.ev)))
        began_s = lab.loop.now
        code, reason = await browser.closed()
        assert code == 4001
        assert 0 < int(reason) <= 1000
        assert 10.0 <= lab.loop.now - began_s < 10.5

    lab.run(story())


def test_a_cursor_from_before_the_first_view_is_held_until_the_deep_one_has_been_read(lab: Lab) -> None:
    async def story() -> None:
        going_on = lab.loop.create_task(lab.traffic())
        await lab.until(lambda: lab.city.batch > 0)
        await lab.gateway("gateway-1")
        await asyncio.sleep(100)
        browser = await lab.watch()
        browser.socket.close()
        held = browser.state
        await asyncio.sleep(100)
        lab.kill("gateway-1")
        gateway = await lab.gateway("gateway-2")
        assert held.cursor is not None
        assert gateway._shown is not None
        assert gateway._shown.awaits(held.cursor) or gateway._shown.serves(held.cursor)
        back = await lab.watch(held)
        assert [said["mode"] for said in back.said if said["type"] == "ready"] == ["resume"]
        assert any("the window is whole" in line for line in lab.spy("gateway-2").said)
        assert back.state.drivers.keys() == {1, 2, 3, 4, 5}
        going_on.cancel()

    lab.run(story())
