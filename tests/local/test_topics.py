# SPDX-License-Identifier: Apache-2.0
"""`taxi topics`: makes what is missing, tells what differs, changes nothing that exists."""

import json
from pathlib import Path

import pytest

from taxi.bus.kafka.admin import KafkaAdmin, TopicDescription
from taxi.runtime.settings import Settings
from taxi.topics import COMMANDS, EVENTS, LOCATIONS, TopicSpec, specs
from taxistream.local.broker import local_broker
from taxistream.local.ports import PortPool
from taxistream.local.topics import TopicDifference, differences
from tests.local.conftest import Taxi

SPEC = TopicSpec("t", {"cleanup.policy": "delete", "retention.ms": "5"})


def test_a_topic_as_wanted_has_no_difference() -> None:
    extra = {**SPEC.config, "compression.type": "zstd"}
    assert differences(SPEC, TopicDescription("t", 3, 1, extra), 3) == []


def test_settings_and_partitions_that_differ_are_named() -> None:
    assert differences(
        SPEC, TopicDescription("t", 1, 1, {"cleanup.policy": "compact", "retention.ms": "6"}), 2
    ) == [
        TopicDifference("t", "cleanup.policy", "delete", "compact", essential=True),
        TopicDifference("t", "retention.ms", "5", "6", essential=True),
        TopicDifference("t", "partitions", "2", "1", essential=True),
    ]


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka_is_here")
async def test_topics_are_made_once_and_checked_ever_after(
    tmp_path: Path, ports: PortPool, taxi: Taxi
) -> None:
    async with local_broker(tmp_path / "kafka", ports.take()) as broker:
        cluster = {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "TAXI_PREFIX": "shared."}
        every = [spec.name for spec in specs()]

        checked = taxi("topics", "--check", "--json", **cluster)
        assert (checked.returncode, json.loads(checked.stdout)["missing"]) == (1, every)

        made = json.loads(taxi("topics", "--json", "--replication-factor", "1", **cluster).stdout)
        assert (made["created"], made["existing"], made["cluster_id"]) == (every, [], broker.cluster_id)

        again = json.loads(taxi("topics", "--json", **cluster).stdout)
        assert (again["created"], again["existing"], again["differences"]) == ([], every, [])

        assert taxi("topics", "--check", **cluster).returncode == 0
        bounded = taxi("topics", "--check", "--bounded", **cluster)
        assert bounded.returncode == 1
        assert f"{LOCATIONS:<20} retention.bytes: -1, not" in bounded.stdout

        async with KafkaAdmin.connect(Settings.from_env(cluster)) as admin:
            assert set(await admin.describe_topics([COMMANDS, EVENTS])) == {COMMANDS, EVENTS}
