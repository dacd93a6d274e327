# SPDX-License-Identifier: Apache-2.0
"""One gateway process that shows two cities: each client gets its own, and no city waits for the other."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.cities import CityFaults, CityHealth, Gateways, SharedFaults, SharedHealth, city_of
from gateway.http.app import CityApi, Site, build
from gateway.settings import Settings
from taxi import messages as m
from taxi import topics
from taxi.bus import Outgoing
from taxi.bus.memory.bus import MemoryBus
from taxi.messages import codec
from taxi.roads.grid import grid_city
from taxi.runtime.env import Env
from taxi.runtime.faults import Faults
from testing.gateway_harness import EPOCH, HERE, LIMITS, ROADS, THERE, Browser, GatewayHarness, Spy
from testing.virtual_sockets import SimListener
from testing.virtual_time import Node, SimTask
from tests.unit.gateway.web import client as web_client

AWAY, PROTOCOL, BAD_HELLO, UNKNOWN_CITY = 4001, 4008, 4400, 4404
CITIES = {"TAXI_CITIES": "grid=manhattan,mesh=manhattan", "TAXI_SHOWN_CITIES": "grid,mesh"}


class TwoCities(GatewayHarness):
    """The harness's city on partition 0, and a city `mesh` on partition 1."""

    def __init__(self) -> None:
        super().__init__()
        self.broker.partitions.clear()
        for spec in topics.specs():
            self.broker.create_topic(spec.name, partitions=2)
        self.batches = 0
        self.task: SimTask

    def show_both(self) -> tuple[Gateways, Spy]:
        """A process that shows both cities, started."""
        node, spy, rng = Node("gateway-1"), Spy(), random.Random(3)
        listener = self.sockets.listeners["gateway-1"] = SimListener(node)
        env = Env(
            settings=Settings.from_env(CITIES),
            bus=MemoryBus(self.broker, world=self.loop, rng=rng, limits=LIMITS),
            now_ms=self.now_ms,
            random=rng,
            new_id=lambda: f"{rng.getrandbits(64):016x}",
            log=spy,
            metrics=spy,
            health=spy,
            listener=listener,
        )
        gateways = Gateways(env, {"grid": ROADS, "mesh": grid_city(4, 4, name="mesh")})
        self.task = self.loop.spawn(node, gateways.run())
        self.node = node
        return gateways, spy

    def mesh_fix(self, driver: int) -> None:
        fix = m.Fix(driver=driver, at_ms=self.now_ms(), lng=THERE[0], lat=THERE[1])
        self._mesh(topics.LOCATIONS, fix)

    def mesh_batch(self) -> None:
        """An empty batch of the second city."""
        self.batches += 1
        shared: dict[str, Any] = {"batch": self.batches, "at_ms": self.now_ms()}
        locations = self.broker.partition(topics.LOCATIONS, 1).end
        events: list[m.AnyEvent] = []
        if self.batches == 1:
            events.append(m.EpochStarted(**shared, epoch=EPOCH[::-1], city="mesh", reason="birth"))
        events.append(
            m.BatchClosed(**shared, count=len(events) + 1, commands_offset=0, locations_offset=locations)
        )
        self._mesh(topics.EVENTS, *events)

    def _mesh(self, topic: str, *messages: m.Fix | m.AnyEvent) -> None:
        records = [Outgoing(b"", codec.encode(message)) for message in messages]
        self.broker.partition(topic, 1).append(records, self.now_ms())


@pytest.fixture
def harness() -> Iterator[TwoCities]:
    harness = TwoCities()
    yield harness
    harness.loop.kill(harness.node)
    harness.loop.shut_down()


def connect(harness: TwoCities) -> Browser:
    socket = harness.sockets.connect(harness.loop.root)
    assert socket is not None, "refused"
    return Browser(socket)


def test_each_client_sees_the_city_that_it_asked_for(harness: TwoCities) -> None:
    async def scenario() -> None:
        harness.fix(1)
        harness.batch()
        for driver in (7, 8):
            harness.mesh_fix(driver)
        harness.mesh_batch()
        _, spy = harness.show_both()
        await harness.until(lambda: spy.reason is None)
        seen = {}
        for city in ("grid", "mesh"):
            browser = connect(harness)
            browser.hello(city=city)
            await browser.cut()
            seen[city] = set(browser.state.drivers)
            assert browser.said[0]["type"] == "ready"
            assert browser.said[0]["epoch"] == {"grid": EPOCH, "mesh": EPOCH[::-1]}[city]
        assert seen == {"grid": {1}, "mesh": {7, 8}}
        harness.fix(1)
        harness.mesh_fix(7)
        await harness.until(lambda: spy.counts.get("gateway_drivers mesh") == 2)
        await harness.until(lambda: spy.counts.get("gateway_drivers grid") == 1)

    harness.run(scenario())


def test_a_city_that_is_not_ready_holds_no_other_one_up(harness: TwoCities) -> None:
    async def scenario() -> None:
        harness.fix(1)
        harness.batch()
        _, spy = harness.show_both()  # nothing is on the log of the second city yet
        await harness.until(lambda: harness.sockets.listeners["gateway-1"].is_open)
        grid = connect(harness)
        grid.hello(city="grid")
        await grid.cut()
        assert spy.reason is not None
        assert spy.reason.startswith("mesh: ")
        early = connect(harness)
        early.hello(city="mesh")
        code, wait_ms = await early.closed()
        assert code == AWAY
        assert int(wait_ms) > 0
        harness.mesh_fix(7)
        harness.mesh_batch()
        await harness.until(lambda: spy.reason is None)
        late = connect(harness)
        late.hello(city="mesh")
        await late.cut()
        assert set(late.state.drivers) == {7}

    harness.run(scenario())


