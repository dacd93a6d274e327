# SPDX-License-Identifier: Apache-2.0
"""A service that is configured for another city than the one on its partition does nothing, and says so."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest

from dispatcher.city_context import CityContext
from dispatcher.core import DecisionConfig
from dispatcher.settings import Settings
from dispatcher.shell import main
from simulator.streets import Streets
from taxi import messages as m
from taxi import topics
from taxi.roads.grid import grid_city
from taxi.roads.network import RoadNetwork, TripDemand
from taxi.runtime.faults import Fault, Faults
from testing.core_harness import GRID, online, request
from testing.gateway_harness import ROADS, GatewayHarness
from testing.memory_world import Spy
from testing.virtual_time import Node
from tests.unit.dispatcher.harness import DispatcherHarness
from tests.unit.simulator.harness import SimulatorHarness

CODE = "another_city"


def named(roads: RoadNetwork, name: str) -> RoadNetwork:
    return roads.named(name).prepare()


def is_reported(fault: Fault, on_log: str, own: str) -> bool:
    """Whether the fault blocks, and names both cities and the settings that are wrong."""
    wanted = (repr(on_log), repr(own), "TAXI_CITIES", "partition 0 of taxi.events")
    return fault.code == CODE and fault.blocks and all(text in fault.text for text in wanted)


@pytest.fixture
def harness() -> DispatcherHarness:
    return DispatcherHarness()


# --- dispatcher -----------------------------------------------------------------------------------------


def start_dispatcher(harness: DispatcherHarness, city: str) -> tuple[Node, Spy]:
    context = CityContext(0, named(GRID, city), DecisionConfig())
    name = f"dispatcher-of-{city}"
    node, spy, _ = harness.spawn(name, Settings(name=name), "f" * 16, partial(main, own=[context]))
    return node, spy


async def start_both(harness: DispatcherHarness) -> tuple[Spy, Spy, Faults]:
    """A dispatcher and one of another city, which the group assigns the partition, so that it has its fault.

    Members are assigned in the order of their random ids, so this may take several tries.
    """
    for _ in range(20):
        right_node, right, _ = harness.start()
        await harness.until(partial(getattr, right, "is_ready"))
        wrong_node, wrong = start_dispatcher(harness, "elsewhere")
        await asyncio.sleep(5)
        if harness.faults[-1].current:
            return right, wrong, harness.faults[-1]
        harness.loop.kill(right_node)
        harness.loop.kill(wrong_node)
    raise AssertionError("the group never assigned it the partition")


@pytest.mark.parametrize("lost", [False, True], ids=["whole", "events lost"])
def test_a_dispatcher_of_another_city_decides_nothing(harness: DispatcherHarness, lost: bool) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        harness.on_air[1] = 0
        node, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)  # the epoch's batch is closed
        harness.say(online(1))
        await harness.until(lambda: bool(harness.answers("1:online")))
        harness.loop.kill(node)
        events = harness.broker.partition(topics.EVENTS, 0)
        if lost:
            at = max(
                i for i, e in enumerate(events.entries) if b"DriverCameOnline" in (e.record.value or b"")
            )
            events.corrupt(at, at + 1)
        harness.say(request())
        _, spy = start_dispatcher(harness, "elsewhere")
        await harness.until(lambda: bool(harness.faults[-1].current))
        end = events.end
        await asyncio.sleep(120)
        assert not spy.is_ready
        assert spy.said.count("fault") == 3  # once a minute
        [fault] = harness.faults[-1].current
        assert is_reported(fault, "grid", "elsewhere")
        assert fault.about == "elsewhere"
        assert events.end == end

    harness.run(scenario)


def test_the_right_dispatcher_goes_on_after_one_of_another_city(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.loop.kill(harness.dispatchers[-1][0])
        node, _ = start_dispatcher(harness, "elsewhere")
        await harness.until(lambda: bool(harness.faults[-1].current))
        harness.loop.kill(node)
        harness.say(request())
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready and bool(harness.answers("r1:request")))
        assert harness.city().city == "grid"

    harness.run(scenario)


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_dispatcher_of_another_city_leaves_the_city_to_one_that_can_decide(seed: int) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.loop.kill(harness.dispatchers[-1][0])
        right, wrong, faults = await start_both(harness)
        harness.say(request())
        await harness.until(lambda: right.is_ready and bool(harness.answers("r1:request")))
        await asyncio.sleep(120)
        assert right.is_ready
        assert not wrong.is_ready
        assert wrong.said.count("fault") == 3  # once a minute
        [fault] = faults.current
        assert is_reported(fault, "grid", "elsewhere")

    DispatcherHarness(seed).run(scenario)


def test_a_dispatcher_takes_the_city_over_when_its_topic_was_created_again(
    harness: DispatcherHarness,
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.loop.kill(harness.dispatchers[-1][0])
        _, spy = start_dispatcher(harness, "elsewhere")
        await harness.until(lambda: bool(harness.faults[-1].current))
        for spec in topics.specs():
            harness.broker.recreate(spec.name, 0)
        await harness.until(lambda: spy.is_ready)
        assert harness.faults[-1].current == ()
        assert harness.city().city == "elsewhere"

    harness.run(scenario)


# --- simulator ------------------------------------------------------------------------------------------


def test_a_simulator_of_another_city_sends_nothing() -> None:
    harness = simulator_harness("grid")

    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        node, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        harness.loop.kill(node)
        harness.streets = simulator_streets("elsewhere")
        _, spy, _ = harness.start()
        await harness.until(lambda: bool(harness.faults[-1].current))
        commands = harness.broker.partition(topics.COMMANDS, 0)
        before = len(harness.fixes()), commands.end
        await asyncio.sleep(30)
        assert not spy.is_ready
        assert is_reported(harness.faults[-1].current[0], "grid", "elsewhere")
        assert (len(harness.fixes()), commands.end) == before

    run(harness, scenario())


def test_a_simulator_stops_when_the_log_becomes_that_of_another_city() -> None:
    """It began before the first dispatcher, so the log had no city yet."""
    harness = simulator_harness("elsewhere")

    async def scenario() -> None:
        harness.start()
        await harness.until(lambda: bool(harness.fixes()))
        harness.loop.create_task(harness.dispatch())
        await harness.until(lambda: bool(harness.faults[-1].current))
        positions = len(harness.fixes())
        await asyncio.sleep(30)
        assert is_reported(harness.faults[-1].current[0], "grid", "elsewhere")
        assert len(harness.fixes()) == positions

    run(harness, scenario())


def simulator_harness(city: str) -> SimulatorHarness:
    return SimulatorHarness(simulator_streets(city))


def simulator_streets(city: str) -> Streets:
    roads = grid_city(4, 4, name=city).prepare()
    return Streets(roads, TripDemand.uniform(roads.n_nodes))


def run(harness: SimulatorHarness, scenario: Coroutine[Any, Any, None]) -> None:
    try:
        harness.loop.run_until_complete(scenario)
        assert harness.loop.errors == []
    finally:
        harness.loop.shut_down()


# --- gateway --------------------------------------------------------------------------------------------


def test_a_gateway_of_another_city_shows_it_to_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = GatewayHarness()
    monkeypatch.setattr("testing.gateway_harness.ROADS", ROADS.named("elsewhere"))

    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        harness.fix(1)
        going_on = harness.loop.create_task(harness.traffic())
        gateway = harness.start()
        await harness.until(lambda: any(fault.code == CODE for fault in harness.faults()))
        await asyncio.sleep(10)
        [fault] = [fault for fault in harness.faults() if fault.code == CODE]
        assert is_reported(fault, "grid", "elsewhere")
        assert harness.spy().reason == fault.text
        assert gateway.city_view is None
        going_on.cancel()

    try:
        harness.run(scenario())
    finally:
        harness.loop.kill(harness.gateways["gateway-1"][2])
        harness.loop.shut_down()
