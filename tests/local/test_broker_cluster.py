# SPDX-License-Identifier: Apache-2.0
"""A cluster of three brokers: its configuration, and the folders that it refuses."""

from pathlib import Path

import pytest

from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxi.runtime.parts import is_broker
from taxistream.local.broker_cluster import nodes, prepare_all, shared_id, size_found
from taxistream.local.broker_files import BrokerFiles
from taxistream.local.ports import Holds

PORTS = [(41, 42), (43, 44), (45, 46)]


def properties(files: BrokerFiles) -> dict[str, str]:
    lines = files.properties.read_text("ascii").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def written(home: Path) -> list[dict[str, str]]:
    """The configuration of each of three brokers."""
    cluster = nodes(home, 3)
    for files, (port, controller_port) in zip(cluster, PORTS, strict=True):
        files.write(port, controller_port, [], [controller for _, controller in PORTS])
    return [properties(files) for files in cluster]


def made(files: BrokerFiles, cluster_id: str, *, has_run: bool = True) -> None:
    """A data directory as a broker leaves it."""
    files.data.mkdir(parents=True)
    files.identity.write_text(cluster_id)
    (files.data / "meta.properties").write_text(f"cluster.id={cluster_id}\nnode.id={files.node}\n")
    if has_run:
        (files.data / "__cluster_metadata-0").mkdir()


def test_every_topic_has_three_copies_of_which_two_acknowledge(tmp_path: Path) -> None:
    for settings in written(tmp_path):
        copies = {key: value for key, value in settings.items() if key.endswith("replication.factor")}
        assert set(copies.values()) == {"3"}
        assert {"default", "offsets.topic", "transaction.state.log"} <= {
            key.removesuffix(".replication.factor") for key in copies
        }
        least = {key: value for key, value in settings.items() if "min.isr" in key or "min.insync" in key}
        assert set(least.values()) == {"2"}
        assert {"min.insync.replicas", "transaction.state.log.min.isr"} <= least.keys()


def test_each_node_votes_and_has_ports_and_data_of_its_own(tmp_path: Path) -> None:
    found = written(tmp_path)
    voters = "1@127.0.0.1:42,2@127.0.0.1:44,3@127.0.0.1:46"
    assert [settings["controller.quorum.voters"] for settings in found] == [voters] * 3
    assert [settings["node.id"] for settings in found] == ["1", "2", "3"]
    assert {settings["process.roles"] for settings in found} == {"broker,controller"}
    assert [settings["advertised.listeners"] for settings in found] == [
        f"PLAINTEXT://127.0.0.1:{port}" for port, _ in PORTS
    ]
    assert len({files.data for files in nodes(tmp_path, 3)}) == 3


def test_one_broker_keeps_one_copy_and_needs_no_voters(tmp_path: Path) -> None:
    (files,) = nodes(tmp_path, 1)
    files.write(41, 42, [])
    settings = properties(files)
    assert files.home == tmp_path
    assert settings["offsets.topic.replication.factor"] == "1"
    assert settings["controller.quorum.bootstrap.servers"] == "127.0.0.1:42"
    assert not {"controller.quorum.voters", "min.insync.replicas"} & settings.keys()


@pytest.mark.parametrize(("before", "now"), [(1, 3), (3, 1)])
def test_the_log_of_another_number_of_brokers_is_refused_and_left_alone(
    tmp_path: Path, before: int, now: int
) -> None:
    for files in nodes(tmp_path, before):
        made(files, "ours")
    kept = sorted(tmp_path.rglob("*"))
    with Holds() as holds, pytest.raises(LocalError, match=f"made with --brokers {before}") as caught:
        prepare_all(tmp_path, now, holds=holds)
    assert caught.value.code == WRONG_USE
    assert f"--brokers {before}" in caught.value.do
    assert "--fresh" in caught.value.do
    assert sorted(tmp_path.rglob("*")) == kept


@pytest.mark.parametrize("brokers", [0, 2, 4])
def test_other_numbers_of_brokers_are_refused(tmp_path: Path, brokers: int) -> None:
    with Holds() as holds, pytest.raises(LocalError, match="1 broker or 3") as caught:
        prepare_all(tmp_path / "kafka", brokers, holds=holds)
    assert caught.value.code == WRONG_USE
    assert not (tmp_path / "kafka").exists()


def test_a_folder_without_a_log_may_become_either(tmp_path: Path) -> None:
    assert size_found(tmp_path) is None
    assert size_found(tmp_path / "none") is None
    assert shared_id(nodes(tmp_path, 3)) is None


def test_one_broker_may_come_back_with_an_empty_disk(tmp_path: Path) -> None:
    cluster = nodes(tmp_path, 3)
    for files in cluster[:2]:
        made(files, "ours")
    assert shared_id(cluster) == "ours"


def test_two_empty_disks_are_refused_because_the_third_may_lack_records(tmp_path: Path) -> None:
    cluster = nodes(tmp_path, 3)
    made(cluster[1], "ours")
    with pytest.raises(LocalError, match="The data of most brokers is missing") as caught:
        shared_id(cluster)
    assert str(cluster[0].data) in caught.value.what
    assert str(cluster[1].data) not in caught.value.what


def test_a_first_start_that_was_interrupted_is_completed(tmp_path: Path) -> None:
    cluster = nodes(tmp_path, 3)
    made(cluster[2], "ours", has_run=False)
    assert shared_id(cluster) == "ours"


def test_brokers_of_two_clusters_are_refused(tmp_path: Path) -> None:
    cluster = nodes(tmp_path, 3)
    for files, cluster_id in zip(cluster, ("ours", "ours", "theirs"), strict=True):
        made(files, cluster_id)
    with pytest.raises(LocalError, match="different clusters: ours, theirs"):
        shared_id(cluster)


def test_a_broker_is_known_by_the_name_of_its_part() -> None:
    names = ("kafka", "kafka-3", "gateway-1", "simulator")
    assert [is_broker(name) for name in names] == [True, True, False, False]
