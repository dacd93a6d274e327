# SPDX-License-Identifier: Apache-2.0
"""What a session outlives, what resets it and what ends it; with real gateways in virtual time."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from taxi import messages as m
from taxi import topics
from testing.gateway_harness import GatewayHarness
from testing.virtual_time import State


def test_a_wrong_source_is_reported_and_heals(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.fix(1)
        harness.batch()
        await harness.gateway()
        browser = await harness.watch()
        cursor, lanes = str(browser.state.cursor), [1, 2]
        del browser.state.drivers[1]
        wrong = {"type": "mismatch", "cursor": cursor, "own": lanes, "received": list(browser.cuts[-1].hash)}
        browser.socket.send(json.dumps(wrong))
        while not browser.state.drivers:
            await browser.cut()
        assert [said["type"] for said in browser.said] == ["ready", "reset", "ready"]
        assert browser.said[1]["reason"] == browser.said[2]["reason"] == "mismatch"
        [line] = [line for line in harness.spy().said if "picture is wrong" in line]
        assert line.count(cursor) == 2

    harness.run(scenario())


def test_a_log_that_does_not_move_still_beats_and_is_called_stale(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        browser = await harness.watch()
        seen_s, stale_s = harness.loop.now, None
        began_s = seen_s
        while harness.loop.now < began_s + 12:
            cut = await browser.cut()
            assert harness.loop.now - seen_s <= 1.2  # the network takes a tenth now and then
            seen_s = harness.loop.now
            if cut.is_stale and stale_s is None:
                stale_s = harness.loop.now - began_s
        assert stale_s is not None
        assert 4 < stale_s < 6
        assert all(cut.drivers == () and cut.loc == cut.loc_before for cut in browser.cuts[1:])
        harness.fix(1)
        while not browser.state.drivers:
            cut = await browser.cut()
        assert not cut.is_stale

    harness.run(scenario())


def test_a_reader_that_stops_gets_one_diff_and_costs_no_other_anything(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        going_on = harness.loop.create_task(harness.traffic(drivers=400))
        await harness.until(lambda: harness.city.batch > 0)
        await harness.gateway()
        slow, quick = await harness.watch(), await harness.watch()
        began_s = harness.loop.now
        while harness.loop.now < began_s + 15:
            await quick.cut()
        assert harness.spy().counts["gateway_skipped_total"] > 50
        going_on.cancel()
        for browser in (slow, quick):
            while browser.state.cursor != harness.end:
                await browser.cut()
        assert len(slow.cuts) < 20 < len(quick.cuts)
        assert slow.state.drivers == quick.state.drivers

    harness.run(scenario())


def test_a_reader_that_never_comes_back_is_closed_after_thirty_seconds(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        going_on = harness.loop.create_task(harness.traffic(drivers=1_500))
        await harness.until(lambda: harness.city.batch > 0)
        gateway = await harness.gateway()
        dead, quick = await harness.watch(), await harness.watch()
        began_s = harness.loop.now
        while len(gateway.hub.clients) == 2:
            await quick.cut()
        assert 29 < harness.loop.now - began_s < 35
        assert (await dead.closed())[0] == 4002
        going_on.cancel()

    harness.run(scenario())


def test_connections_outlive_the_broker(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        browser = await harness.watch()
        harness.broker.harshness.down = True
        while harness.spy().reason != "no broker":
            await browser.cut()
        harness.broker.harshness.down = False
        harness.fix(1)
        while not browser.state.drivers:
            await browser.cut()
        await harness.until(lambda: harness.spy().reason is None)
        assert browser.socket.closed is None

    harness.run(scenario())


def test_another_epoch_resets_everyone_to_its_image(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        harness.fix(1)
        await harness.gateway()
        browser = await harness.watch()
        harness.batch(epoch="fedcba9876543210")
        while not browser.cuts[-1].is_image or len(browser.said) < 3:
            await browser.cut()
        assert [said["type"] for said in browser.said] == ["ready", "reset", "ready"]
        assert browser.said[1]["reason"] == "epoch"
        assert browser.state.cursor is not None
        assert browser.state.cursor.epoch == "fedcba9876543210"
        assert set(browser.state.drivers) == {1}

    harness.run(scenario())


def test_a_log_that_was_cut_short_resets_everyone(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        for driver in range(1, 4):
            harness.fix(driver)
        await harness.gateway()
        browser = await harness.watch()
        assert len(browser.state.drivers) == 3
        del harness.broker.partition(topics.LOCATIONS, 0).entries[1:]
        while len(browser.state.drivers) == 3:
            await browser.cut()
        assert {"type": "reset", "reason": "ahead"} in browser.said
        assert set(browser.state.drivers) == {1}

    harness.run(scenario())


def test_a_gateway_that_is_stopped_sends_its_clients_elsewhere(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway("gateway-1", drain_per_s=4)
        browsers = [await harness.watch() for _ in range(4)]
        harness.tasks["gateway-1"].cancel()
        ends = await asyncio.gather(*(browser.closed() for browser in browsers))
        assert {code for code, _ in ends} == {4001}
        assert all(100 <= int(reason) <= 1000 for _, reason in ends)
        assert all(browser.said[-1]["type"] == "drain" for browser in browsers)
        assert not harness.sockets.listeners["gateway-1"].is_open
        assert harness.spy().reason == "draining"
        await harness.until(harness.tasks["gateway-1"].done)

    harness.run(scenario())


def test_who_is_not_ready_when_a_gateway_stops_is_only_sent_away(harness: GatewayHarness) -> None:
    """`ready` is the first thing that a client may be sent."""

    async def scenario() -> None:
        harness.batch()
        gateway = await harness.gateway("gateway-1", drain_per_s=4)
        silent = harness.browse()
        await harness.until(lambda: len(gateway.hub.clients) == 1)
        harness.tasks["gateway-1"].cancel()
        code, _ = await silent.closed()
        assert code == 4001
        assert silent.said == []

    harness.run(scenario())


class BrokenError(Exception):
    pass


def test_a_bug_on_one_connection_ends_that_one_alone(
    harness: GatewayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        good, bad = await harness.watch(), harness.browse()

        async def receive(*_: Any) -> None:
            raise BrokenError

        monkeypatch.setattr(bad.socket.other, "receive", receive)
        code, _ = await bad.closed()
        assert code == 1011
        assert any("a session ended by a bug" in line for line in harness.spy().said)
        await good.cut()

    harness.run(scenario())


def test_a_process_that_stood_still_goes_on_where_it_was(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        going_on = harness.loop.create_task(harness.traffic())
        await harness.until(lambda: harness.city.batch > 0)
        gateway = await harness.gateway()
        browser = await harness.watch()
        node = harness.gateways["gateway-1"][2]
        harness.loop.freeze(node)
        await asyncio.sleep(100)
        assert node.state is State.FROZEN
        harness.loop.thaw(node)
        while browser.state.cursor != harness.end:
            await browser.cut()
        assert browser.said[1:] == []
        assert gateway.hub.clients
        going_on.cancel()

    harness.run(scenario())
