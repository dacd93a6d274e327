# SPDX-License-Identifier: Apache-2.0
"""Every way in which a session can begin and end, with real gateways in virtual time."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from gateway.city.grid import Grid
from taxi import messages as m
from taxi import topics
from taxi.city import EVENTS_LOST
from taxi.cursor import Cursor
from tests.simulation.loop import State
from tests.unit.gateway.lab import EPOCH, HERE, ROADS, THERE, Browser, Lab

# --- beginning ------------------------------------------------------------------------------------------


def test_a_first_visit_gets_an_image_and_then_every_cut(lab: Lab) -> None:
    async def story() -> None:
        lab.batch(partial(m.DriverCameOnline, driver=1))
        lab.fix(1)
        await lab.gateway()
        browser = await lab.watch()
        assert browser.said[0] | {"session": ""} == {
            "type": "ready",
            "v": 1,
            "session": "",
            "gateway": "gateway-1",
            "mode": "image",
            "epoch": EPOCH,
            "grid": Grid.over(ROADS.city.bbox).told(),
            "cut_interval_ms": 100,
            "beat_interval_ms": 1000,
        }
        assert browser.cuts[0].is_image
        assert {row.driver: row.status for row in browser.state.drivers.values()} == {1: 1}
        lab.fix(2, THERE)
        lab.batch(partial(m.RideRequested, ride="r1", rider="x", pickup=HERE, dropoff=THERE))
        while browser.state.cursor != lab.end:
            await browser.cut()
        assert set(browser.state.drivers) == {1, 2}
        assert set(browser.state.rides) == {"r1"}
        names = [name for cut in browser.cuts for _, _, name, _ in cut.feed]
        assert names == ["RideRequested", "BatchClosed"]

    lab.run(story())


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


REFUSED = [
    (b"binary", 4400),
    ("", 4400),
    ("not json", 4400),
    ("[]", 4400),
    ('{"type":"hello"}', 4400),
    ('{"type":"hi","v":1,"city":"grid"}', 4400),
    ('{"type":"hello","v":"1","city":"grid"}', 4400),
    ('{"type":"hello","v":true,"city":"grid"}', 4400),
    ('{"type":"hello","v":NaN,"city":"grid"}', 4400),
    ('{"type":"hello","v":1,"city":7}', 4400),
    ('{"type":"hello","v":1,"city":"grid","cursor":7}', 4400),
    ('{"type":"hello","v":1,"city":"grid","cursor":"nonsense"}', 4400),
    ('{"type":"hello","v":1,"city":"grid","cursor":"0123456789abcdef:-1:0"}', 4400),
    ('{"type":"hello","v":1,"city":"grid","cursor":"0123456789abcdef:99999999999999999999:0"}', 4400),
    ('{"type":"hello","v":1,"city":"grid","pad":"' + "x" * 5000 + '"}', 4400),
    ("[" * 4000, 4400),
    ("\ud800", 4400),
    ('{"type":"hello","v":2,"something":"else"}', 4426),
    ('{"type":"hello","v":1,"city":"atlantis"}', 4404),
    ('{"type":"hello","v":1,"city":"grid","view":[0,0,1]}', 4400),
    ('{"type":"hello","v":1,"city":"grid","view":[1,0,0,1]}', 4400),
    ('{"type":"view","generation":1,"bbox":null}', 4010),
]


@pytest.mark.parametrize(("hello", "code"), REFUSED)
def test_a_bad_hello_is_refused_for_good(lab: Lab, hello: bytes | str, code: int) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        browser = lab.browse()
        browser.socket.send(hello)
        assert (await browser.closed())[0] == code
        assert browser.said == []

    lab.run(story())


def test_unknown_fields_of_a_hello_are_ignored(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        browser = await lab.watch(view=None, colour="green")
        assert browser.cuts[0].is_image

    lab.run(story())


def test_who_says_nothing_is_sent_away_after_five_seconds(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        began_s = lab.loop.now
        assert (await lab.browse().closed())[0] == 4008
        assert 5.0 <= lab.loop.now - began_s < 5.5

    lab.run(story())


@pytest.mark.parametrize(
    ("message", "code"),
    [("{}", 4008), (b"\x00", 4008), ('{"type":"hello","v":1,"city":"grid"}', 4010)],
)
def test_after_hello_there_are_views_and_mismatches_and_nothing_else(
    lab: Lab, message: bytes | str, code: int
) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        browser = await lab.watch()
        browser.socket.send(message)
        assert (await browser.closed())[0] == code

    lab.run(story())


def test_a_view_shows_the_drivers_of_its_tiles_and_all_rides(lab: Lab) -> None:
    async def story() -> None:
        lab.fix(1, HERE)
        lab.fix(2, THERE)
        lab.batch(partial(m.RideRequested, ride="r1", rider="x", pickup=HERE, dropoff=THERE))
        await lab.gateway()
        corner = [HERE[0], HERE[1], HERE[0], HERE[1]]
        browser = await lab.watch(view=corner)
        assert (set(browser.state.drivers), set(browser.state.rides)) == ({1}, {"r1"})
        browser.socket.send(json.dumps({"type": "view", "generation": 5, "bbox": None}))
        while not (cut := await browser.cut()).generation:
            pass
        assert (cut.generation, cut.is_image) == (5, False)
        assert set(browser.state.drivers) == {1, 2}
        browser.socket.send(json.dumps({"type": "view", "generation": 6, "bbox": corner}))
        while not (cut := await browser.cut()).generation:
            pass
        assert set(browser.state.drivers) == {1}

    lab.run(story())


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


def test_more_clients_than_allowed_are_told_so(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway(clients_max=1)
        await lab.watch()
        assert (await lab.browse().closed())[0] == 4029

    lab.run(story())


# --- going on --------------------------------------------------------------------------------------------


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


# --- staying ---------------------------------------------------------------------------------------------


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


# --- bad records ----------------------------------------------------------------------------------------


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


# --- where reading begins ------------------------------------------------------------------------------


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


def test_hellos_may_be_json_of_any_spacing(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        browser = Browser(lab.browse().socket)
        browser.socket.send(json.dumps({"v": 1, "city": "grid", "type": "hello"}, indent=2))
        assert (await browser.cut()).is_image

    lab.run(story())
