# SPDX-License-Identifier: Apache-2.0
"""Makes the topics on a cluster, and tells how existing ones differ from what they should be."""

from collections.abc import Mapping

import msgspec

from taxi.bus import BusError, Unavailable
from taxi.bus.kafka_admin import KafkaAdmin, Topic
from taxi.local.errors import LocalError
from taxi.runtime.settings import KNOWN, Settings
from taxi.topics import TopicSpec, specs


class Difference(msgspec.Struct, frozen=True):
    """A topic that is not as it should be. `setting` is Kafka's name, or `partitions`."""

    topic: str
    setting: str
    wanted: str
    found: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was made and what differs."""

    cluster_id: str
    created: tuple[str, ...]
    existing: tuple[str, ...]
    missing: tuple[str, ...]
    differences: tuple[Difference, ...]


async def ensure(
    environ: Mapping[str, str],
    *,
    bounded: bool,
    partitions: int = 1,
    replicas: int | None = None,
    create: bool = True,
) -> Report:
    """Make the missing topics (unless told not to) and compare the others. Changes no existing topic.

    `replicas` None: three, or as many as there are brokers. Raises LocalError when the cluster does not
    answer or refuses.
    """
    settings = Settings.from_env(environ, also=KNOWN)
    wanted = specs(bounded=bounded)
    names = [spec.name for spec in wanted]
    try:
        async with KafkaAdmin.connect(settings) as admin:
            before = await admin.describe_topics(names)
            made = (
                await admin.ensure_topics(wanted, partitions=partitions, replicas=replicas) if create else ()
            )
            return Report(
                cluster_id=await admin.cluster_id(),
                created=made,
                existing=tuple(name for name in names if name in before),
                missing=tuple(name for name in names if name not in before and name not in made),
                differences=tuple(
                    difference
                    for spec in wanted
                    if spec.name in before
                    for difference in differences(spec, before[spec.name], partitions)
                ),
            )
    except Unavailable as error:
        raise LocalError(
            f"No Kafka answers at {settings.kafka_bootstrap_servers}.",
            do="Start it, or name another with KAFKA_BOOTSTRAP_SERVERS; `taxi kafka` runs one here.",
        ) from error
    except BusError as error:
        raise LocalError(
            f"The Kafka at {settings.kafka_bootstrap_servers} refuses: {error}.",
            do="docs/operations.md lists the rights that are needed.",
        ) from error


def differences(spec: TopicSpec, topic: Topic, partitions: int) -> list[Difference]:
    """Where `topic` is not what `spec` says. Settings beyond the spec are its owner's business."""
    found = [
        Difference(spec.name, key, value, topic.config.get(key, "the cluster's default"))
        for key, value in spec.config.items()
        if topic.config.get(key) != value
    ]
    if topic.partitions < partitions:
        found.append(Difference(spec.name, "partitions", str(partitions), str(topic.partitions)))
    return found