def test_first_messages_are_refused_as_by_a_gateway_of_one_city(harness: TwoCities) -> None:
    async def scenario() -> None:
        harness.batch()
        harness.mesh_batch()
        _, spy = harness.show_both()
        await harness.until(lambda: spy.reason is None)
        stranger = connect(harness)
        stranger.hello(city="atlantis")
        assert (await stranger.closed())[0] == UNKNOWN_CITY
        for message in ("nonsense", "{}", b"\0", '{"type":"hello","v":1,"city":7}', "[" * 500):
            browser = connect(harness)
            browser.socket.send(message)
            assert (await browser.closed())[0] == BAD_HELLO
        silent = connect(harness)
        assert await silent.closed() == (PROTOCOL, "no hello within 5 s")

    harness.run(scenario())


def test_the_clients_of_all_cities_are_moved_away_at_the_end(harness: TwoCities) -> None:
    async def scenario() -> None:
        harness.batch()
        harness.mesh_batch()
        _, spy = harness.show_both()
        await harness.until(lambda: spy.reason is None)
        browsers = [connect(harness) for _ in range(2)]
        for browser, city in zip(browsers, ("grid", "mesh"), strict=True):
            browser.hello(city=city)
            await browser.cut()
        harness.task.cancel()
        for browser in browsers:
            await browser.closed()
            assert "drain" in [said["type"] for said in browser.said]
        assert harness.sockets.connect(harness.loop.root) is None

    harness.run(scenario())


def test_requests_over_http_are_about_the_city_that_they_name(harness: TwoCities) -> None:
    async def scenario() -> None:
        harness.fix(1)
        harness.batch()
        harness.mesh_batch()
        gateways, spy = harness.show_both()
        await harness.until(lambda: spy.reason is None)
        apis = {
            name: CityApi(each.ride_service, each.route_service, each.guard)
            for name, each in gateways.by_city.items()
        }
        site = Site(cities=apis, pid=1, parts_dir=None, now_ms=harness.now_ms, beside=())
        ride = {"ride": "r-1", "pickup": HERE, "dropoff": THERE}
        async with web_client(build(site)) as web:
            for query, city, drivers in (
                ("", "grid", 1),
                ("?city=grid", "grid", 1),
                ("?city=mesh", "mesh", 0),
            ):
                status = (await web.get(f"/api/status{query}")).json()
                assert (status["city"], status["drivers"]["total"]) == (city, drivers)
                assert status["cities"] == ["grid", "mesh"]
            assert (await web.post("/api/rides?city=mesh", json=ride)).status_code == 202
            for answer in (
                await web.get("/api/status?city=atlantis"),
                await web.post("/api/rides?city=", json=ride),
                await web.delete("/api/rides/r-1?city=atlantis"),
            ):
                assert answer.status_code == 404
                assert "grid, mesh" in answer.json()["detail"]
        ends = [harness.broker.partition(topics.COMMANDS, n).end for n in (0, 1)]
        assert ends == [0, 1]

    harness.run(scenario())


# --- parts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "city"),
    [
        ('{"type":"hello","city":"oslo"}', "oslo"),
        ('{"city":null}', None),
        ("{}", ""),
        (b'{"city":"oslo"}', None),
        ("[" * 100, None),
        ('{"city":"\ud800"}', None),
    ],
)
def test_the_city_of_a_first_message_is_read_or_unknown(message: bytes | str, city: str | None) -> None:
    assert city_of(message) == city


async def test_a_city_sees_its_own_faults_and_those_of_the_process() -> None:
    faults = Faults()
    shared = SharedFaults(faults)
    one, two = CityFaults(shared, "one"), CityFaults(shared, "two")
    faults.report("topics_missing", "all", about="taxi.events")
    one.report("events_gap", "mine", blocks=True)
    two.report("events_held_back", "theirs", about="taxi.events")
    one.report("events_held_back", "mine, too", about="taxi.events")
    assert {fault.text for fault in one.current} == {"all", "mine", "mine, too"}
    assert {fault.text for fault in two.current} == {"all", "theirs"}
    assert faults.blocking == "mine"
    two.clear("events_gap")
    assert faults.blocking == "mine"
    one.clear("events_gap")
    one.clear("events_held_back", about="taxi.events")
    assert {fault.text for fault in faults.current} == {"all", "theirs"}


def test_a_process_is_ready_when_all_of_its_cities_are() -> None:
    spy = Spy()
    shared = SharedHealth(spy, ("one", "two"))
    one, two = CityHealth(shared, "one"), CityHealth(shared, "two")
    reasons = []
    for change in (one.ready, two.ready, lambda: one.not_ready("no broker"), one.ready):
        change()
        reasons.append(spy.reason)
    assert reasons == ["two: starting", None, "one: no broker", None]


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("rome", "holds no 'rome'"),
        ("grid,grid", "there twice"),
        ("grid,", "holds no ''"),
        (",", "there twice"),
    ],
)
def test_shown_cities_are_some_of_the_logs(shown: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^TAXI_SHOWN_CITIES=.*{said}"):
        Settings.from_env(CITIES | {"TAXI_SHOWN_CITIES": shown})


def test_a_gateway_needs_the_partitions_of_the_cities_that_it_shows() -> None:
    assert Settings.from_env(CITIES).partitions() == 2
    assert Settings.from_env(CITIES | {"TAXI_SHOWN_CITIES": ""}).partitions() == 1
    assert [city.name for city in Settings.from_env(CITIES | {"TAXI_SHOWN_CITIES": "mesh"}).shown()] == [
        "mesh"
    ]
