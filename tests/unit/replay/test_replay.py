# SPDX-License-Identifier: Apache-2.0
"""Replay decides recorded batches equally, reports differences, and counts what is not verifiable."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from dispatcher.core import DecisionConfig
from taxi import messages as m
from taxi import topics
from taxi.bus.memory.bus import MemoryBroker
from taxi.state import snapshots
from taxi.state.batches import producer_of
from taxistream.tools.replay.shell import (
    EVENTS_GAP,
    FIXES_GONE,
    INPUT_GONE,
    NO_SNAPSHOT,
    OTHER_CODE,
    OTHER_DATA,
    ReplayOutcome,
    report,
    verify,
)
from testing.core_harness import GRID, answer, online, request
from testing.foreign import FOREIGN_EVENTS, ID, commit, foreign_events, hold_open
from testing.still_bus import StillBus, at_once
from tests.unit.dispatcher import harness as dispatchers
from tests.unit.dispatcher.harness import DispatcherHarness
from tests.unit.dispatcher.test_dispatcher_shell import offer_of

DECISION_CONFIG = DecisionConfig()


async def with_a_ride(harness: DispatcherHarness) -> None:
    """Two drivers on the air, one on the way to a rider."""
    await harness.start_live()
    harness.on_air[2] = 14
    harness.say(online(2), request("r1"))
    harness.say(answer(await offer_of(harness, "r1")))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    """Forty seconds of a small city, a snapshot every ten, one dispatcher killed and succeeded."""
    monkeypatch.setattr(snapshots, "MINUTE_MS", 10_000)
    harness = DispatcherHarness()

    async def scenario(harness: DispatcherHarness) -> None:
        await with_a_ride(harness)
        await asyncio.sleep(15)
        harness.write_bytes(topics.COMMANDS, b"rubbish")
        harness.loop.kill(harness.dispatchers[0][0])
        harness.start()
        harness.say(request("r2"))
        await offer_of(harness, "r2")
        await asyncio.sleep(15)
        forget_the_living(harness)

    harness.run(scenario)
    return harness.broker


def forget_the_living(harness: DispatcherHarness) -> None:
    """The log outlives its world, and must not hold on to anybody who waited for an answer in it."""
    harness.dispatchers.clear()
    harness.broker.groups._groups.clear()
    for partition in harness.broker.partitions.values():
        partition._waiting.clear()


def verified(broker: MemoryBroker, *, everything: bool = False, **digests: str) -> ReplayOutcome:
    code = digests.get("code_digest", DECISION_CONFIG.code_digest)
    data = digests.get("data_digest", DECISION_CONFIG.data_digest)
    bus = StillBus(broker, everything=everything)
    return at_once(verify(bus, 0, GRID, code_digest=lambda _: code, data_digest=data))


def bodies(broker: MemoryBroker) -> list[dict[str, Any]]:
    return [
        json.loads(e.record.value or b"{}")
        for e in broker.partition(topics.EVENTS, 0).entries
        if not e.is_marker
    ]


def batches(broker: MemoryBroker) -> list[dict[str, Any]]:
    return [body for body in bodies(broker) if body["type"] == "BatchClosed"]


def alter(broker: MemoryBroker, topic: str, old: bytes, new: bytes) -> None:
    """Change the first record that holds `old`, which is impossible on a real log."""
    entries = broker.partition(topic, 0).entries
    index = next(i for i, entry in enumerate(entries) if old in (entry.record.value or b""))
    record = entries[index].record
    value = (record.value or b"").replace(old, new)
    entries[index] = entries[index]._replace(record=replace(record, value=value))


def test_every_batch_is_decided_alike_again_from_the_birth_of_the_log_on(log: MemoryBroker) -> None:
    verdict = verified(log)
    assert verdict.exit_code == 0
    assert (verdict.first, verdict.last) == (1, len(batches(log)))
    assert verdict.verified == len(batches(log))
    assert verdict.not_verifiable.total() == 0
    assert verdict.digest == verified(log).digest != ""


def test_it_begins_at_the_oldest_snapshot_whose_input_is_there_and_counts_what_was_before(
    log: MemoryBroker,
) -> None:
    locations = log.partition(topics.LOCATIONS, 0)
    locations.delete_before(locations.end // 3)
    verdict = verified(log)
    assert verdict.exit_code == 0
    assert verdict.first is not None
    assert verdict.first > 1
    assert verdict.last == len(batches(log))
    assert verdict.not_verifiable.total() == verdict.first - 1
    assert verdict.not_verifiable[INPUT_GONE] > 0
    assert verdict.digest != verified(log, everything=True).digest


def test_where_the_first_events_are_gone_it_waits_for_a_snapshot(log: MemoryBroker) -> None:
    log.partition(topics.EVENTS, 0).delete_before(2)
    verdict = verified(log)
    assert verdict.exit_code == 0
    assert verdict.not_verifiable[NO_SNAPSHOT] > 0


def test_without_input_nothing_is_verified_and_nothing_is_claimed(log: MemoryBroker) -> None:
    locations = log.partition(topics.LOCATIONS, 0)
    locations.delete_before(locations.end)
    verdict = verified(log)
    assert (verdict.exit_code, verdict.verified, verdict.digest) == (2, 0, "")
    assert verdict.not_verifiable[INPUT_GONE] + verdict.not_verifiable[NO_SNAPSHOT] == len(batches(log))


def test_another_version_of_the_code_is_reported_and_its_batches_are_not_verified(log: MemoryBroker) -> None:
    verdict = verified(log, code_digest="another")
    assert verdict.exit_code == 2
    assert verdict.not_verifiable == {OTHER_CODE: len(batches(log))}


def test_another_street_network_is_reported(log: MemoryBroker) -> None:
    verdict = verified(log, data_digest="another")
    assert verdict.exit_code == 2
    assert verdict.not_verifiable == {OTHER_DATA: len(batches(log))}


@pytest.mark.parametrize(
    ("topic", "old", "new", "kind"),
    [
        (topics.EVENTS, b'"eta_s":', b'"eta_s":1', "RideOffered"),
        (topics.COMMANDS, b'"rider":"ann"', b'"rider":"eve"', "RideRequested"),
        (topics.COMMANDS, b'"accept":true', b'"accept":false', "RideAssigned"),
    ],
)
def test_the_first_difference_is_shown(
    log: MemoryBroker, topic: str, old: bytes, new: bytes, kind: str
) -> None:
    alter(log, topic, old, new)
    verdict = verified(log)
    assert verdict.exit_code == 1
    difference = report(verdict, 0)["difference"]
    assert json.loads(difference["recorded"]["value"])["type"] == kind
    assert difference["recorded"] != difference["decided"]
    assert difference["batch"] == json.loads(difference["recorded"]["value"])["batch"]
    assert verdict.verified < len(batches(log))


def handed_over(
    monkeypatch: pytest.MonkeyPatch, between: Callable[[MemoryBroker], None], code: str = ""
) -> DispatcherHarness:
    """Twenty seconds of one dispatcher, then as many of its heir, a snapshot every ten."""
    monkeypatch.setattr(snapshots, "MINUTE_MS", 10_000)
    harness = DispatcherHarness()

    async def scenario(harness: DispatcherHarness) -> None:
        await with_a_ride(harness)
        await asyncio.sleep(17)
        harness.loop.kill(harness.dispatchers[0][0])
        between(harness.broker)
        monkeypatch.setattr(dispatchers, "DecisionConfig", lambda: DecisionConfig(code_digest=code))
        harness.start()
        harness.say(online(1, "1:again"), online(2, "2:again"), request("r2"))
        await offer_of(harness, "r2")
        await asyncio.sleep(20)
        forget_the_living(harness)

    harness.run(scenario)
    return harness


def changed_at(broker: MemoryBroker, kind: str) -> int:
    """The batch with the last event of a kind."""
    return max(int(body["batch"]) for body in bodies(broker) if body["type"] == kind)


def test_what_another_version_decided_is_followed_and_the_rest_verified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = handed_over(monkeypatch, lambda _: None, code="newer").broker
    newer, last = changed_at(broker, "PolicyActivated"), len(batches(broker))
    assert 1 < newer < last
    verdict = verified(broker)
    assert (verdict.exit_code, verdict.first, verdict.last) == (2, 1, newer - 1)
    assert verdict.not_verifiable == {OTHER_CODE: last - newer + 1}
    verdict = verified(broker, code_digest="newer")
    assert (verdict.exit_code, verdict.first, verdict.last) == (2, newer, last)
    assert verdict.not_verifiable == {OTHER_CODE: newer - 1}


def test_who_knew_fewer_fixes_than_the_log_ever_held_is_not_verified_until_the_next_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def retention(broker: MemoryBroker) -> None:
        locations = broker.partition(topics.LOCATIONS, 0)
        locations.delete_before(locations.end)

    broker = handed_over(monkeypatch, retention).broker
    gap, last = changed_at(broker, "InputSkipped"), len(batches(broker))
    verdict = verified(broker, everything=True)
    assert verdict.exit_code == 0
    assert verdict.not_verifiable[FIXES_GONE] > 0
    assert verdict.last == last
    assert verdict.verified + verdict.not_verifiable.total() == last
    assert verdict.verified > gap - 1, "what was before, and what the next snapshot covers"


def test_a_city_that_lost_its_events_is_decided_again_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(broker: MemoryBroker) -> None:
        for topic, left in ((topics.EVENTS, 2), (topics.SNAPSHOTS, 0)):  # its last BatchClosed and a marker
            partition = broker.partition(topic, 0)
            partition.delete_before(partition.end - left)

    broker = handed_over(monkeypatch, lose).broker
    lost, last = changed_at(broker, "EpochStarted"), len(batches(broker))
    assert 1 < lost < last
    verdict = verified(broker, everything=True)
    assert (verdict.exit_code, verdict.verified, verdict.not_verifiable.total()) == (0, last, 0)


def test_what_an_open_transaction_holds_back_is_said(log: MemoryBroker) -> None:
    assert verified(log).held_back is None
    whole = verified(log).verified
    log._now_s, log._ticking = (lambda: 0.0), True  # its world has ended, and its clock with it
    hold_open(log, topics.EVENTS)
    verdict = verified(log)
    assert verdict.verified == whole
    assert verdict.held_back is not None
    assert ID in verdict.held_back
    assert report(verdict, 0)["held_back"] == verdict.held_back


# --- what others and the disk put on the log --------------------------------------------------------


def test_foreign_events_keep_nothing_from_being_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MINUTE_MS", 10_000)
    harness = DispatcherHarness()

    async def scenario(harness: DispatcherHarness) -> None:
        await with_a_ride(harness)
        for kind in FOREIGN_EVENTS:
            commit(harness.broker, *foreign_events(kind, harness.city().batch, harness.now_ms()), name=kind)
            await asyncio.sleep(2)
        when: dict[str, Any] = {"batch": harness.city().batch + 1, "at_ms": harness.now_ms()}
        commit(
            harness.broker,
            m.EpochStarted(**when, epoch="f" * 16, city="grid", reason="inputs_recreated"),
            name="x",
        )
        harness.loop.kill(harness.dispatchers[0][0])
        harness.start()
        harness.say(request("r2"))
        await offer_of(harness, "r2")
        forget_the_living(harness)

    harness.run(scenario)
    own = harness.broker.producer_id_of("taxi.dispatcher.0")
    events = [
        e.record for e in harness.broker.partition(topics.EVENTS, 0).entries if e.record.writer is not None
    ]
    closed = [r for r in events if b"BatchClosed" in (r.value or b"") and producer_of(r) == own]
    for start in (0, 3):
        harness.broker.partition(topics.EVENTS, 0).delete_before(start)
        verdict = verified(harness.broker)
        assert verdict.exit_code == 0
        assert verdict.verified + verdict.not_verifiable.total() == len(closed) - (start > 0), (
            "the first one is cut"
        )
        assert verdict.not_verifiable.total() == (0 if not start else verdict.not_verifiable[NO_SNAPSHOT])


def test_behind_damaged_events_it_begins_again_at_a_snapshot(log: MemoryBroker) -> None:
    all_of_them = len(batches(log))
    place = log.partition(topics.EVENTS, 0)
    at = next(i for i, entry in enumerate(place.entries) if b"RideOffered" in (entry.record.value or b""))
    place.corrupt(at, at + 1)
    verdict = verified(log)
    assert verdict.exit_code == 0
    assert verdict.not_verifiable[EVENTS_GAP] > 0
    assert verdict.last == all_of_them
    assert verdict.verified + verdict.not_verifiable.total() == all_of_them - 1, "one lacks an event"


def test_behind_lost_events_it_begins_empty_as_the_dispatcher_did() -> None:
    """Its state up to the damage ends a batch before the last one that the dispatcher knew of."""
    harness = DispatcherHarness()

    async def scenario(harness: DispatcherHarness) -> None:
        await with_a_ride(harness)
        await harness.until(lambda: "RideAssigned" in harness.kinds())
        harness.loop.kill(harness.dispatchers[0][0])
        place = harness.broker.partition(topics.EVENTS, 0)
        at = max(i for i, e in enumerate(place.entries) if b'"RideAssigned"' in (e.record.value or b""))
        place.corrupt(at, at + 1)
        harness.start()
        await harness.until(lambda: b"events_lost" in b"".join(e.record.value or b"" for e in place.entries))
        harness.say(request("r2"))
        await asyncio.sleep(10)
        forget_the_living(harness)

    harness.run(scenario)
    verdict = verified(harness.broker)
    assert verdict.difference is None
    assert verdict.last is not None
    assert verdict.verified == verdict.last - 1, "one lacks an event"
