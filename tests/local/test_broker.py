# SPDX-License-Identifier: Apache-2.0
"""The local broker: a real Kafka, started, killed, moved, mixed up."""

import socket
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxi.topics import COMMANDS
from taxistream.local import jars
from taxistream.local.broker import LocalBroker, answers, local_broker, prepare, serves
from taxistream.local.broker_files import BrokerFiles
from taxistream.local.data_dir import DataDir
from taxistream.local.doctor import examine
from taxistream.local.ports import PortPool
from taxistream.local.topics import ensure
from testing.live_demo import until
from tests.local.conftest import NEEDS_KAFKA

pytestmark = NEEDS_KAFKA


def test_the_download_is_as_large_as_announced(kafka_is_here: Path) -> None:
    assert sum(jar.stat().st_size for jar in kafka_is_here.glob("*.jar")) == jars.BYTES


async def test_another_cluster_on_the_brokers_port_is_not_taken_for_it(
    tmp_path: Path, ports: PortPool
) -> None:
    async with local_broker(tmp_path / "theirs", ports.take()) as broker:
        assert await serves(broker.plan)
        with pytest.raises(LocalError, match=f"Another Kafka \\({broker.cluster_id}\\) answers"):
            await serves(replace(broker.plan, cluster_id="ours"))


async def write(broker: LocalBroker, value: bytes) -> None:
    await ensure({"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}, bounded=True)
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    await producer.start()
    await producer.send_and_wait(COMMANDS, value, partition=0)
    await producer.stop()


async def read_all(broker: LocalBroker) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap_servers)
    await consumer.start()
    place = TopicPartition(COMMANDS, 0)
    consumer.assign([place])
    await consumer.seek_to_beginning(place)
    end = (await consumer.end_offsets([place]))[place]
    values: list[bytes | None] = []
    while await consumer.position(place) < end:
        values += [record.value for record in (await consumer.getmany(timeout_ms=1000)).get(place, [])]
    await consumer.stop()
    return values


async def test_a_broker_serves_and_leaves_no_process(tmp_path: Path, ports: PortPool) -> None:
    async with local_broker(tmp_path / "kafka", ports.take()) as broker:
        assert await answers(broker.bootstrap_servers) == broker.cluster_id
        pid = broker.pid
    assert not psutil.pid_exists(pid)


async def test_a_stopped_broker_goes_on_with_its_log_on_another_port(tmp_path: Path, ports: PortPool) -> None:
    async with local_broker(tmp_path / "kafka", ports.take()) as broker:
        await write(broker, b"before")
        cluster_id = broker.cluster_id
    async with local_broker(tmp_path / "kafka", ports.take()) as broker:
        await write(broker, b"after")
        assert broker.cluster_id == cluster_id
        assert await read_all(broker) == [b"before", b"after"]


async def test_a_killed_broker_recovers_what_it_acknowledged(tmp_path: Path, ports: PortPool) -> None:
    async with local_broker(tmp_path / "kafka", ports.take()) as broker:
        await write(broker, b"acknowledged")
        broker.kill()
        await broker.start()
        assert await read_all(broker) == [b"acknowledged"]


async def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path, ports: PortPool) -> None:
    port = ports.take()
    named = pytest.raises(LocalError, match=rf"Port {port} \(Kafka\) is taken by")
    with socket.create_server(("127.0.0.1", port)), named as caught:
        prepare(tmp_path / "kafka", port=port)
    assert caught.value.code == WRONG_USE
    assert not (tmp_path / "kafka").exists()


def test_the_brokers_second_port_keeps_off_one_that_is_spoken_for(tmp_path: Path, ports: PortPool) -> None:
    port = ports.take()
    plan = prepare(tmp_path / "kafka", port=port, spoken_for=frozenset({port + 1}))
    assert plan.controller_port > port + 1


