# SPDX-License-Identifier: Apache-2.0
"""What a session outlives, what resets it and what ends it; with real gateways in virtual time."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from taxi import messages as m
from taxi import topics
from tests.simulation.loop import State
from tests.unit.gateway.lab import Lab


def test_a_wrong_picture_is_reported_and_heals(lab: Lab) -> None:
    async def story() -> None:
        lab.fix(1)
        lab.batch()
        await lab.gateway()
        browser = await lab.watch()
        cursor, lanes = str(browser.state.cursor), [1, 2]
        del browser.state.drivers[1]
        wrong = {"type": "mismatch", "cursor": cursor, "own": lanes, "told": list(browser.cuts[-1].hash)}
        browser.socket.send(json.dumps(wrong))
        while not browser.state.drivers:
            await browser.cut()
        assert [said["type"] for said in browser.said] == ["ready", "reset", "ready"]
        assert browser.said[1]["reason"] == browser.said[2]["reason"] == "mismatch"
        [line] = [line for line in lab.spy().said if "picture is wrong" in line]
        assert line.count(cursor) == 2

    lab.run(story())


def test_a_log_that_stands_still_still_beats_and_is_called_stale(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        browser = await lab.watch()
        seen_s, stale_s = lab.loop.now, None
        began_s = seen_s
        while lab.loop.now < began_s + 12:
            cut = await browser.cut()
            assert lab.loop.now - seen_s <= 1.2  # the network takes a tenth now and then
            seen_s = lab.loop.now
            if cut.is_stale and stale_s is None:
                stale_s = lab.loop.now - began_s
        assert stale_s is not None
        assert 4 < stale_s < 6
        assert all(cut.drivers == () and cut.loc == cut.loc_before for cut in browser.cuts[1:])
        lab.fix(1)
        while not browser.state.drivers:
            cut = await browser.cut()
        assert not cut.is_stale

    lab.run(story())


def test_a_reader_that_stops_gets_one_diff_and_costs_nobody_anything(lab: Lab) -> None:
    async def story() -> None:
        going_on = lab.loop.create_task(lab.traffic(drivers=400))
        await lab.until(lambda: lab.city.batch > 0)
        await lab.gateway()
        slow, quick = await lab.watch(), await lab.watch()
        began_s = lab.loop.now
        while lab.loop.now < began_s + 15:
            await quick.cut()
        assert lab.spy().counts["gateway_skipped_total"] > 50
        going_on.cancel()
        for browser in (slow, quick):
            while browser.state.cursor != lab.end:
                await browser.cut()
        assert len(slow.cuts) < 20 < len(quick.cuts)
        assert slow.state.drivers == quick.state.drivers

    lab.run(story())


def test_a_reader_that_never_comes_back_is_closed_after_thirty_seconds(lab: Lab) -> None:
    async def story() -> None:
        going_on = lab.loop.create_task(lab.traffic(drivers=1_500))
        await lab.until(lambda: lab.city.batch > 0)
        gateway = await lab.gateway()
        dead, quick = await lab.watch(), await lab.watch()
        began_s = lab.loop.now
        while len(gateway.hub.clients) == 2:
            await quick.cut()
        assert 29 < lab.loop.now - began_s < 35
        assert (await dead.closed())[0] == 4002
        going_on.cancel()

    lab.run(story())


def test_connections_outlive_the_broker(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        browser = await lab.watch()
        lab.broker.harshness.down = True
        while lab.spy().reason != "no broker":
            await browser.cut()
        lab.broker.harshness.down = False
        lab.fix(1)
        while not browser.state.drivers:
            await browser.cut()
        await lab.until(lambda: lab.spy().reason is None)
        assert browser.socket.closed is None

    lab.run(story())


def test_another_epoch_resets_everyone_to_its_image(lab: Lab) -> None:
    async def story() -> None:
        lab.batch(partial(m.DriverCameOnline, driver=1))
        lab.fix(1)
        await lab.gateway()
        browser = await lab.watch()
        lab.batch(epoch="fedcba9876543210")
        while not browser.cuts[-1].is_image or len(browser.said) < 3:
            await browser.cut()
        assert [said["type"] for said in browser.said] == ["ready", "reset", "ready"]
        assert browser.said[1]["reason"] == "epoch"
        assert browser.state.cursor is not None
        assert browser.state.cursor.epoch == "fedcba9876543210"
        assert set(browser.state.drivers) == {1}

    lab.run(story())


def test_a_log_that_was_cut_short_resets_everyone(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        for driver in range(1, 4):
            lab.fix(driver)
        await lab.gateway()
        browser = await lab.watch()
        assert len(browser.state.drivers) == 3
        del lab.broker.partition(topics.LOCATIONS, 0).entries[1:]
        while len(browser.state.drivers) == 3:
            await browser.cut()
        assert {"type": "reset", "reason": "ahead"} in browser.said
        assert set(browser.state.drivers) == {1}

    lab.run(story())


def test_a_gateway_that_is_stopped_sends_its_clients_elsewhere(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway("gateway-1", drain_per_s=4)
        browsers = [await lab.watch() for _ in range(4)]
        lab.tasks["gateway-1"].cancel()
        ends = await asyncio.gather(*(browser.closed() for browser in browsers))
        assert {code for code, _ in ends} == {4001}
        assert all(100 <= int(reason) <= 1000 for _, reason in ends)
        assert all(browser.said[-1]["type"] == "drain" for browser in browsers)
        assert not lab.sockets.listeners["gateway-1"].is_open
        assert lab.spy().reason == "draining"
        await lab.until(lab.tasks["gateway-1"].done)

    lab.run(story())


def test_who_is_not_ready_when_a_gateway_stops_is_only_sent_away(lab: Lab) -> None:
    """`ready` is the first thing that a client may be told."""

    async def story() -> None:
        lab.batch()
        gateway = await lab.gateway("gateway-1", drain_per_s=4)
        silent = lab.browse()
        await lab.until(lambda: len(gateway.hub.clients) == 1)
        lab.tasks["gateway-1"].cancel()
        code, _ = await silent.closed()
        assert code == 4001
        assert silent.said == []

    lab.run(story())


class BrokenError(Exception):
    pass


def test_a_bug_on_one_connection_ends_that_one_alone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        good, bad = await lab.watch(), lab.browse()

        async def receive(*_: Any) -> None:
            raise BrokenError

        monkeypatch.setattr(bad.socket.other, "receive", receive)
        code, _ = await bad.closed()
        assert code == 1011
        assert any("a session ended by a bug" in line for line in lab.spy().said)
        await good.cut()

    lab.run(story())


def test_a_process_that_stood_still_goes_on_where_it_was(lab: Lab) -> None:
    async def story() -> None:
        going_on = lab.loop.create_task(lab.traffic())
        await lab.until(lambda: lab.city.batch > 0)
        gateway = await lab.gateway()
        browser = await lab.watch()
        node = lab.gateways["gateway-1"][2]
        lab.loop.freeze(node)
        await asyncio.sleep(100)
        assert node.state is State.FROZEN
        lab.loop.thaw(node)
        while browser.state.cursor != lab.end:
            await browser.cut()
        assert browser.said[1:] == []
        assert gateway.hub.clients
        going_on.cancel()

    lab.run(story())
