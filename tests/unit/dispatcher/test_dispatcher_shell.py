# SPDX-License-Identifier: Apache-2.0
"""The shell: exactly once whatever dies, and a way on whatever the log looks like."""

import asyncio

import pytest

from dispatcher.recovery import recover
from taxi import messages as m
from taxi import snapshots, topics
from taxi.bus import Outgoing, Unavailable
from taxi.bus.memory_log import Fate
from taxi.bus.memory_network import Timeout
from taxi.states import DriverStatus, RideState
from tests.simulation.loop import State
from tests.unit.dispatcher.lab import Lab
from tests.unit.dispatcher.town import answer, cancel, online, request


@pytest.fixture
def lab() -> Lab:
    return Lab()


async def live(lab: Lab) -> None:
    """A dispatcher decides, driver 1 is on shift."""
    lab.on_air[1] = 0
    _, spy, _ = lab.start()
    lab.say(online(1))
    await lab.until(lambda: spy.is_ready and lab.city().status(1) is DriverStatus.IDLE)


async def offer_of(lab: Lab, ride: str) -> m.RideOffered:
    def found() -> list[m.RideOffered]:
        return [e for e in lab.events() if isinstance(e, m.RideOffered) and e.ride == ride]

    await lab.until(lambda: bool(found()))
    return found()[-1]


