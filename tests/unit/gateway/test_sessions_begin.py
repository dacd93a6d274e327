# SPDX-License-Identifier: Apache-2.0
"""Who is let in, with real gateways in virtual time, and who is refused; what may be said then."""

import json
from functools import partial

import pytest

from gateway.updates.grid import TileGrid
from taxi import messages as m
from testing.gateway_harness import EPOCH, HERE, ROADS, THERE, Browser, GatewayHarness


def test_a_first_visit_gets_an_image_and_then_every_cut(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        harness.fix(1)
        await harness.gateway()
        browser = await harness.watch()
        assert browser.said[0] | {"session": ""} == {
            "type": "ready",
            "v": 1,
            "session": "",
            "gateway": "gateway-1",
            "mode": "image",
            "epoch": EPOCH,
            "grid": TileGrid.over(ROADS.city.bbox).to_json(),
            "cut_interval_ms": 100,
            "beat_interval_ms": 1000,
        }
        assert browser.cuts[0].is_image
        assert {row.driver: row.status for row in browser.state.drivers.values()} == {1: 1}
        harness.fix(2, THERE)
        harness.batch(partial(m.RideRequested, ride="r1", rider="x", pickup=HERE, dropoff=THERE))
        while browser.state.cursor != harness.end:
            await browser.cut()
        assert set(browser.state.drivers) == {1, 2}
        assert set(browser.state.rides) == {"r1"}
        names = [name for cut in browser.cuts for _, _, name, _ in cut.feed]
        assert names == ["RideRequested", "BatchClosed"]

    harness.run(scenario())


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
def test_a_bad_hello_is_refused_for_good(harness: GatewayHarness, hello: bytes | str, code: int) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        browser = harness.browse()
        browser.socket.send(hello)
        assert (await browser.closed())[0] == code
        assert browser.said == []

    harness.run(scenario())


def test_unknown_fields_of_a_hello_are_ignored(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        browser = await harness.watch(view=None, colour="green")
        assert browser.cuts[0].is_image

    harness.run(scenario())


def test_who_says_nothing_is_sent_away_after_five_seconds(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        began_s = harness.loop.now
        assert (await harness.browse().closed())[0] == 4008
        assert 5.0 <= harness.loop.now - began_s < 5.5

    harness.run(scenario())


@pytest.mark.parametrize(
    ("message", "code"),
    [("{}", 4008), (b"\x00", 4008), ('{"type":"hello","v":1,"city":"grid"}', 4010)],
)
def test_after_hello_there_are_views_and_mismatches_and_nothing_else(
    harness: GatewayHarness, message: bytes | str, code: int
) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        browser = await harness.watch()
        browser.socket.send(message)
        assert (await browser.closed())[0] == code

    harness.run(scenario())


def test_a_view_shows_the_drivers_of_its_tiles_and_all_rides(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.fix(1, HERE)
        harness.fix(2, THERE)
        harness.batch(partial(m.RideRequested, ride="r1", rider="x", pickup=HERE, dropoff=THERE))
        await harness.gateway()
        corner = [HERE[0], HERE[1], HERE[0], HERE[1]]
        browser = await harness.watch(view=corner)
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

    harness.run(scenario())


def test_more_clients_than_allowed_are_refused(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway(clients_max=1)
        await harness.watch()
        assert (await harness.browse().closed())[0] == 4029

    harness.run(scenario())


def test_hellos_may_be_json_of_any_spacing(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        browser = Browser(harness.browse().socket)
        browser.socket.send(json.dumps({"v": 1, "city": "grid", "type": "hello"}, indent=2))
        assert (await browser.cut()).is_image

    harness.run(scenario())
