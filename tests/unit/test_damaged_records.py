# SPDX-License-Identifier: Apache-2.0
"""What a reader could not parse reaches every consumer as an undecodable record, and stops none of them."""

import asyncio
import base64

import pytest

from dispatcher.batch_input import digest
from dispatcher.core import DecisionConfig
from simulator.streets import Streets
from taxi import topics
from taxi.bus import NO_TIME, Damaged, Record
from taxi.messages import Fix, codec
from taxi.positions.columns import read_fixes
from taxi.state import snapshots
from taxi.state.batches import WholeBatches
from taxistream.tools.audit.shell import audit
from taxistream.tools.oracle.city import OracleCity
from taxistream.tools.oracle.errors import BrokenLogError
from taxistream.tools.replay.shell import INPUT_DAMAGED, verify
from testing.core_harness import GRID, answer, request
from testing.still_bus import StillBus, at_once
from tests.unit.dispatcher.harness import DispatcherHarness
from tests.unit.dispatcher.test_dispatcher_shell import offer_of, read_back
from tests.unit.simulator.conftest import grid  # noqa: F401 - a fixture
from tests.unit.simulator.harness import SimulatorHarness

REASON = "a header's name is not UTF-8"
HALF_OF_A_RECORD = b"\x10\x00\xfe"


def damaged(offset: int, end: int = 0, *, at_ms: int = 5) -> Damaged:
    return Damaged(offset, at_ms, None, None, reason=REASON, end=end or offset + 1, raw=b"raw")


@pytest.mark.parametrize("topic", [spec.name for spec in topics.specs()])
def test_decoding_it_is_an_error_with_its_reason(topic: str) -> None:
    with pytest.raises(codec.DecodeError, match=REASON):
        codec.decode(topic, damaged(3))


def test_a_position_that_is_damaged_does_not_cost_those_beside_it() -> None:
    value = codec.encode(Fix(driver=1, at_ms=5, lng=0, lat=0))
    read = read_fixes([Record(0, 5, None, value), damaged(1, 7, at_ms=9), Record(7, 6, None, value)])
    assert read.fixes.offset.tolist() == [0, 7]
    assert [str(error) for error in read.unreadable] == [f"taxi.locations@1: {REASON}"]


def test_a_range_of_damaged_events_is_reported_whole() -> None:
    """What it took of a batch, see test_batches."""
    batches = WholeBatches()
    assert list(batches.feed([damaged(0, 3)])) == []
    assert [error.record.next_offset for error in batches.unreadable] == [3]


def test_the_identity_of_a_topic_is_not_taken_from_what_cannot_be_parsed() -> None:
    assert digest(damaged(3)) == ""
    assert digest(Record(3, 5, None, b"x")) != ""


# --- the dispatcher ----------------------------------------------------------------------------------


@pytest.fixture
def harness() -> DispatcherHarness:
    return DispatcherHarness()


def damage(harness: DispatcherHarness, topic: str, count: int = 1) -> int:
    return harness.broker.partition(topic, 0).append_damaged(
        REASON, harness.now_ms(), count=count, raw=HALF_OF_A_RECORD
    )