def test_a_log_is_born_and_a_ride_offered(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        lab.say(request())
        offer = await offer_of(lab, "r1")
        assert offer.driver == 1
        assert lab.kinds()[:2] == ["EpochStarted", "PolicyActivated"]
        assert all(record.headers for record in lab.records(topics.EVENTS))

    lab.run(story)


def test_an_answer_does_not_wait_for_the_next_full_batch(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        lab.say(request())
        offer = await offer_of(lab, "r1")
        began_s = lab.loop.now
        lab.say(answer(offer))
        await lab.until(lambda: lab.city().rides["r1"].state is RideState.ASSIGNED)
        assert lab.loop.now - began_s < 0.5

    lab.run(story)


def test_a_silent_city_writes_nothing(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        _, spy, _ = lab.start()
        await lab.until(lambda: spy.is_ready)
        batch = lab.city().batch
        await asyncio.sleep(60)
        assert lab.city().batch == batch == 1

    lab.run(story)


def test_the_standby_takes_over_and_answers_nothing_twice(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        _, standby, _ = lab.start()
        await lab.until(lambda: standby.is_ready)
        lab.say(request())
        await lab.until(lambda: len(lab.answers("r1:request")) == 1)
        owner = next(node for node, spy, _ in lab.dispatchers if "city recovered" in spy.said[-3:])
        lab.loop.kill(owner)
        lab.say(request(), request("r2"))
        await lab.until(lambda: len(lab.answers("r2:request")) == 1)
        assert len(lab.answers("r1:request")) == 1
        assert lab.kinds().count("EpochStarted") == 1

    lab.run(story)


def test_one_that_slept_through_its_succession_leaves_and_joins_again(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        node, spy, task = lab.dispatchers[0]
        lab.loop.freeze(node)
        lab.start()
        lab.say(request())
        await lab.until(lambda: bool(lab.answers("r1:request")))
        lab.loop.thaw(node)
        await lab.until(lambda: "city stopped, joining again" in spy.said or "standing by" in spy.said)
        await lab.until(lambda: spy.is_ready)
        assert not task.done()
        lab.say(cancel())
        await lab.until(lambda: bool(lab.answers("r1:cancel")))
        assert lab.broker.counts["producers asked for"] <= lab.broker.counts["assigned"]
        lab.city()

    lab.run(story)


@pytest.mark.parametrize("happened", [True, False], ids=["it had happened", "it had not"])
def test_a_commit_without_an_answer_is_looked_up_in_the_log_and_decided_once(
    lab: Lab, happened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        _, spy, _ = lab.dispatchers[0]
        end = lab.broker.end
        unanswered: list[int] = []

        def lose(transactional_id: str, epoch: int, fate: Fate) -> None:
            if happened:
                end(transactional_id, epoch, fate)
            unanswered.append(epoch)
            monkeypatch.undo()
            raise Timeout

        lab.say(request())
        monkeypatch.setattr(lab.broker, "end", lose)
        await lab.until(lambda: bool(unanswered))
        await lab.until(lambda: "city stopped, joining again" in spy.said)
        await offer_of(lab, "r1")
        assert len(lab.answers("r1:request")) == 1
        assert spy.counts["dispatcher_restarts_total Unknown"] == 1
        assert lab.broker.counts["producers asked for"] <= lab.broker.counts["assigned"]
        lab.city()

    lab.run(story)


def test_half_a_batch_at_the_end_never_happened(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        lab.loop.kill(lab.dispatchers[0][0])
        before = lab.city()
        half = m.DriverWentOffline(batch=before.batch + 1, at_ms=before.now_ms, driver=1)
        lab.write(topics.EVENTS, half)
        _, spy, _ = lab.start()
        await lab.until(lambda: spy.is_ready and lab.city().batch > before.batch + 1)
        assert lab.city().status(1) is DriverStatus.IDLE

    lab.run(story)


def test_recovery_from_events_alone_and_from_a_snapshot_ends_at_the_same_state(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        lab.on_air[2] = 7
        await live(lab)
        await asyncio.sleep(70)
        lab.say(request())
        lab.say(answer(await offer_of(lab, "r1")))
        await asyncio.sleep(5)
        lab.loop.kill(lab.dispatchers[0][0])
        await asyncio.sleep(3)
        lab.on_air.clear()
        assert lab.records(topics.SNAPSHOTS)
        by_snapshot = await recover(lab.bus("reader"), 0, lambda: "0" * 16)
        lab.broker.create_topic(topics.SNAPSHOTS)
        by_events = await recover(lab.bus("reader"), 0, lambda: "0" * 16)
        assert by_snapshot.city.to_bytes() == by_events.city.to_bytes() == lab.city().to_bytes()
        assert by_snapshot.newest == by_events.newest
        assert by_snapshot.locations_offset == by_events.locations_offset
        assert by_snapshot.commands_offset == by_events.commands_offset

    lab.run(story)


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
def test_what_nobody_can_read_is_put_aside_and_stops_nothing(
    lab: Lab, topic: str, value: bytes | None
) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        node, spy, _ = lab.dispatchers[0]
        lab.write_bytes(topic, value)
        if topic == topics.EVENTS:  # read at recovery only
            lab.loop.kill(node)
            _, spy, _ = lab.start()
        await lab.until(lambda: bool(lab.letters()))
        [letter] = lab.letters()
        assert (letter.topic, letter.found_by) == (topic, f"dispatcher-{len(lab.dispatchers)}")
        assert letter.reason
        assert spy.counts[f"dispatcher_dead_letters_total {topic}"] == 1
        lab.say(request())
        await lab.until(lambda: bool(lab.answers("r1:request")))

    lab.run(story)


def test_a_snapshot_a_minute_from_which_the_next_one_goes_on(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        await asyncio.sleep(130)
        node, _, _ = lab.dispatchers[0]
        lab.loop.kill(node)
        batch = lab.city().batch
        taken = {record.key for record in lab.records(topics.SNAPSHOTS)}
        assert 2 <= len(taken) <= 3
        events = lab.broker.partition(topics.EVENTS, 0)
        newest = await snapshots.newest(lab.bus("reader"), 0)
        assert newest is not None
        events.delete_before(newest.events_offset)
        _, spy, _ = lab.start()
        await lab.until(lambda: spy.is_ready)
        lab.say(request())
        await offer_of(lab, "r1")
        last = lab.events()[-1]
        assert last.batch > batch
        assert "EpochStarted" not in lab.kinds()

    lab.run(story)


def test_lost_events_without_a_snapshot_begin_a_new_epoch_with_an_empty_city(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        node, _, _ = lab.dispatchers[0]
        lab.loop.kill(node)
        before = lab.city()
        events = lab.broker.partition(topics.EVENTS, 0)
        events.delete_before(events.stable - 3)
        _, spy, _ = lab.start()
        await lab.until(lambda: spy.is_ready)
        begun = [event for event in lab.events() if isinstance(event, m.EpochStarted)]
        assert [event.reason for event in begun] == ["events_lost"]
        assert begun[0].batch == before.batch + 1
        lab.say(online(1, "back"))
        await lab.until(lambda: bool(lab.answers("back")))
        assert m.tag_of(lab.answers("back")[0]) == "DriverCameOnline"

    lab.run(story)


@pytest.mark.parametrize(
    ("topic", "reason"), [(topics.COMMANDS, "commands_recreated"), (topics.LOCATIONS, "locations_recreated")]
)
@pytest.mark.parametrize("grown", [False, True], ids=["shorter", "grown past the offset"])
def test_an_input_made_anew_begins_a_new_epoch(lab: Lab, topic: str, reason: str, grown: bool) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        node, _, _ = lab.dispatchers[0]
        lab.loop.kill(node)
        before = lab.city()
        lab.broker.create_topic(topic)
        recorded = before.commands_offset if topic == topics.COMMANDS else before.locations_offset
        if grown:
            lab.write_bytes(topic, *[b"{}"] * (recorded + 3))
        _, spy, _ = lab.start()
        await lab.until(lambda: spy.is_ready)
        after = lab.city()
        assert after.epoch != before.epoch
        assert [e.reason for e in lab.events() if isinstance(e, m.EpochStarted)] == ["birth", reason]
        assert 1 in after.drivers
        lab.say(request())
        await offer_of(lab, "r1")

    lab.run(story)


def test_inputs_both_made_anew_begin_one_epoch_that_says_so(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        lab.loop.kill(lab.dispatchers[0][0])
        lab.broker.create_topic(topics.COMMANDS)
        lab.broker.create_topic(topics.LOCATIONS)
        _, spy, _ = lab.start()
        await lab.until(lambda: spy.is_ready)
        begun = [event.reason for event in lab.events() if isinstance(event, m.EpochStarted)]
        assert begun == ["birth", "inputs_recreated"]

    lab.run(story)


def test_fixes_in_a_snapshot_from_before_their_topic_was_made_anew_count_for_nothing(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        await asyncio.sleep(70)
        assert lab.records(topics.SNAPSHOTS)
        lab.loop.kill(lab.dispatchers[0][0])
        lab.broker.create_topic(topics.LOCATIONS)
        lab.on_air = {2: 5}
        node, spy, _ = lab.start()
        await lab.until(lambda: spy.is_ready and lab.city().locations_offset > 3)
        lab.loop.kill(node)
        found = await recover(lab.bus("reader"), 0, lambda: "0" * 16)
        assert found.epoch is None
        assert sorted(found.newest.drivers) == [2]
        assert found.newest.drivers[2].offset == found.locations_offset - 1

    lab.run(story)


def test_a_dead_letter_is_small_whatever_it_is_about(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        value = b'{"type":"' + b"x" * 900_000 + b'"}'
        record = Outgoing(b"k" * 900_000, value, (("big", b"h" * 900_000),))
        lab.broker.partition(topics.COMMANDS, 0).append([record], lab.now_ms())
        await lab.until(lambda: bool(lab.letters()))
        [letter] = lab.records(topics.DEAD_LETTERS)
        assert len(letter.value or b"") < 30_000
        assert letter.headers == ()

    lab.run(story)


def test_commands_that_retention_took_are_said_to_be_skipped(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        lab.loop.kill(lab.dispatchers[0][0])
        lab.say(request("gone"), request("kept"))
        commands = lab.broker.partition(topics.COMMANDS, 0)
        commands.delete_before(commands.end - 1)
        lab.start()
        await lab.until(lambda: bool(lab.answers("kept:request")))
        [skipped] = [event for event in lab.events() if isinstance(event, m.InputSkipped)]
        assert (skipped.topic, skipped.next - skipped.first) == (topics.COMMANDS, 1)
        assert not lab.answers("gone:request")

    lab.run(story)


def test_after_a_long_absence_the_first_batch_is_of_the_present(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        lab.loop.kill(lab.dispatchers[0][0])
        await asyncio.sleep(300)
        batch = lab.city().batch
        lab.start()
        await lab.until(lambda: lab.city().batch > batch)
        [first] = [e for e in lab.events() if isinstance(e, m.BatchClosed) and e.batch == batch + 1]
        assert lab.now_ms() - first.at_ms < 3_000
        assert "DriverLost" not in lab.kinds()

    lab.run(story)


def test_a_broker_that_comes_back_finds_the_dispatcher_waiting(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        _, spy, task = lab.dispatchers[0]
        lab.broker.harshness.down = True
        await lab.until(lambda: not spy.is_ready)
        await asyncio.sleep(120)
        assert not task.done()
        lab.broker.harshness.down = False
        await lab.until(lambda: spy.is_ready)
        lab.say(request())
        await offer_of(lab, "r1")

    lab.run(story)


def test_a_broker_that_stays_away_ends_the_process_with_the_reason(lab: Lab) -> None:
    async def story(lab: Lab) -> None:
        await live(lab)
        node, _, task = lab.dispatchers[0]
        lab.broker.harshness.down = True
        await lab.until(task.done, within_s=600)
        assert isinstance(task.exception(), Unavailable)
        assert node.state is State.UP

    lab.run(story)
