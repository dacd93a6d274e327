# SPDX-License-Identifier: Apache-2.0
"""One broker, or a cluster of three on this machine: prepares their folders, ports and configurations.

    kafka/            one broker: its data, cluster id and configuration
    kafka/kafka-1 …   three: the same for each

Each node is broker and controller (combined mode), because three controllers of their own would need three
more Java processes on a laptop. So the kill of a node is also the kill of a controller.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from rich.console import Console

from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxistream.local import broker
from taxistream.local import jars as kafka_jars
from taxistream.local.broker import BrokerPlan
from taxistream.local.broker_files import BrokerFiles, format_once, java_command, new_cluster_id
from taxistream.local.java import Java
from taxistream.local.java import find as find_java
from taxistream.local.paths import check_name
from taxistream.local.ports import Holds

CLUSTER_SIZE: Final = 3
"""The brokers of a cluster: the fewest of which one can fail while two acknowledge."""
_MAJORITY: Final = 2


def check_size(brokers: int) -> None:
    """Raise LocalError unless so many brokers can be run."""
    if brokers not in {1, CLUSTER_SIZE}:
        raise LocalError(
            f"--brokers {brokers}: a demo has 1 broker or {CLUSTER_SIZE}.",
            do="With 3, one can fail and the city continues; with 2 it could not.",
            code=WRONG_USE,
        )


def nodes(home: Path, brokers: int) -> tuple[BrokerFiles, ...]:
    """The files of each broker of a cluster that keeps its logs in `home`."""
    if brokers == 1:
        return (BrokerFiles(home),)
    return tuple(BrokerFiles(home / f"kafka-{n}", n, is_alone=False) for n in range(1, brokers + 1))


def size_found(home: Path) -> int | None:
    """How many brokers made what is in `home`; None if it holds no log."""
    if any(files.home.exists() for files in nodes(home, CLUSTER_SIZE)):
        return CLUSTER_SIZE
    alone = BrokerFiles(home)
    return 1 if alone.identity.exists() or alone.data.exists() else None


def prepare_all(
    home: Path,
    brokers: int,
    *,
    port: int | None = None,
    spoken_for: frozenset[int] = frozenset(),
    holds: Holds,
    console: Console | None = None,
) -> tuple[BrokerPlan, ...]:
    """Make everything ready for one broker or three; download Kafka if need be.

    Args:
        home: The folder of all.
        brokers: How many.
        port: Where the first serves; None: 19092, or the next free one.
        spoken_for: Ports that none must take.
        holds: What keeps other demos off the ports from now on.
        console: Where a download shows how far it is.

    Raises LocalError: as `broker.prepare`, or the folder was made with another number of brokers, or so many
    data folders are missing that the rest may lack records that were acknowledged.
    """
    check_size(brokers)
    check_name(home)
    found = size_found(home)
    if found is not None and found != brokers:
        raise LocalError(
            f"The log in {home} was made with --brokers {found} and cannot be used with --brokers {brokers}.",
            do=f"Start with --brokers {found}, choose another --data-dir, or start over with --fresh.",
            code=WRONG_USE,
        )
    if brokers == 1:
        return (broker.prepare(home, port=port, spoken_for=spoken_for, holds=holds, console=console),)
    return _prepare_cluster(nodes(home, brokers), port, spoken_for, holds, console)


def _prepare_cluster(
    cluster: Sequence[BrokerFiles],
    port: int | None,
    spoken_for: frozenset[int],
    holds: Holds,
    console: Console | None,
) -> tuple[BrokerPlan, ...]:
    ports = _ports(len(cluster), port, spoken_for, holds)
    java = find_java()
    cluster_id = shared_id(cluster) or new_cluster_id()
    folder = kafka_jars.ensure(kafka_jars.directory(), console or Console(stderr=True))
    jars = [folder / jar.name for jar in kafka_jars.pinned()]
    controllers = [controller for _, controller in ports]
    for files, (client_port, controller_port) in zip(cluster, ports, strict=True):
        files.write(client_port, controller_port, jars, controllers)
    with ThreadPoolExecutor(len(cluster)) as pool:
        list(pool.map(lambda files: format_once(files, java, cluster_id), cluster))
    return tuple(
        BrokerPlan(
            command=(*java_command(files, java), "kafka.Kafka", files.properties.name),
            cwd=files.home.absolute(),
            port=client_port,
            controller_port=controller_port,
            cluster_id=cluster_id,
            name=f"kafka-{files.node}",
            before_start=_replacer(files, cluster, java),
        )
        for files, (client_port, controller_port) in zip(cluster, ports, strict=True)
    )


def shared_id(cluster: Sequence[BrokerFiles]) -> str | None:
    """The id of the cluster that these brokers form, None if there is none yet.

    One broker with an empty data folder gets its copies from the other two. With two empty folders, what is
    left may lack records that the two had acknowledged.

    Raises LocalError: a data directory is not ours, they are of different clusters, or two are empty.
    """
    ids = [files.cluster_id() for files in cluster]
    known = sorted({found for found in ids if found is not None})
    if len(known) > 1:
        raise LocalError(
            f"The brokers in {cluster[0].home.parent} belong to different clusters: {', '.join(known)}.",
            do="Restore the right folders, choose another --data-dir, or start over with --fresh.",
            code=WRONG_USE,
        )
    missing = [str(files.data) for files, found in zip(cluster, ids, strict=True) if found is None]
    if any(files.has_run for files in cluster) and len(cluster) - len(missing) < _MAJORITY:
        raise LocalError(
            f"The data of most brokers is missing ({', '.join(missing)}), so records may be lost.",
            do="Restore one of these folders, choose another --data-dir, or start over with --fresh.",
            code=WRONG_USE,
        )
    return known[0] if known else None


def _replacer(files: BrokerFiles, cluster: Sequence[BrokerFiles], java: Java) -> Callable[[], None]:
    """What gives a broker an empty data directory if its own is gone: it then copies from the others."""

    def replace() -> None:
        if files.cluster_id() is None and (cluster_id := shared_id(cluster)) is not None:
            format_once(files, java, cluster_id)

    return replace


def _ports(brokers: int, port: int | None, spoken_for: frozenset[int], holds: Holds) -> list[tuple[int, int]]:
    """The client port and the controller port of each broker."""
    # Only the first broker's port can be asked for.
    return [
        broker.take_ports(port if n == 0 else None, spoken_for, holds, start=port) for n in range(brokers)
    ]
