# SPDX-License-Identifier: Apache-2.0
"""The shell publishes, listens, waits out a broker, and goes on after kill -9 as if nothing had happened."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from simulator.streets import Streets
from taxi import topics
from taxi.bus import Outgoing
from taxi.bus.memory.log import Fate
from taxi.messages import Fix, GoOnline, RequestRide, TripCompleted
from testing.foreign import hold_open
from tests.unit.simulator.harness import SimulatorHarness

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def harness(grid: Streets) -> Iterator[SimulatorHarness]:
    harness = SimulatorHarness(grid)
    yield harness
    harness.loop.shut_down()


def run(harness: SimulatorHarness, scenario: Coroutine[Any, Any, None]) -> None:
    harness.loop.run_until_complete(scenario)
    assert harness.loop.errors == []


def steps(fixes: list[Fix]) -> Iterator[tuple[Fix, Fix]]:
    """Each driver's consecutive fixes."""
    last: dict[int, Fix] = {}
    for fix in fixes:
        if fix.driver in last:
            yield last[fix.driver], fix
        last[fix.driver] = fix


def apart_m(streets: Streets, one: Fix, other: Fix) -> float:
    here, there = streets.roads.plane.metres([(one.lng, one.lat), (other.lng, other.lat)])
    return float(((here - there) ** 2).sum() ** 0.5)


def test_each_driver_is_seen_once_a_second_in_turns(harness: SimulatorHarness) -> None:
    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        began_ms = harness.now_ms()
        await harness.until(lambda: harness.now_ms() > began_ms + 10_000)
        fixes = [fix for fix in harness.fixes() if fix.at_ms > began_ms]
        for before, after in steps(fixes):
            assert 900 <= after.at_ms - before.at_ms <= 1300
            assert apart_m(harness.streets, before, after) < 30
        assert len({fix.at_ms for fix in fixes}) > 60
        assert {fix.driver for fix in fixes} == set(range(1, 9))

    run(harness, scenario())


def test_a_city_comes_to_life_and_rides_end(harness: SimulatorHarness) -> None:
    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        _, spy, task = harness.start()
        await harness.until(lambda: harness.dispatcher.state.totals.completed >= 8, within_s=1200)
        assert spy.is_ready
        assert not task.done()
        assert spy.counts["simulator_commands_given_up"] == 0

    run(harness, scenario())


def test_it_is_not_ready_before_its_drivers_are_online(harness: SimulatorHarness) -> None:
    async def scenario() -> None:
        _, spy, _ = harness.start()
        await harness.until(lambda: len(harness.fixes()) > 100)
        assert not spy.is_ready
        harness.loop.create_task(harness.dispatch())
        await harness.until(lambda: spy.is_ready)

    run(harness, scenario())


def test_a_broker_that_goes_away_stops_the_city_and_not_the_simulator(harness: SimulatorHarness) -> None:
    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        _, spy, task = harness.start()
        await harness.until(lambda: spy.is_ready)
        harness.broker.harshness.down = True
        await harness.until(lambda: not spy.is_ready)
        harness.broker.harshness.down = False
        await harness.until(lambda: spy.is_ready)
        assert not task.done()
        assert max(apart_m(harness.streets, *pair) for pair in steps(harness.fixes())) < 60

    run(harness, scenario())


def test_after_kill_nine_it_goes_on_where_it_was_and_doubles_nothing(harness: SimulatorHarness) -> None:
    async def life(away_s: float) -> None:
        """From a start to a few rides later; then killed, and away for a while."""
        last, seen = {fix.driver: fix for fix in harness.fixes()}, len(harness.fixes())
        node, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        first = {fix.driver: fix for fix in reversed(harness.fixes()[seen:])}
        assert all(apart_m(harness.streets, fix, first[driver]) < 30 for driver, fix in last.items())
        completed = harness.dispatcher.state.totals.completed
        await harness.until(lambda: harness.dispatcher.state.totals.completed > completed + 1, within_s=900)
        harness.loop.kill(node)
        await harness.sleep_until(harness.loop.now + away_s)

    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        for away_s in (0.0, 3.0, 30.0, 0.1):
            await life(away_s)
        assert len([c for c in harness.heard if isinstance(c, GoOnline)]) == 8
        asked: dict[str, RequestRide] = {}
        for command in harness.heard:
            if isinstance(command, RequestRide):
                assert asked.setdefault(command.command_id, command) == command

    run(harness, scenario())


