# SPDX-License-Identifier: Apache-2.0
"""The shell: exactly once whatever dies, and a way on whatever the log looks like."""

import asyncio

import pytest

from dispatcher.recovery import Recovered, recover
from taxi import messages as m
from taxi import topics
from taxi.bus import Outgoing, Unavailable
from taxi.bus.memory.log import Fate
from taxi.bus.memory.membership import MemoryClaim
from taxi.bus.memory.network import Timeout
from taxi.messages.states import DriverStatus, RideState
from taxi.positions.newest import NewestFixes
from taxi.state import CityState, snapshots
from testing.core_harness import answer, cancel, online, request
from testing.memory_world import Spy
from testing.virtual_time import State
from tests.unit.dispatcher.harness import DispatcherHarness


async def read_back(harness: DispatcherHarness) -> Recovered:
    bus = harness.bus("reader")
    return await recover(bus, 0, lambda: "0" * 16, lambda topic: bus.offsets(topic, 0))


def fences(spy: Spy) -> tuple[int, int]:
    """How often it was fenced: by the group, by the refusal of its producer."""
    by = [spy.counts[f"dispatcher_fenced_total {by}"] for by in ("group", "producer")]
    return by[0], by[1]


async def offer_of(harness: DispatcherHarness, ride: str) -> m.RideOffered:
    def found() -> list[m.RideOffered]:
        return [e for e in harness.events() if isinstance(e, m.RideOffered) and e.ride == ride]

    await harness.until(lambda: bool(found()))
    return found()[-1]


