# SPDX-License-Identifier: Apache-2.0
"""Topics that somebody else made: which differences break a promise, and what a service says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from taxi.bus import Unavailable
from taxi.bus.kafka.admin import TopicDescription
from taxi.runtime.faults import Faults
from taxi.runtime.machine_errors import LocalError
from taxi.runtime.settings import Settings
from taxi.runtime.topic_check import TopicCheck
from taxi.topics import COMMANDS, EVENTS, LOCATIONS, SNAPSHOTS, specs
from taxistream.local.topics import differences, partitions_for
from testing.memory_world import Spy

SOUND = {spec.name: TopicDescription(spec.name, 1, 1, dict(spec.config)) for spec in specs()}


def altered(name: str, **settings: str) -> dict[str, TopicDescription]:
    """The sound topics, one with other settings (dots as underscores)."""
    config = SOUND[name].config | {key.replace("_", "."): value for key, value in settings.items()}
    return {**SOUND, name: replace(SOUND[name], config=config)}


class Cluster:
    """Describes whatever it holds."""

    def __init__(self, topics: Mapping[str, TopicDescription] | None) -> None:
        self.topics = topics
        self.faults, self.log = Faults(), Spy()

    async def describe(self, names: Sequence[str]) -> Mapping[str, TopicDescription]:
        if self.topics is None:
            raise Unavailable("no broker answers")
        return {name: self.topics[name] for name in names if name in self.topics}

    def check(self, *, partitions: int = 1) -> TopicCheck:
        return TopicCheck(list(SOUND), partitions, self.describe, self.faults, self.log)

    @property
    def text(self) -> str:
        return self.faults.blocking or ""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("topics", "text"),
    [
        (altered(LOCATIONS, message_timestamp_type="CreateTime"), "message.timestamp.type=CreateTime"),
        (altered(COMMANDS, message_timestamp_type="CreateTime"), "message.timestamp.type=CreateTime"),
        (altered(EVENTS, cleanup_policy="compact"), "cleanup.policy=compact"),
        (altered(LOCATIONS, cleanup_policy="compact,delete"), "cleanup.policy=compact,delete"),
        (altered(SNAPSHOTS, cleanup_policy="delete"), "cleanup.policy=delete"),
        (altered(SNAPSHOTS, max_message_bytes="100000"), "max.message.bytes=100000"),
        (altered(EVENTS, retention_ms="60000"), "retention.ms=60000"),
    ],
)
async def test_a_setting_that_breaks_a_promise_blocks_and_is_named(
    topics: Mapping[str, TopicDescription], text: str
) -> None:
    cluster = Cluster(topics)
    assert not await cluster.check().check_once()
    assert text in cluster.text
    assert "`taxi topics --fix`" in cluster.text


@pytest.mark.anyio
@pytest.mark.parametrize(
    "topics",
    [
        SOUND,
        altered(EVENTS, retention_ms="-1"),
        altered(LOCATIONS, segment_ms="1000"),
        altered(SNAPSHOTS, cleanup_policy="compact,delete", max_message_bytes="700000"),
    ],
)
async def test_a_difference_that_costs_speed_or_disk_only_is_no_fault(
    topics: Mapping[str, TopicDescription],
) -> None:
    assert await Cluster(topics).check().check_once()


@pytest.mark.anyio
async def test_too_few_partitions_and_missing_topics_are_named() -> None:
    cluster = Cluster({name: topic for name, topic in SOUND.items() if name != SNAPSHOTS})
    assert not await cluster.check(partitions=2).check_once()
    assert "topics are missing: taxi.snapshots. `taxi topics` makes them" in cluster.text
    assert "taxi.locations has 1 partitions, not 2" in cluster.text


@pytest.mark.anyio
async def test_the_fault_clears_when_the_topics_are_as_they_should_be() -> None:
    cluster = Cluster({})
    check = cluster.check()
    assert not await check.check_once()
    cluster.topics = SOUND
    assert await check.check_once()
    assert cluster.faults.current == ()


@pytest.mark.anyio
async def test_without_the_right_to_describe_settings_the_log_says_that_they_are_not_checked() -> None:
    cluster = Cluster({name: replace(topic, config={}) for name, topic in SOUND.items()})
    check = cluster.check()
    assert await check.check_once()
    assert await check.check_once()
    assert cluster.log.said == ["the settings of topics are not checked"]


@pytest.mark.anyio
async def test_a_broker_that_is_away_is_no_fault_of_the_topics() -> None:
    cluster = Cluster(None)
    await cluster.check().until_sound()
    assert cluster.faults.current == ()


def test_every_difference_that_a_check_blocks_on_is_essential_to_the_command_line_too() -> None:
    [wrong] = differences(specs()[0], altered(LOCATIONS, message_timestamp_type="CreateTime")[LOCATIONS], 1)
    assert wrong.essential
    [slow] = differences(specs()[0], altered(LOCATIONS, segment_ms="1000")[LOCATIONS], 1)
    assert not slow.essential


def test_partitions_follow_the_number_of_cities() -> None:
    two = Settings(cities="manhattan,uptown=manhattan")
    assert (partitions_for(two, None), partitions_for(two, 5), partitions_for(Settings(), None)) == (2, 5, 1)
    with pytest.raises(LocalError, match=r"2 cities are configured \(manhattan, uptown\)"):
        partitions_for(two, 1)
