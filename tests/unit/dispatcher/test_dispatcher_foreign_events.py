# SPDX-License-Identifier: Apache-2.0
"""What other producers, or the disk, put on `taxi.events` neither stops nor falsifies a city."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from dispatcher.dead_letters import ALONE_MAX
from dispatcher.recovery import recover
from taxi import messages as m
from taxi import topics
from taxi.state.batches import ANOTHER_PRODUCER
from testing.core_harness import GRID, online, request
from testing.foreign import FOREIGN_EVENTS, commit, foreign_events
from tests.unit.dispatcher.harness import DispatcherHarness

FLOOD = 4_000


def covered(letters: list[m.DeadLetter]) -> set[int]:
    """The offsets that the letters are about."""
    return {at for each in letters for at in range(each.offset, each.next or each.offset + 1)}


async def restart(harness: DispatcherHarness) -> None:
    harness.loop.kill(harness.dispatchers[-1][0])
    _, spy, _ = harness.start()
    await harness.until(lambda: spy.is_ready)


def numbers(harness: DispatcherHarness) -> list[int]:
    return [event.batch for event in harness.events() if isinstance(event, m.BatchClosed)]


def faults(harness: DispatcherHarness) -> list[str]:
    return [fault.code for fault in harness.faults[-1].current]


@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("kind", FOREIGN_EVENTS)
def test_foreign_events_are_put_aside_and_the_city_goes_on(
    harness: DispatcherHarness, kind: str, restarts: bool
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        events = foreign_events(kind, harness.city().batch, harness.now_ms())
        if restarts:
            harness.loop.kill(harness.dispatchers[-1][0])
            first = commit(harness.broker, *events)
            _, spy, _ = harness.start()
            await harness.until(lambda: spy.is_ready)
        else:
            first = commit(harness.broker, *events)
        harness.say(request())
        await harness.until(
            lambda: bool(harness.answers("r1:request")) and len(harness.letters()) == len(events)
        )
        assert [(letter.offset, letter.reason) for letter in harness.letters()] == [
            (first + index, ANOTHER_PRODUCER) for index in range(len(events))
        ]
        await restart(harness)
        harness.say(request("r2"))
        await harness.until(lambda: bool(harness.answers("r2:request")))
        assert [event.reason for event in harness.events() if isinstance(event, m.EpochStarted)] == ["birth"]
        assert numbers(harness) == list(range(1, len(numbers(harness)) + 1))
        assert 7_777 not in harness.city().drivers

    harness.run(scenario)


def test_foreign_events_are_a_fault_for_a_minute(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        commit(harness.broker, *foreign_events("the next close", harness.city().batch, harness.now_ms()))
        await harness.until(lambda: faults(harness) == ["foreign_events"])
        await asyncio.sleep(40)
        commit(harness.broker, *foreign_events("a future close", harness.city().batch, harness.now_ms()))
        await asyncio.sleep(40)
        [fault] = harness.faults[-1].current
        assert (fault.code, fault.blocks, fault.about) == ("foreign_events", False, "grid")
        assert "2 of its events" in fault.text
        await harness.until(lambda: not faults(harness))
        assert harness.dispatchers[-1][1].counts["dispatcher_passed_over_total"] == 2

    harness.run(scenario)


def test_a_city_is_born_behind_foreign_events(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        for number, kind in enumerate(FOREIGN_EVENTS[:4]):
            commit(harness.broker, *foreign_events(kind, number, harness.now_ms()), name=kind)
        await harness.start_live()
        assert harness.city().epoch
        assert numbers(harness)[0] == 1

    harness.run(scenario)


def test_a_city_survives_when_retention_takes_the_foreign_events_before_its_birth(
    harness: DispatcherHarness,
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        commit(harness.broker, *foreign_events("an illegal batch", 0, harness.now_ms()))
        events = harness.broker.partition(topics.EVENTS, 0)
        end = events.end
        await harness.start_live()
        harness.loop.kill(harness.dispatchers[-1][0])
        events.delete_before(end)
        assert events.start == end > 0
        assert harness.records(topics.SNAPSHOTS) == []
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        assert [event.reason for event in harness.events() if isinstance(event, m.EpochStarted)] == ["birth"]

    harness.run(scenario)


def test_a_foreign_birth_behind_a_lost_beginning_is_not_taken_for_the_citys(
    harness: DispatcherHarness,
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.loop.kill(harness.dispatchers[-1][0])
        events = harness.broker.partition(topics.EVENTS, 0)
        born = harness.events()[0]
        assert isinstance(born, m.EpochStarted)
        [closed] = [one for one in harness.events() if isinstance(one, m.BatchClosed) and one.batch == 1]
        first_end = events.end
        batch = [born, replace(closed, count=2)]
        commit(harness.broker, *batch)
        assert harness.records(topics.SNAPSHOTS) == []
        events.delete_before(first_end - 3)
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        last = [event for event in harness.events() if isinstance(event, m.EpochStarted)][-1]
        assert last.reason == "events_lost"

    harness.run(scenario)


def test_a_dispatcher_whose_producer_id_is_another_one_takes_over(harness: DispatcherHarness) -> None:
    """Kafka forgets a transactional id that was not used for a week, and gives it a new number."""

    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.loop.kill(harness.dispatchers[-1][0])
        harness.broker.expire_writer("taxi.dispatcher.0")
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        await restart(harness)
        harness.say(request())
        await harness.until(lambda: bool(harness.answers("r1:request")))
        named = [event.previous_producer for event in harness.events() if isinstance(event, m.BatchClosed)]
        assert [producer for producer in named if producer is not None] == [1]
        assert numbers(harness) == list(range(1, len(numbers(harness)) + 1))
        assert [event.reason for event in harness.events() if isinstance(event, m.EpochStarted)] == ["birth"]
        assert not harness.letters()

    harness.run(scenario)


def test_a_city_that_another_producer_has_claimed_is_taken_back(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        own = harness.broker.producer_id_of("taxi.dispatcher.0")
        number, at_ms = harness.city().batch + 1, harness.city().now_ms
        claim = m.BatchClosed(
            batch=number,
            at_ms=at_ms,
            count=1,
            commands_offset=harness.city().commands_offset,
            locations_offset=harness.city().locations_offset,
            previous_producer=own,
        )
        commit(harness.broker, claim)
        await harness.until(
            lambda: (
                own == harness.broker.producer_id_of("taxi.dispatcher.0")
                and any(
                    isinstance(e, m.BatchClosed) and e.previous_producer not in {None, own}
                    for e in harness.events()
                )
            )
        )
        harness.say(request())
        await harness.until(lambda: bool(harness.answers("r1:request")))

    harness.run(scenario)


# --- damage -------------------------------------------------------------------------------------------


def damage(harness: DispatcherHarness, what: bytes) -> int:
    """The disk loses the last event of a kind; its offset."""
    place = harness.broker.partition(topics.EVENTS, 0)
    at = next(i for i in range(place.end - 1, -1, -1) if what in (value_at(harness, i)))
    place.corrupt(at, at + 1)
    return at


def value_at(harness: DispatcherHarness, offset: int) -> bytes:
    return harness.broker.partition(topics.EVENTS, 0).entries[offset].record.value or b""


@pytest.mark.parametrize("lost", [b"RideRequested", b"DriverCameOnline", b"PolicyActivated", b"EpochStarted"])
def test_a_batch_that_lost_an_event_is_not_folded_in_part(harness: DispatcherHarness, lost: bytes) -> None:
    """Nothing covers it: the city begins again, instead of going on without one of its facts."""

    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.say(request("r0"))
        await harness.until(lambda: bool(harness.answers("r0:request")))
        before = harness.city()
        harness.loop.kill(harness.dispatchers[-1][0])
        at = damage(harness, lost)
        harness.broker.recreate(topics.SNAPSHOTS, 0)
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready and bool(harness.letters()))
        begun = [event for event in harness.events() if isinstance(event, m.EpochStarted)]
        assert begun[-1].reason == "events_lost"
        assert begun[-1].batch == before.batch + 1
        assert at in {letter.offset for letter in harness.letters()}
        assert "r0" not in harness.city().rides
        await restart(harness)
        harness.say(online(1, "back"), request())
        await harness.until(lambda: bool(harness.answers("r1:request")))
        again = [event for event in harness.events() if isinstance(event, m.EpochStarted)]
        assert [event.epoch for event in again] == [event.epoch for event in begun]

    harness.run(scenario)


@pytest.mark.parametrize("lost", [b"RideRequested", b"BatchClosed"], ids=["an event", "its end"])
def test_a_damaged_first_batch_of_a_new_producer_id_starts_an_epoch_that_begins_empty(
    harness: DispatcherHarness, lost: bytes
) -> None:
    """No other batch names the id before it. What it has decided since is not decided a second time."""

    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.loop.kill(harness.dispatchers[-1][0])
        harness.broker.expire_writer("taxi.dispatcher.0")
        first = harness.broker.partition(topics.EVENTS, 0).end
        harness.say(request("r0"))
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready and bool(harness.answers("r0:request")))
        harness.say(request("r1"))
        await harness.until(lambda: bool(harness.answers("r1:request")))
        last = harness.city().batch
        [took] = [e for e in harness.events() if isinstance(e, m.BatchClosed) and e.previous_producer]
        assert took.batch == harness.answers("r0:request")[0].batch < last
        harness.loop.kill(harness.dispatchers[-1][0])
        place = harness.broker.partition(topics.EVENTS, 0)
        at = next(i for i in range(first, place.end) if lost in value_at(harness, i))
        place.corrupt(at, at + 1)
        harness.broker.recreate(topics.SNAPSHOTS, 0)
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready and bool(harness.letters()))
        begun = [event for event in harness.events() if isinstance(event, m.EpochStarted)]
        assert (begun[-1].reason, begun[-1].batch) == ("events_lost", last + 1)
        assert harness.city().rides == {}
        await restart(harness)
        harness.say(online(1, "back"), request("r2"))
        await harness.until(lambda: bool(harness.answers("r2:request")))
        assert [e.epoch for e in harness.events() if isinstance(e, m.EpochStarted)] == [
            event.epoch for event in begun
        ]

    harness.run(scenario)


def test_a_snapshot_behind_the_damage_keeps_every_fact(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        await asyncio.sleep(70)
        assert harness.records(topics.SNAPSHOTS)
        damage(harness, b"DriverCameOnline")
        await restart(harness)
        bus = harness.bus("reader")
        found = await recover(bus, 0, lambda: "0" * 16, lambda topic: bus.offsets(topic, 0))
        assert found.epoch_to_begin is None
        assert found.city.drivers[1].on_shift

    harness.run(scenario)


def test_damage_that_a_running_dispatcher_meets_is_covered_at_once(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        await asyncio.sleep(5)
        before = len(harness.records(topics.SNAPSHOTS))
        place = harness.broker.partition(topics.EVENTS, 0)
        place.append_damaged("the checksum is wrong", harness.now_ms(), count=2, is_on_disk=True)
        start = harness.loop.now
        await harness.until(lambda: len(harness.records(topics.SNAPSHOTS)) > before)
        assert harness.loop.now - start < 10

    harness.run(scenario)


class _Said(list[str]):
    """Calls back at the first line of this text."""

    def __init__(self, text: str, then: Callable[[], Any]) -> None:
        super().__init__()
        self._text, self._then = text, then

    def append(self, text: str) -> None:
        is_first = text == self._text and text not in self
        super().append(text)
        if is_first:
            self._then()


@pytest.mark.parametrize("kind", ["another epoch", "an epoch that begins empty"])
@pytest.mark.parametrize("is_half", [False, True])
def test_who_begins_the_log_a_moment_earlier_is_followed_and_replaced(
    harness: DispatcherHarness, kind: str, is_half: bool
) -> None:
    """Between the recovery of a city without events and its first batch. `is_half`: it began before that."""

    async def scenario(harness: DispatcherHarness) -> None:
        harness.on_air[1] = 0
        harness.say(online(1), request())
        events = foreign_events(kind, 0, harness.now_ms(), GRID.city.name)
        if is_half:
            commit(harness.broker, *events[:1], name="a stranger")
            events = events[1:]
        _, spy, _ = harness.start()
        spy.said = _Said("city recovered", lambda: commit(harness.broker, *events, name="a stranger"))
        await harness.until(lambda: spy.is_ready and bool(harness.answers("r1:request")))
        assert "dispatcher_restarts_total BegunByAnotherError" in spy.counts
        assert harness.city().epoch != "f" * 16
        assert len(harness.answers("r1:request")) == 1
        await restart(harness)
        harness.say(request("r2"))
        await harness.until(lambda: bool(harness.answers("r2:request")))
        assert numbers(harness) == list(range(1, len(numbers(harness)) + 1))

    harness.run(scenario)


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_a_flood_of_foreign_events_makes_few_letters(harness: DispatcherHarness, restarted: bool) -> None:
    """Each event has one, alone or with its neighbours."""

    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        if restarted:
            harness.loop.kill(harness.dispatchers[-1][0])
        first = harness.broker.partition(topics.EVENTS, 0).end
        event = foreign_events("events without a close", 1, harness.now_ms())[0]
        commit(harness.broker, *([event] * FLOOD))
        if restarted:
            harness.start()
        await harness.until(lambda: first + FLOOD - 1 in covered(harness.letters()))
        letters = harness.letters()
        assert set(range(first, first + FLOOD)) <= covered(letters)
        assert len(letters) <= 5 * (ALONE_MAX + 1)
        assert harness.dispatchers[-1][1].counts["dispatcher_dead_letters_total taxi.events"] >= FLOOD

    harness.run(scenario)


@pytest.mark.parametrize("topic", [topics.COMMANDS, topics.LOCATIONS])
def test_a_flood_of_unreadable_records_makes_few_letters(harness: DispatcherHarness, topic: str) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        first = harness.broker.partition(topic, 0).end
        harness.write_bytes(topic, *([b"rubbish", b"{}"] * (FLOOD // 2)))
        await harness.until(lambda: first + FLOOD - 1 in covered(harness.letters()))
        letters = harness.letters()
        assert set(range(first, first + FLOOD)) <= covered(letters)
        assert len(letters) <= 5 * (ALONE_MAX + 1)
        assert any("other reasons" in letter.reason for letter in letters)

    harness.run(scenario)