@pytest.mark.parametrize("topic", [topics.COMMANDS, topics.LOCATIONS, topics.EVENTS])
@pytest.mark.parametrize("count", [1, 3])
def test_the_dispatcher_writes_a_dead_letter_and_goes_on(
    harness: DispatcherHarness, topic: str, count: int
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        node, spy, _ = harness.dispatchers[0]
        offset = damage(harness, topic, count)
        if topic == topics.EVENTS:  # read at recovery only
            harness.loop.kill(node)
            _, spy, _ = harness.start()
        await harness.until(lambda: bool(harness.letters()))
        [letter] = harness.letters()
        assert (letter.topic, letter.offset, letter.reason) == (topic, offset, REASON)
        assert letter.next == (offset + count if count > 1 else 0)
        assert base64.b64decode(letter.value) == HALF_OF_A_RECORD
        assert spy.counts[f"dispatcher_dead_letters_total {topic}"] == 1
        harness.say(request())
        await harness.until(lambda: bool(harness.answers("r1:request")))

    harness.run(scenario)


@pytest.mark.parametrize("topic", [topics.COMMANDS, topics.LOCATIONS])
def test_a_restart_behind_it_takes_the_topic_for_the_same_one(harness: DispatcherHarness, topic: str) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.on_air.clear()
        await asyncio.sleep(5)
        end = damage(harness, topic, 2) + 2
        await harness.until(lambda: end in {harness.city().commands_offset, harness.city().locations_offset})
        harness.loop.kill(harness.dispatchers[0][0])
        found = await read_back(harness)
        assert found.epoch_to_begin is None

    harness.run(scenario)


@pytest.mark.parametrize("topic", [topics.COMMANDS, topics.LOCATIONS])
def test_a_restart_behind_what_the_disk_damaged_takes_the_topic_for_the_same_one(
    harness: DispatcherHarness, topic: str
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.on_air.clear()
        await asyncio.sleep(5)
        place = harness.broker.partition(topic, 0)
        harness.loop.kill(harness.dispatchers[0][0])
        place.corrupt(place.end - 1, place.end)
        found = await read_back(harness)
        assert found.epoch_to_begin is None

    harness.run(scenario)


def test_a_damaged_part_of_a_snapshot_is_passed_over(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "MINUTE_MS", 10_000)

    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        place = harness.broker.partition(topics.SNAPSHOTS, 0)
        await asyncio.sleep(35)
        harness.loop.kill(harness.dispatchers[0][0])
        before = await snapshots.newest(harness.bus("reader"), 0)
        damage(harness, topics.SNAPSHOTS, 4)
        after = await snapshots.newest(harness.bus("reader"), 0)
        assert before is not None
        assert after is not None
        assert after.state.batch == before.state.batch
        place.corrupt(0, place.end)
        assert await snapshots.newest(harness.bus("reader"), 0) is None
        assert await snapshots.every(harness.bus("reader"), 0) == []

    harness.run(scenario)


# --- those who check ---------------------------------------------------------------------------------


def history(harness: DispatcherHarness) -> None:
    """A ride, and damage in both inputs and in the dead letters while a dispatcher reads them."""

    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        for topic in (topics.COMMANDS, topics.LOCATIONS, topics.DEAD_LETTERS):
            damage(harness, topic, 2)
        harness.say(request())
        harness.say(answer(await offer_of(harness, "r1")))
        await harness.until(lambda: len(harness.broker.partition(topics.DEAD_LETTERS, 0).entries) >= 4)
        await asyncio.sleep(5)

    harness.run(scenario)


def test_replay_and_audit_find_nothing_wrong_with_it(harness: DispatcherHarness) -> None:
    history(harness)
    decision_config = DecisionConfig()
    verdict = at_once(
        verify(
            StillBus(harness.broker),
            0,
            GRID,
            code_digest=lambda _: decision_config.code_digest,
            data_digest=decision_config.data_digest,
        )
    )
    assert verdict.difference is None
    assert verdict.verified == harness.city().batch
    assert at_once(audit(StillBus(harness.broker), [0])).violations == {}


def test_what_the_disk_damaged_since_is_no_difference_and_no_violation(harness: DispatcherHarness) -> None:
    """The dispatcher read and answered it; a check no longer can, and says so."""
    history(harness)
    place = harness.broker.partition(topics.COMMANDS, 0)
    ride = next(e.record.offset for e in place.entries if b"RequestRide" in (e.record.value or b""))
    place.corrupt(ride, ride + 1)
    decision_config = DecisionConfig()
    verdict = at_once(
        verify(
            StillBus(harness.broker),
            0,
            GRID,
            code_digest=lambda _: decision_config.code_digest,
            data_digest=decision_config.data_digest,
        )
    )
    assert verdict.difference is None
    assert verdict.not_verifiable[INPUT_DAMAGED] > 0
    assert at_once(audit(StillBus(harness.broker), [0])).violations == {}


def test_the_oracle_passes_over_it() -> None:
    city = OracleCity(0)
    begun = b'{"type":"EpochStarted","batch":1,"at_ms":7,"epoch":"e","city":"grid"}'
    closed = b'{"type":"BatchClosed","batch":1,"at_ms":7,"count":2,"commands_offset":0,"locations_offset":0}'
    no_events = [
        *(b"\xff", b"[]", b"[" * 100_000, None),
        *(b'{"type":"BatchClosed"}', b'{"type":"BatchClosed","batch":1,"at_ms":7}', b'{"type":1,"batch":1}'),
    ]
    others = [Record(3 + n, 1, None, value) for n, value in enumerate(no_events)]
    last = [Record(10, 1, None, begun), Record(11, 1, None, closed)]
    city.feed_events([damaged(0, 3), *others, *last], 12)
    assert city.events.last.ev == 12
    lost = Record(12, 1, None, b'{"type":"DriverLost","batch":2,"at_ms":7}')
    second = Record(13, 1, None, b'{"type":"BatchClosed","batch":2,"at_ms":7,"count":2}')
    with pytest.raises(BrokenLogError, match="makes no sense"):
        city.feed_events([lost, second], 14)
    fix = codec.encode(Fix(driver=1, at_ms=6, lng=0, lat=0))
    city.feed_positions([Record(0, 6, None, fix), damaged(1, 5, at_ms=NO_TIME)], 5)
    assert city.positions.end == 5
    assert city.positions.dropped() == [(1, "unreadable")]


# --- the simulator -----------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", [topics.LOCATIONS, topics.EVENTS])
def test_the_simulator_counts_it_and_goes_on(grid: Streets, topic: str) -> None:  # noqa: F811
    harness = SimulatorHarness(grid)

    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        place = harness.broker.partition(topic, 0)
        place.append_damaged(REASON, harness.now_ms(), count=3)
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        assert spy.counts["simulator_undecodable_total"] >= 1
        end = harness.broker.partition(topics.LOCATIONS, 0).end
        await harness.until(lambda: harness.broker.partition(topics.LOCATIONS, 0).end > end + 8)

    try:
        harness.loop.run_until_complete(scenario())
        assert harness.loop.errors == []
    finally:
        harness.loop.shut_down()
