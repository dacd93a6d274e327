# SPDX-License-Identifier: Apache-2.0
"""A transaction of another producer that stays open: what is behind it must be read before any decision."""

import asyncio

import pytest

from taxi import messages as m
from taxi import topics
from taxi.bus.memory.log import Fate
from taxi.messages import codec
from testing.core_harness import request
from testing.foreign import ID, hold_open
from tests.unit.dispatcher.harness import DispatcherHarness


def closed(harness: DispatcherHarness) -> list[int]:
    """The batches on the log, by their numbers; whatever is open, they have been written."""
    entries = harness.broker.partition(topics.EVENTS, 0).entries
    found = [
        codec.decode(topics.EVENTS, entry.record)
        for entry in entries
        if entry.transaction is not None
        and entry.transaction.transactional_id.startswith("taxi.")
        and not entry.is_marker
    ]
    return [event.batch for event in found if isinstance(event, m.BatchClosed)]


@pytest.mark.parametrize("fate", [Fate.ABORTED, Fate.COMMITTED])
def test_no_batch_is_decided_again_that_is_committed_behind_an_open_transaction(
    harness: DispatcherHarness, fate: Fate
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        end = hold_open(harness.broker, topics.EVENTS)
        harness.say(request())
        await harness.until(lambda: len(closed(harness)) > 8)
        harness.loop.kill(harness.dispatchers[0][0])
        before = closed(harness)
        _, spy, _ = harness.start()
        await asyncio.sleep(60)
        assert not spy.is_ready
        assert closed(harness) == before
        [fault] = harness.faults[-1].current
        assert (fault.code, fault.blocks, fault.about) == ("events_held_back", True, "grid")
        assert ID in fault.text
        end(fate)
        await harness.until(lambda: spy.is_ready)
        assert harness.faults[-1].current == ()
        assert closed(harness) == list(range(1, len(closed(harness)) + 1))
        assert len(harness.answers("r1:request")) == 1
        harness.city()

    harness.run(scenario)


def test_a_transaction_that_is_opened_after_the_fence_holds_no_recovery_up(
    harness: DispatcherHarness,
) -> None:
    """A producer that always has one open must not keep a city from its dispatcher."""

    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        first = hold_open(harness.broker, topics.EVENTS)
        harness.loop.kill(harness.dispatchers[0][0])
        _, spy, _ = harness.start()
        await asyncio.sleep(30)
        hold_open(harness.broker, topics.EVENTS, name="yet another")
        assert not spy.is_ready
        first(Fate.ABORTED)
        await harness.until(lambda: spy.is_ready)

    harness.run(scenario)


def test_facts_are_not_given_up_as_lost_while_a_snapshot_of_them_is_held_back(
    harness: DispatcherHarness,
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        end = hold_open(harness.broker, topics.SNAPSHOTS)
        await asyncio.sleep(70)
        harness.loop.kill(harness.dispatchers[0][0])
        events = harness.broker.partition(topics.EVENTS, 0)
        snapshot = next(e.record for e in harness.broker.partition(topics.SNAPSHOTS, 0).entries[1:])
        events.delete_before(codec.decode(topics.SNAPSHOTS, snapshot).events_offset)
        _, spy, _ = harness.start()
        await asyncio.sleep(30)
        assert not spy.is_ready
        assert [fault.code for fault in harness.faults[-1].current] == ["snapshots_held_back"]
        end(Fate.ABORTED)
        await harness.until(lambda: spy.is_ready)
        assert "EpochStarted" not in harness.kinds()

    harness.run(scenario)


@pytest.mark.parametrize(
    ("topic", "code"),
    [(topics.COMMANDS, "commands_held_back"), (topics.LOCATIONS, "positions_held_back")],
)
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_input_that_is_held_back_is_a_fault_and_hangs_nothing(
    harness: DispatcherHarness, topic: str, code: str, restarted: bool
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        end = hold_open(harness.broker, topic)
        if restarted:
            harness.loop.kill(harness.dispatchers[0][0])
            await asyncio.sleep(5)
            harness.start()
        harness.say(request())
        await harness.until(lambda: bool(harness.faults[-1].current))
        [fault] = harness.faults[-1].current
        assert (fault.code, fault.blocks) == (code, True)
        end(Fate.ABORTED)
        await harness.until(lambda: not harness.faults[-1].current)
        await harness.until(lambda: bool(harness.answers("r1:request")))

    harness.run(scenario)
