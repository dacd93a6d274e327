# SPDX-License-Identifier: Apache-2.0
"""What the shell decided is decided alike again; what is not, is shown; what can't be told, is counted."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from dispatcher.core import Mandate
from replay.shell import FIXES_GONE, INPUT_GONE, NO_SNAPSHOT, OTHER_CODE, OTHER_DATA, Verdict, report, verify
from taxi import snapshots, topics
from taxi.bus.memory import MemoryBroker
from tests.simulation.still_bus import StillBus, at_once
from tests.unit.dispatcher import lab as dispatchers
from tests.unit.dispatcher.lab import Lab
from tests.unit.dispatcher.test_dispatcher_shell import live, offer_of
from tests.unit.dispatcher.town import GRID, answer, online, request

MANDATE = Mandate()


async def with_a_ride(lab: Lab) -> None:
    """Two drivers on the air, one on the way to a rider."""
    await live(lab)
    lab.on_air[2] = 14
    lab.say(online(2), request("r1"))
    lab.say(answer(await offer_of(lab, "r1")))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    """Forty seconds of a small city, a snapshot every ten, one dispatcher killed and succeeded."""
    monkeypatch.setattr(snapshots, "MINUTE_MS", 10_000)
    lab = Lab()

    async def story(lab: Lab) -> None:
        await with_a_ride(lab)
        await asyncio.sleep(15)
        lab.write_bytes(topics.COMMANDS, b"rubbish")
        lab.loop.kill(lab.dispatchers[0][0])
        lab.start()
        lab.say(request("r2"))
        await offer_of(lab, "r2")
        await asyncio.sleep(15)
        forget_the_living(lab)

    lab.run(story)
    return lab.broker


def forget_the_living(lab: Lab) -> None:
    """The log outlives its world, and must not hold on to anybody who waited for an answer in it."""
    lab.dispatchers.clear()
    lab.broker.groups._groups.clear()
    for partition in lab.broker.partitions.values():
        partition._waiting.clear()


def verified(broker: MemoryBroker, *, everything: bool = False, **digests: str) -> Verdict:
    wanted = {"code_digest": MANDATE.code_digest, "data_digest": MANDATE.data_digest, **digests}
    return at_once(verify(StillBus(broker, everything=everything), 0, GRID, **wanted))


def bodies(broker: MemoryBroker) -> list[dict[str, Any]]:
    return [
        json.loads(e.record.value or b"{}")
        for e in broker.partition(topics.EVENTS, 0).entries
        if not e.is_marker
    ]


def batches(broker: MemoryBroker) -> list[dict[str, Any]]:
    return [body for body in bodies(broker) if body["type"] == "BatchClosed"]


def alter(broker: MemoryBroker, topic: str, old: bytes, new: bytes) -> None:
    """Change the first record that holds `old`, as nobody can on a real log."""
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


def test_another_version_of_the_code_is_told_and_its_batches_are_not_verified(log: MemoryBroker) -> None:
    verdict = verified(log, code_digest="another")
    assert verdict.exit_code == 2
    assert verdict.not_verifiable == {OTHER_CODE: len(batches(log))}


def test_another_street_network_is_told(log: MemoryBroker) -> None:
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
    told = report(verdict, 0)["difference"]
    assert json.loads(told["recorded"]["value"])["type"] == kind
    assert told["recorded"] != told["decided"]
    assert told["batch"] == json.loads(told["recorded"]["value"])["batch"]
    assert verdict.verified < len(batches(log))


def handed_over(
    monkeypatch: pytest.MonkeyPatch, between: Callable[[MemoryBroker], None], code: str = ""
) -> Lab:
    """Twenty seconds of one dispatcher, then as many of its heir, a snapshot every ten."""
    monkeypatch.setattr(snapshots, "MINUTE_MS", 10_000)
    lab = Lab()

    async def story(lab: Lab) -> None:
        await with_a_ride(lab)
        await asyncio.sleep(17)
        lab.loop.kill(lab.dispatchers[0][0])
        between(lab.broker)
        monkeypatch.setattr(dispatchers, "Mandate", lambda: Mandate(code_digest=code))
        lab.start()
        lab.say(online(1, "1:again"), online(2, "2:again"), request("r2"))
        await offer_of(lab, "r2")
        await asyncio.sleep(20)
        forget_the_living(lab)

    lab.run(story)
    return lab


def changed_at(broker: MemoryBroker, kind: str) -> int:
    """The batch in which the last event of a kind stands."""
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
