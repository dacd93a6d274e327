# SPDX-License-Identifier: Apache-2.0
"""The shell publishes, listens, waits out a broker, and goes on after kill -9 as if nothing had happened."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from simulator.streets import Streets
from taxi import topics
from taxi.bus import Outgoing
from taxi.messages import Fix, GoOnline, RequestRide, TripCompleted
from tests.unit.simulator.lab import Lab

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def lab(grid: Streets) -> Iterator[Lab]:
    lab = Lab(grid)
    yield lab
    lab.loop.bury()


def run(lab: Lab, story: Coroutine[Any, Any, None]) -> None:
    lab.loop.run_until_complete(story)
    assert lab.loop.errors == []


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


def test_each_driver_is_seen_once_a_second_in_turns(lab: Lab) -> None:
    async def story() -> None:
        lab.loop.create_task(lab.dispatch())
        _, spy, _ = lab.start()
        await lab.until(lambda: spy.is_ready)
        began_ms = lab.now_ms()
        await lab.until(lambda: lab.now_ms() > began_ms + 10_000)
        fixes = [fix for fix in lab.fixes() if fix.at_ms > began_ms]
        for before, after in steps(fixes):
            assert 900 <= after.at_ms - before.at_ms <= 1300
            assert apart_m(lab.streets, before, after) < 30
        assert len({fix.at_ms for fix in fixes}) > 60
        assert {fix.driver for fix in fixes} == set(range(1, 9))

    run(lab, story())


def test_a_city_comes_to_life_and_rides_end(lab: Lab) -> None:
    async def story() -> None:
        lab.loop.create_task(lab.dispatch())
        _, spy, task = lab.start()
        await lab.until(lambda: lab.dispatcher.state.totals.completed >= 8, within_s=1200)
        assert spy.is_ready
        assert not task.done()
        assert spy.counts["simulator_commands_given_up"] == 0

    run(lab, story())


def test_it_is_not_ready_before_its_drivers_are_online(lab: Lab) -> None:
    async def story() -> None:
        _, spy, _ = lab.start()
        await lab.until(lambda: len(lab.fixes()) > 100)
        assert not spy.is_ready
        lab.loop.create_task(lab.dispatch())
        await lab.until(lambda: spy.is_ready)

    run(lab, story())


def test_a_broker_that_goes_away_stops_the_city_and_not_the_simulator(lab: Lab) -> None:
    async def story() -> None:
        lab.loop.create_task(lab.dispatch())
        _, spy, task = lab.start()
        await lab.until(lambda: spy.is_ready)
        lab.broker.harshness.down = True
        await lab.until(lambda: not spy.is_ready)
        lab.broker.harshness.down = False
        await lab.until(lambda: spy.is_ready)
        assert not task.done()
        assert max(apart_m(lab.streets, *pair) for pair in steps(lab.fixes())) < 60

    run(lab, story())


def test_after_kill_nine_it_goes_on_where_it_was_and_doubles_nothing(lab: Lab) -> None:
    async def life(away_s: float) -> None:
        """From a start to a few rides later; then killed, and away for a while."""
        last, seen = {fix.driver: fix for fix in lab.fixes()}, len(lab.fixes())
        node, spy, _ = lab.start()
        await lab.until(lambda: spy.is_ready)
        first = {fix.driver: fix for fix in reversed(lab.fixes()[seen:])}
        assert all(apart_m(lab.streets, fix, first[driver]) < 30 for driver, fix in last.items())
        completed = lab.dispatcher.state.totals.completed
        await lab.until(lambda: lab.dispatcher.state.totals.completed > completed + 1, within_s=900)
        lab.loop.kill(node)
        await lab.sleep_until(lab.loop.now + away_s)

    async def story() -> None:
        lab.loop.create_task(lab.dispatch())
        for away_s in (0.0, 3.0, 30.0, 0.1):
            await life(away_s)
        assert len([c for c in lab.heard if isinstance(c, GoOnline)]) == 8
        asked: dict[str, RequestRide] = {}
        for command in lab.heard:
            if isinstance(command, RequestRide):
                assert asked.setdefault(command.command_id, command) == command

    run(lab, story())


def requests_in(lab: Lab, *, lives: int, life_s: float) -> set[str]:
    """The rides that were asked for in so many lives, one right after the other."""

    async def story() -> None:
        lab.loop.create_task(lab.dispatch())
        for life in range(1, lives + 1):
            node, _, _ = lab.start()
            await lab.sleep_until(life * life_s)
            lab.loop.kill(node)
        await lab.sleep_until(lives * life_s + 2)

    run(lab, story())
    return {c.ride for c in lab.heard if isinstance(c, RequestRide)}


def test_restarts_change_nothing_about_who_wants_to_go_where(grid: Streets) -> None:
    calm, restless = Lab(grid, load=50.0), Lab(grid, load=50.0)
    asked = requests_in(calm, lives=1, life_s=60)
    again = requests_in(restless, lives=8, life_s=7.5)
    calm.loop.bury()
    restless.loop.bury()
    assert len(asked) > 10
    # The last tenths of a second may die unsent with either.
    assert len(asked ^ again) <= 1


def test_records_that_nobody_can_read_are_counted_and_passed_over(lab: Lab) -> None:
    async def story() -> None:
        producer = await lab.bus("vandal").producer()
        rubbish = [Outgoing(None, b"\xff"), Outgoing(None, b'{"type":"Nonsense"}'), Outgoing(None, None)]
        for topic in (topics.EVENTS, topics.LOCATIONS):
            await producer.send(topic, 0, rubbish)
        lab.loop.create_task(lab.dispatch())
        _, spy, task = lab.start()
        await lab.until(lambda: spy.is_ready)
        await producer.send(topics.EVENTS, 0, rubbish)
        await lab.until(lambda: spy.counts.get("simulator_undecodable_total", 0) >= 9)
        completed = lab.dispatcher.state.totals.completed
        await lab.until(lambda: lab.dispatcher.state.totals.completed > completed, within_s=900)
        assert not task.done()

    run(lab, story())


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_harsh_network_costs_time_and_no_ride(grid: Streets, seed: int) -> None:
    print(f"seed {seed}")
    lab = Lab(grid, seed)
    harshness = lab.broker.harshness
    harshness.latency_s, harshness.cut_fetches, harshness.loss = 0.01, 0.3, 0.02

    async def story() -> None:
        lab.loop.create_task(lab.dispatch())
        for life in (1, 2, 3):
            node, _, _ = lab.start()
            await lab.sleep_until(47.3 * life)
            lab.loop.kill(node)
        lab.start()
        asked = {c.ride for c in lab.heard if isinstance(c, RequestRide)}
        assert len(asked) >= 2
        await lab.until(lambda: completed(lab) >= asked, within_s=1500)

    run(lab, story())
    lab.loop.bury()


def completed(lab: Lab) -> set[str]:
    return {event.ride for event in lab.dispatcher.history if isinstance(event, TripCompleted)}
