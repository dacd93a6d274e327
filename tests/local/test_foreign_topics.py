# SPDX-License-Identifier: Apache-2.0
"""Services on a cluster whose topics do not exist yet, or were made by somebody else."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from taxi.bus.kafka.admin import KafkaAdmin
from taxi.topics import specs
from taxistream.local.ports import PortPool
from testing.kafka_server import KafkaServer
from testing.real_city import RealCity, real_city, wait_for
from tests.local.conftest import NEEDS_KAFKA, Taxi

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

WITHIN_S = 60
EVERY = [spec.name for spec in specs()]


@pytest.fixture(scope="module")
def creating_cluster(tmp_path_factory: pytest.TempPathFactory, ports: PortPool) -> Iterator[KafkaServer]:
    """A broker that creates any topic that it is asked for, as Kafka's default is."""
    folder = tmp_path_factory.mktemp("creating")
    server = KafkaServer(folder, ports.take())
    with (folder / "kafka" / "server.properties").open("a") as properties:
        properties.write("auto.create.topics.enable=true\n")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def city(
    creating_cluster: KafkaServer, tmp_path: Path, ports: PortPool, request: pytest.FixtureRequest
) -> Iterator[RealCity]:
    prefix = f"{request.node.name[:30]}."
    with real_city(creating_cluster.bootstrap_servers, prefix, tmp_path, ports.take) as running:
        yield running


def variables(city: RealCity, **more: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": city.settings.kafka_bootstrap_servers,
        "TAXI_PREFIX": city.settings.prefix,
        **more,
    }


def existing(city: RealCity) -> set[str]:
    async def ask() -> set[str]:
        async with KafkaAdmin.connect(city.settings) as admin:
            return set(await admin.describe_topics(EVERY))

    return asyncio.run(ask())


def test_services_create_no_topic_and_start_when_somebody_has_made_them(
    city: RealCity, taxi: Taxi, ports: PortPool
) -> None:
    parts = [
        city.start("dispatcher"),
        city.start("simulator", "simulator", TAXI_DRIVERS="50"),
        city.start("gateway", "gateway", TAXI_PORT=str(ports.take())),
    ]
    for part in parts:
        wait_for(partial(part.said, "fault"), WITHIN_S, f"{part.name} says what is missing")
        [line] = [line for line in part.lines() if line.get("code") == "topics_missing"]
        assert "`taxi topics` makes them" in line["text"]
        assert not part.is_ready()
    assert existing(city) == set()
    assert taxi("topics", **variables(city)).returncode == 0
    wait_for(lambda: all(part.is_ready() for part in parts), WITHIN_S, "everyone is ready")


def test_topics_made_otherwise_are_named_and_altered_on_demand(city: RealCity, taxi: Taxi) -> None:
    async def make_by_default() -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=city.settings.kafka_bootstrap_servers)
        await client.start()
        await client.create_topics([NewTopic(city.settings.prefix + name, 1, 1) for name in EVERY])
        await client.close()

    asyncio.run(make_by_default())
    dispatcher = city.start("dispatcher")
    wait_for(lambda: dispatcher.said("fault") > 0, WITHIN_S, "it says what is wrong")
    assert not dispatcher.is_ready()

    refused = taxi("topics", "--json", **variables(city))
    assert refused.returncode == 1
    essential = {
        (d["topic"], d["setting"]) for d in json.loads(refused.stdout)["differences"] if d["essential"]
    }
    assert essential == {
        ("taxi.locations", "message.timestamp.type"),
        ("taxi.commands", "message.timestamp.type"),
        ("taxi.snapshots", "cleanup.policy"),
    }

    fixed = taxi("topics", "--fix", "--json", **variables(city))
    assert fixed.returncode == 0, fixed.stderr
    assert json.loads(fixed.stdout)["differences"] == []
    wait_for(dispatcher.is_ready, WITHIN_S, "it goes on by itself")


def test_a_city_without_a_partition_is_refused_in_words_and_gets_one(city: RealCity, taxi: Taxi) -> None:
    city.make_topics()
    city.cities = "manhattan,uptown=manhattan"
    two_cities = variables(city, TAXI_CITIES=city.cities)
    uptown = city.start("simulator", "simulator", TAXI_CITY="uptown", TAXI_DRIVERS="50")
    wait_for(lambda: uptown.said("fault") > 0, WITHIN_S, "it says that its partition is missing")
    [line] = [line for line in uptown.lines() if line.get("code") == "topics_wrong"]
    assert "taxi.locations has 1 partitions, not 2" in line["text"]

    assert taxi("topics", "--partitions", "1", **two_cities).returncode == 2
    assert taxi("topics", **two_cities).returncode == 1
    assert taxi("topics", "--fix", **two_cities).returncode == 0
    dispatcher = city.start("dispatcher")
    wait_for(lambda: uptown.is_ready() and dispatcher.is_ready(), WITHIN_S, "both cities live")