def requests_in(harness: SimulatorHarness, *, lives: int, life_s: float) -> set[str]:
    """The rides that were asked for in so many lives, one right after the other."""

    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        for life in range(1, lives + 1):
            node, _, _ = harness.start()
            await harness.sleep_until(life * life_s)
            harness.loop.kill(node)
        await harness.sleep_until(lives * life_s + 2)

    run(harness, scenario())
    return {c.ride for c in harness.heard if isinstance(c, RequestRide)}


def test_restarts_change_nothing_about_who_wants_to_go_where(grid: Streets) -> None:
    calm, restless = SimulatorHarness(grid, load=50.0), SimulatorHarness(grid, load=50.0)
    asked = requests_in(calm, lives=1, life_s=60)
    again = requests_in(restless, lives=8, life_s=7.5)
    calm.loop.shut_down()
    restless.loop.shut_down()
    assert len(asked) > 10
    # The last tenths of a second may die unsent with either.
    assert len(asked ^ again) <= 1


def test_unreadable_records_are_counted_and_passed_over(harness: SimulatorHarness) -> None:
    async def scenario() -> None:
        producer = await harness.bus("vandal").producer()
        rubbish = [Outgoing(None, b"\xff"), Outgoing(None, b'{"type":"Nonsense"}'), Outgoing(None, None)]
        for topic in (topics.EVENTS, topics.LOCATIONS):
            await producer.send(topic, 0, rubbish)
        harness.loop.create_task(harness.dispatch())
        _, spy, task = harness.start()
        await harness.until(lambda: spy.is_ready)
        await producer.send(topics.EVENTS, 0, rubbish)
        await harness.until(lambda: spy.counts.get("simulator_undecodable_total", 0) >= 9)
        completed = harness.dispatcher.state.totals.completed
        await harness.until(lambda: harness.dispatcher.state.totals.completed > completed, within_s=900)
        assert not task.done()

    run(harness, scenario())


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_harsh_network_costs_time_and_no_ride(grid: Streets, seed: int) -> None:
    print(f"seed {seed}")
    harness = SimulatorHarness(grid, seed)
    harshness = harness.broker.harshness
    harshness.latency_s, harshness.cut_fetches, harshness.loss = 0.01, 0.3, 0.02

    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        for life in (1, 2, 3):
            node, _, _ = harness.start()
            await harness.sleep_until(47.3 * life)
            harness.loop.kill(node)
        harness.start()
        asked = {c.ride for c in harness.heard if isinstance(c, RequestRide)}
        assert len(asked) >= 2
        await harness.until(lambda: completed(harness) >= asked, within_s=1500)

    run(harness, scenario())
    harness.loop.shut_down()


def completed(harness: SimulatorHarness) -> set[str]:
    return {event.ride for event in harness.dispatcher.history if isinstance(event, TripCompleted)}


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_events_that_are_held_back_are_a_fault_and_cars_go_on(
    harness: SimulatorHarness, restarted: bool
) -> None:
    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        node, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        end = hold_open(harness.broker, topics.EVENTS)
        if restarted:
            harness.loop.kill(node)
            harness.start()
        await harness.until(lambda: bool(harness.faults[-1].current))
        [fault] = harness.faults[-1].current
        assert (fault.code, fault.blocks) == ("events_held_back", True)
        seen = len(harness.fixes())
        await harness.until(lambda: len(harness.fixes()) > seen + 20)
        end(Fate.ABORTED)
        await harness.until(lambda: not harness.faults[-1].current)

    run(harness, scenario())


def test_positions_that_are_held_back_do_not_stop_a_start(harness: SimulatorHarness) -> None:
    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        node, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        hold_open(harness.broker, topics.LOCATIONS)
        harness.loop.kill(node)
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)

    run(harness, scenario())