def test_a_log_is_born_and_a_ride_offered(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.say(request())
        offer = await offer_of(harness, "r1")
        assert offer.driver == 1
        assert harness.kinds()[:2] == ["EpochStarted", "PolicyActivated"]
        assert all(record.headers for record in harness.records(topics.EVENTS))

    harness.run(scenario)


def test_an_answer_does_not_wait_for_the_next_full_batch(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.say(request())
        offer = await offer_of(harness, "r1")
        began_s = harness.loop.now
        harness.say(answer(offer))
        await harness.until(lambda: harness.city().rides["r1"].state is RideState.ASSIGNED)
        assert harness.loop.now - began_s < 0.5

    harness.run(scenario)


def test_a_silent_city_writes_nothing(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        batch = harness.city().batch
        await asyncio.sleep(60)
        assert harness.city().batch == batch == 1

    harness.run(scenario)


def test_a_state_too_large_for_a_snapshot_is_reported_until_one_is_written(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        _, spy, _ = harness.dispatchers[0]
        with monkeypatch.context() as patched:
            patched.setattr(snapshots, "BODY_BYTES_MAX", 100)
            await harness.until(
                lambda: "snapshot_too_large" in {fault.code for fault in harness.faults[0].current}
            )
            assert harness.records(topics.SNAPSHOTS) == []
            assert spy.is_ready
        await harness.until(lambda: bool(harness.records(topics.SNAPSHOTS)))
        await harness.until(lambda: harness.faults[0].current == ())

    harness.run(scenario)


def test_the_standby_takes_over_and_answers_nothing_twice(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        _, standby, _ = harness.start()
        await harness.until(lambda: standby.is_ready)
        harness.say(request())
        await harness.until(lambda: len(harness.answers("r1:request")) == 1)
        owner = next(node for node, spy, _ in harness.dispatchers if "city recovered" in spy.said[-3:])
        harness.loop.kill(owner)
        harness.say(request(), request("r2"))
        await harness.until(lambda: len(harness.answers("r2:request")) == 1)
        assert len(harness.answers("r1:request")) == 1
        assert harness.kinds().count("EpochStarted") == 1

    harness.run(scenario)


def test_one_that_slept_through_its_succession_leaves_and_joins_again(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        node, spy, task = harness.dispatchers[0]
        harness.loop.freeze(node)
        harness.start()
        harness.say(request())
        await harness.until(lambda: bool(harness.answers("r1:request")))
        harness.loop.thaw(node)
        await harness.until(lambda: "city stopped, joining again" in spy.said or "standing by" in spy.said)
        await harness.until(lambda: spy.is_ready)
        assert not task.done()
        harness.say(cancel())
        await harness.until(lambda: bool(harness.answers("r1:cancel")))
        assert harness.broker.counts["producers asked for"] <= harness.broker.counts["assigned"]
        harness.city()

    harness.run(scenario)


def test_a_claim_that_the_group_refuses_counts_as_fenced_by_the_group(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It slept between its assignment and its producer, so the broker has no producer of it to refuse."""

    async def scenario(harness: DispatcherHarness) -> None:
        confirm = MemoryClaim.confirm

        async def sleep_first(claim: MemoryClaim) -> None:
            monkeypatch.undo()
            harness.loop.freeze(harness.dispatchers[0][0])
            await asyncio.sleep(0)
            await confirm(claim)

        monkeypatch.setattr(MemoryClaim, "confirm", sleep_first)
        node, sleeper, _ = harness.start()
        await harness.until(lambda: node.state is State.FROZEN)
        _, owner, _ = harness.start()
        await harness.until(lambda: "city recovered" in owner.said)
        harness.loop.thaw(node)
        await harness.until(lambda: sleeper.is_ready and owner.is_ready)
        assert sleeper.counts["dispatcher_restarts_total ClaimLost"] == 1
        assert fences(sleeper) == (1, 0)
        assert fences(owner) == (0, 0)

    harness.run(scenario)


def test_a_producer_that_the_broker_refuses_counts_as_fenced_by_the_producer(
    harness: DispatcherHarness,
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        _, spy, _ = harness.dispatchers[0]
        await harness.bus("another").transactional_producer("taxi.dispatcher.0")
        harness.say(request())
        await offer_of(harness, "r1")
        assert spy.counts["dispatcher_restarts_total Fenced"] == 1
        assert fences(spy) == (0, 1)

    harness.run(scenario)


@pytest.mark.parametrize("happened", [True, False], ids=["it had happened", "it had not"])
def test_a_commit_without_an_answer_is_looked_up_in_the_log_and_decided_once(
    harness: DispatcherHarness, happened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        _, spy, _ = harness.dispatchers[0]
        end = harness.broker.end
        unanswered: list[int] = []

        def lose(transactional_id: str, epoch: int, fate: Fate) -> None:
            if happened:
                end(transactional_id, epoch, fate)
            unanswered.append(epoch)
            monkeypatch.undo()
            raise Timeout

        harness.say(request())
        monkeypatch.setattr(harness.broker, "end", lose)
        await harness.until(lambda: bool(unanswered))
        await harness.until(lambda: "city stopped, joining again" in spy.said)
        await offer_of(harness, "r1")
        assert len(harness.answers("r1:request")) == 1
        assert spy.counts["dispatcher_restarts_total Unknown"] == 1
        assert harness.broker.counts["producers asked for"] <= harness.broker.counts["assigned"]
        harness.city()

    harness.run(scenario)


def test_half_a_batch_at_the_end_never_happened(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.loop.kill(harness.dispatchers[0][0])
        before = harness.city()
        half = m.DriverWentOffline(batch=before.batch + 1, at_ms=before.now_ms, driver=1)
        harness.write(topics.EVENTS, half)
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready and harness.city().batch > before.batch + 1)
        assert harness.city().status(1) is DriverStatus.IDLE

    harness.run(scenario)


def test_recovery_from_events_alone_and_from_a_snapshot_ends_at_the_same_state(
    harness: DispatcherHarness,
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        harness.on_air[2] = 7
        await harness.start_live()
        await asyncio.sleep(70)
        harness.say(request())
        harness.say(answer(await offer_of(harness, "r1")))
        await asyncio.sleep(5)
        harness.loop.kill(harness.dispatchers[0][0])
        await asyncio.sleep(3)
        harness.on_air.clear()
        assert harness.records(topics.SNAPSHOTS)
        by_snapshot = await read_back(harness)
        harness.broker.create_topic(topics.SNAPSHOTS)
        by_events = await read_back(harness)
        assert by_snapshot.city.to_bytes() == by_events.city.to_bytes() == harness.city().to_bytes()
        assert by_snapshot.newest == by_events.newest
        assert by_snapshot.locations_offset == by_events.locations_offset
        assert by_snapshot.commands_offset == by_events.commands_offset

    harness.run(scenario)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff\x00 no text",
        b'{"type":"FlyToTheMoon","command_id":"x"}',
        b'{"type":"GoOnline","command_id":"x"}',
        b'{"type":"GoOnline","command_id":"","driver":1}',
        b'{"type":"GoOnline","command_id":"' + b"x" * 5000 + b'","driver":1}',
        b'{"type":"RequestRide","command_id":"x","ride":"r","rider":"a","pickup":[NaN,1],"dropoff":[1,2]}',
        b"[" * 100_000,
        b'{"type":"GoOnline","command_id":"x","driver":1,"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
@pytest.mark.parametrize("topic", [topics.COMMANDS, topics.LOCATIONS, topics.EVENTS])
def test_what_is_unreadable_is_put_aside_and_stops_nothing(
    harness: DispatcherHarness, topic: str, value: bytes | None
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        node, spy, _ = harness.dispatchers[0]
        harness.write_bytes(topic, value)
        if topic == topics.EVENTS:  # read at recovery only
            harness.loop.kill(node)
            _, spy, _ = harness.start()
        await harness.until(lambda: bool(harness.letters()))
        [letter] = harness.letters()
        assert (letter.topic, letter.found_by) == (topic, f"dispatcher-{len(harness.dispatchers)}")
        assert letter.reason
        assert spy.counts[f"dispatcher_dead_letters_total {topic}"] == 1
        harness.say(request())
        await harness.until(lambda: bool(harness.answers("r1:request")))

    harness.run(scenario)


def test_a_snapshot_a_minute_from_which_the_next_one_goes_on(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        await asyncio.sleep(130)
        node, _, _ = harness.dispatchers[0]
        harness.loop.kill(node)
        batch = harness.city().batch
        taken = {record.key for record in harness.records(topics.SNAPSHOTS)}
        assert 2 <= len(taken) <= 3
        events = harness.broker.partition(topics.EVENTS, 0)
        newest = await snapshots.newest(harness.bus("reader"), 0)
        assert newest is not None
        events.delete_before(newest.events_offset)
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        harness.say(request())
        await offer_of(harness, "r1")
        last = harness.events()[-1]
        assert last.batch > batch
        assert "EpochStarted" not in harness.kinds()

    harness.run(scenario)


def test_a_snapshot_of_another_log_is_not_believed(harness: DispatcherHarness) -> None:
    """The events were deleted and created again; a snapshot of the former ones stayed."""

    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.loop.kill(harness.dispatchers[0][0])
        await asyncio.sleep(3)
        before = harness.city()
        another = CityState(city=before.city, epoch="fedcba9876543210", batch=before.batch + 7)
        another.now_ms = before.now_ms
        end = harness.broker.partition(topics.EVENTS, 0).stable
        parts = snapshots.pack(another, NewestFixes(), end)
        harness.broker.partition(topics.SNAPSHOTS, 0).append(parts, harness.now_ms())
        found = await read_back(harness)
        assert found.city.to_bytes() == before.to_bytes()
        assert found.epoch_to_begin is None

    harness.run(scenario)


def test_lost_events_without_a_snapshot_begin_a_new_epoch_with_an_empty_city(
    harness: DispatcherHarness,
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        node, _, _ = harness.dispatchers[0]
        harness.loop.kill(node)
        before = harness.city()
        events = harness.broker.partition(topics.EVENTS, 0)
        events.delete_before(events.stable - 3)
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        begun = [event for event in harness.events() if isinstance(event, m.EpochStarted)]
        assert [event.reason for event in begun] == ["events_lost"]
        assert begun[0].batch == before.batch + 1
        harness.say(online(1, "back"))
        await harness.until(lambda: bool(harness.answers("back")))
        assert m.tag_of(harness.answers("back")[0]) == "DriverCameOnline"

    harness.run(scenario)


@pytest.mark.parametrize(
    ("topic", "reason"), [(topics.COMMANDS, "commands_recreated"), (topics.LOCATIONS, "locations_recreated")]
)
@pytest.mark.parametrize("grown", [False, True], ids=["shorter", "grown past the offset"])
def test_a_recreated_input_begins_a_new_epoch(
    harness: DispatcherHarness, topic: str, reason: str, grown: bool
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        node, _, _ = harness.dispatchers[0]
        harness.loop.kill(node)
        before = harness.city()
        harness.broker.create_topic(topic)
        recorded = before.commands_offset if topic == topics.COMMANDS else before.locations_offset
        if grown:
            harness.write_bytes(topic, *[b"{}"] * (recorded + 3))
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        after = harness.city()
        assert after.epoch != before.epoch
        assert [e.reason for e in harness.events() if isinstance(e, m.EpochStarted)] == ["birth", reason]
        assert 1 in after.drivers
        harness.say(request())
        await offer_of(harness, "r1")

    harness.run(scenario)


def test_inputs_both_recreated_begin_one_epoch_that_says_so(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.loop.kill(harness.dispatchers[0][0])
        harness.broker.create_topic(topics.COMMANDS)
        harness.broker.create_topic(topics.LOCATIONS)
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        begun = [event.reason for event in harness.events() if isinstance(event, m.EpochStarted)]
        assert begun == ["birth", "inputs_recreated"]

    harness.run(scenario)


def test_fixes_in_a_snapshot_from_before_their_topic_was_recreated_count_for_nothing(
    harness: DispatcherHarness,
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        await asyncio.sleep(70)
        assert harness.records(topics.SNAPSHOTS)
        harness.loop.kill(harness.dispatchers[0][0])
        harness.broker.create_topic(topics.LOCATIONS)
        harness.on_air = {2: 5}
        node, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready and harness.city().locations_offset > 3)
        harness.loop.kill(node)
        found = await read_back(harness)
        assert found.epoch_to_begin is None
        assert sorted(found.newest.drivers) == [2]
        assert found.newest.drivers[2].offset == found.locations_offset - 1

    harness.run(scenario)


def test_a_dead_letter_is_small_whatever_it_is_about(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        value = b'{"type":"' + b"x" * 900_000 + b'"}'
        record = Outgoing(b"k" * 900_000, value, (("big", b"h" * 900_000),))
        harness.broker.partition(topics.COMMANDS, 0).append([record], harness.now_ms())
        await harness.until(lambda: bool(harness.letters()))
        [letter] = harness.records(topics.DEAD_LETTERS)
        assert len(letter.value or b"") < 30_000
        assert letter.headers == ()

    harness.run(scenario)


def test_commands_that_retention_took_are_said_to_be_skipped(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.loop.kill(harness.dispatchers[0][0])
        harness.say(request("gone"), request("kept"))
        commands = harness.broker.partition(topics.COMMANDS, 0)
        commands.delete_before(commands.end - 1)
        harness.start()
        await harness.until(lambda: bool(harness.answers("kept:request")))
        [skipped] = [event for event in harness.events() if isinstance(event, m.InputSkipped)]
        assert (skipped.topic, skipped.next - skipped.first) == (topics.COMMANDS, 1)
        assert not harness.answers("gone:request")

    harness.run(scenario)


def test_after_a_long_absence_the_first_batch_is_of_the_present(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.loop.kill(harness.dispatchers[0][0])
        await asyncio.sleep(300)
        batch = harness.city().batch
        harness.start()
        await harness.until(lambda: harness.city().batch > batch)
        [first] = [e for e in harness.events() if isinstance(e, m.BatchClosed) and e.batch == batch + 1]
        assert harness.now_ms() - first.at_ms < 3_000
        assert "DriverLost" not in harness.kinds()

    harness.run(scenario)


def test_a_broker_that_comes_back_finds_the_dispatcher_waiting(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        _, spy, task = harness.dispatchers[0]
        harness.broker.harshness.down = True
        await harness.until(lambda: not spy.is_ready)
        await asyncio.sleep(120)
        assert not task.done()
        harness.broker.harshness.down = False
        await harness.until(lambda: spy.is_ready)
        harness.say(request())
        await offer_of(harness, "r1")

    harness.run(scenario)


def test_a_broker_that_stays_away_ends_the_process_with_the_reason(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        node, _, task = harness.dispatchers[0]
        harness.broker.harshness.down = True
        await harness.until(task.done, within_s=600)
        assert isinstance(task.exception(), Unavailable)
        assert node.state is State.UP

    harness.run(scenario)
