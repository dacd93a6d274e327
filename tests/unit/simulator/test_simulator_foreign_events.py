# SPDX-License-Identifier: Apache-2.0
"""What others, or the disk, put on `taxi.events` neither stops a simulator nor makes it believe anything."""

import asyncio
from collections.abc import Iterator

import pytest

from simulator.streets import Streets
from taxi import topics
from taxi.bus.memory.bus import MemoryBroker
from taxi.messages import GoOnline
from taxi.positions.newest import NewestFixes
from taxi.state import snapshots
from testing.foreign import FOREIGN_EVENTS, commit, foreign_events
from testing.simulator_obliging import Obliging
from tests.unit.simulator.harness import SimulatorHarness


@pytest.fixture
def harness(grid: Streets) -> Iterator[SimulatorHarness]:
    harness = SimulatorHarness(grid)
    yield harness
    harness.loop.shut_down()


def write_snapshot(harness: SimulatorHarness, broker: MemoryBroker) -> None:
    """Of the dispatcher's state, behind its last batch."""
    end = broker.partition(topics.EVENTS, 0).end
    parts = snapshots.pack(harness.dispatcher.state, NewestFixes(), end)
    broker.partition(topics.SNAPSHOTS, 0).append(parts, harness.now_ms())


@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("kind", FOREIGN_EVENTS)
def test_foreign_events_are_counted_and_passed_over(
    harness: SimulatorHarness, kind: str, restarts: bool
) -> None:
    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        node, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        events = foreign_events(kind, harness.dispatcher.state.batch, harness.now_ms())
        commit(harness.broker, *events)
        if restarts:
            harness.loop.kill(node)
            _, spy, _ = harness.start()
            await harness.until(lambda: spy.is_ready)
        await harness.until(lambda: spy.counts["simulator_passed_over_total"] == len(events))
        done = harness.dispatcher.state.totals.completed
        await harness.until(lambda: harness.dispatcher.state.totals.completed > done, within_s=1200)
        assert "the log is not the one it was: starting over" not in spy.said

    harness.loop.run_until_complete(scenario())
    assert harness.loop.errors == []


def test_a_restart_behind_a_gap_waits_for_a_snapshot(harness: SimulatorHarness) -> None:
    async def scenario() -> None:
        dispatching = harness.loop.create_task(harness.dispatch())
        node, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        dispatching.cancel()
        harness.loop.kill(node)
        events = harness.broker.partition(topics.EVENTS, 0)
        at = max(
            i for i in range(events.end) if b"DriverCameOnline" in (events.entries[i].record.value or b"")
        )
        events.corrupt(at, at + 1)
        _, spy, _ = harness.start()
        await asyncio.sleep(20)
        assert not spy.is_ready
        assert spy.said.count("fault") == 1
        write_snapshot(harness, harness.broker)
        harness.loop.create_task(harness.dispatch())
        await harness.until(lambda: spy.is_ready)

    harness.loop.run_until_complete(scenario())
    assert harness.loop.errors == []


def test_a_snapshot_of_another_log_is_not_believed(harness: SimulatorHarness) -> None:
    """The events were deleted and created again; the snapshots stayed."""

    async def scenario() -> None:
        for name in (topics.EVENTS, topics.SNAPSHOTS):
            assert harness.broker.partition(name, 0).end == 0
        before = Obliging()
        for number in range(1, 4):
            before.decide([GoOnline(command_id=f"{number}:online", driver=number)], harness.now_ms())
        parts = snapshots.pack(before.state, NewestFixes(), 2)
        harness.broker.partition(topics.SNAPSHOTS, 0).append(parts, harness.now_ms())
        harness.loop.create_task(harness.dispatch())
        await harness.until(lambda: harness.broker.partition(topics.EVENTS, 0).end > 2)
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        assert harness.dispatcher.state.batch > before.state.batch
        assert spy.counts["simulator_commands_given_up"] == 0

    harness.loop.run_until_complete(scenario())
    assert harness.loop.errors == []