def test_the_data_directory_of_another_cluster_is_refused_and_left_alone(
    tmp_path: Path, ports: PortPool
) -> None:
    prepare(tmp_path / "ours", port=ports.take())
    theirs = prepare(tmp_path / "theirs", port=ports.take())
    ours = BrokerFiles(tmp_path / "ours")
    for file in ours.data.iterdir():
        if file.is_file():
            file.unlink()
    (ours.data / "meta.properties").write_text((tmp_path / "theirs/data/meta.properties").read_text())
    with pytest.raises(LocalError, match=f"another Kafka: its cluster is {theirs.cluster_id}") as caught:
        prepare(tmp_path / "ours", port=ports.take())
    assert caught.value.code == WRONG_USE
    assert "--fresh" in caught.value.do
    assert "--data-dir" in caught.value.do


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"meta.properties": "version=1\ncluster.id=x\nnode.id=7\n"}, "node 7"),
        ({"orders-0": "something"}, "no meta.properties"),
    ],
)
def test_a_directory_that_no_broker_of_ours_made_is_refused(
    tmp_path: Path, ports: PortPool, files: dict[str, str], why: str
) -> None:
    data = tmp_path / "kafka" / "data"
    data.mkdir(parents=True)
    for name, text in files.items():
        (data / name).write_text(text)
    with pytest.raises(LocalError, match=why):
        prepare(tmp_path / "kafka", port=ports.take())
    assert {path.name for path in data.iterdir()} == files.keys()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("cluster-id", b"\xff\xfe", "cluster-id is not text"),
        ("cluster-id", None, "cluster-id: Is a directory"),
        ("data/meta.properties", b"\xe9", "its meta.properties is not text"),
        ("data/meta.properties", b"", "its cluster is unnamed"),
        ("data/meta.properties", None, "meta.properties: Is a directory"),
    ],
)
def test_a_damaged_identity_is_named_and_fresh_mends_it(
    tmp_path: Path, ports: PortPool, name: str, content: bytes | None, why: str
) -> None:
    home = DataDir(tmp_path / "taxi")
    with home.held():
        prepare(home.kafka, port=ports.take())
        (home.kafka / name).unlink()
        if content is None:
            (home.kafka / name).mkdir()
        else:
            (home.kafka / name).write_bytes(content)
        with pytest.raises(LocalError, match=why) as caught:
            prepare(home.kafka, port=ports.take())
        assert "--fresh" in caught.value.do
        [finding] = [found for found in examine(home.path, 1) if found.name == "data"]
        assert finding.state == "problem"
        assert why.rpartition(" ")[2] in finding.text
        home.start_over()
        prepare(home.kafka, port=ports.take())


def test_an_identity_that_a_power_cut_emptied_is_no_other_cluster(tmp_path: Path, ports: PortPool) -> None:
    before = prepare(tmp_path / "kafka", port=ports.take())
    BrokerFiles(tmp_path / "kafka").identity.write_bytes(b"")
    assert prepare(tmp_path / "kafka", port=ports.take()).cluster_id == before.cluster_id


def test_a_file_in_the_place_of_the_log_is_named(tmp_path: Path, ports: PortPool) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "data").write_text("")
    with pytest.raises(LocalError, match="Not a directory") as caught:
        prepare(tmp_path / "kafka", port=ports.take())
    assert "--fresh" in caught.value.do


def test_a_data_directory_that_was_half_made_is_made_again(tmp_path: Path, ports: PortPool) -> None:
    half = tmp_path / "kafka" / "data.new"
    half.mkdir(parents=True)
    (half / "meta.properties").write_text("version=1\ncluster.id=half")
    plan = prepare(tmp_path / "kafka", port=ports.take())
    assert BrokerFiles(tmp_path / "kafka").cluster_id() == plan.cluster_id != "half"
    assert not half.exists()


async def test_a_broker_that_dies_at_its_start_shows_the_end_of_its_log(
    tmp_path: Path, ports: PortPool
) -> None:
    plan = prepare(tmp_path / "kafka", port=ports.take())
    (tmp_path / "kafka" / "server.properties").write_text("process.roles=emperor\n")
    with pytest.raises(LocalError, match="Kafka ended while starting") as caught:
        await LocalBroker(plan, tmp_path / "kafka.log").start()
    assert "process.roles" in caught.value.details


async def test_an_idle_broker_leaves_the_processor_alone(tmp_path: Path, ports: PortPool) -> None:
    """Under a tenth of a core once it has settled (about 0.03 was measured)."""
    async with local_broker(tmp_path / "kafka", ports.take()) as broker:
        process = psutil.Process(broker.pid)
        until(lambda: process.cpu_percent(interval=1) < 10, 10, "a second with less than 0.1 s of CPU")
        assert process.memory_info().rss < 500 << 20
