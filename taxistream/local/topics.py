# SPDX-License-Identifier: Apache-2.0
"""Makes the topics on a cluster, finds how existing ones differ from what they should be, and alters them."""

from collections.abc import Mapping

import msgspec

from taxi.bus import BusError, Unavailable
from taxi.bus.kafka.admin import KafkaAdmin, TopicDescription
from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxi.runtime.settings import Settings
from taxi.topics import TopicSpec, specs

PARTITIONS = "partitions"


class TopicDifference(msgspec.Struct, frozen=True):
    """A topic that is not as it should be. `setting` is Kafka's name, or `partitions`."""

    topic: str
    setting: str
    wanted: str
    found: str
    essential: bool
    """Whether it breaks a promise of the system, rather than costing disk or speed only."""


class TopicReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was made, what was altered, and what still differs."""

    cluster_id: str
    created: tuple[str, ...]
    existing: tuple[str, ...]
    missing: tuple[str, ...]
    altered: tuple[TopicDifference, ...] = ()
    differences: tuple[TopicDifference, ...]

    @property
    def broken(self) -> tuple[TopicDifference, ...]:
        """The differences that break a promise."""
        return tuple(difference for difference in self.differences if difference.essential)


async def ensure(
    environ: Mapping[str, str],
    *,
    bounded: bool,
    partitions: int | None = None,
    replicas: int | None = None,
    create: bool = True,
    fix: bool = False,
) -> TopicReport:
    """Make the missing topics (unless `create` is false), compare the others, and alter them if `fix`.

    Args:
        environ: where the settings are read from.
        bounded: whether topics are bounded in size, as a demo's are.
        partitions: at least one for each city. None: as many as there are cities.
        replicas: None: three, or as many as there are brokers.
        create: whether to create what is missing.
        fix: whether to alter existing topics to what they should be. No partition or record is deleted,
            but records that a new retention does not cover are, by the broker.

    Raises:
        LocalError: the cluster does not answer or refuses, or there are more cities than `partitions`.
    """
    settings = Settings.from_env(environ)
    partitions = partitions_for(settings, partitions)
    wanted = specs(bounded=bounded)
    names = [spec.name for spec in wanted]
    try:
        async with KafkaAdmin.connect(settings) as admin:
            before = await admin.describe_topics(names)
            made = (
                await admin.ensure_topics(wanted, partitions=partitions, replicas=replicas) if create else ()
            )
            found = _compare(wanted, before, partitions)
            altered = tuple(found) if fix else ()
            if altered:
                await _alter(admin, before, altered)
                found = _compare(wanted, await admin.describe_topics(names), partitions)
            return TopicReport(
                cluster_id=await admin.cluster_id(),
                created=made,
                existing=tuple(name for name in names if name in before),
                missing=tuple(name for name in names if name not in before and name not in made),
                altered=altered,
                differences=tuple(found),
            )
    except Unavailable as error:
        raise LocalError(
            f"No Kafka answers at {settings.kafka_bootstrap_servers}.",
            do="Start it, or name another with KAFKA_BOOTSTRAP_SERVERS; `taxi kafka` runs one here.",
        ) from error
    except BusError as error:
        raise LocalError(
            f"The Kafka at {settings.kafka_bootstrap_servers} refused the request: {error}.",
            do="docs/operations.md lists the rights that are needed.",
        ) from error


def partitions_for(settings: Settings, wanted: int | None) -> int:
    """How many partitions each topic needs. Raises LocalError if `wanted` is too few for the cities."""
    cities = settings.served()
    if wanted is not None and wanted < len(cities):
        raise LocalError(
            f"{wanted} partitions are too few: {len(cities)} cities are configured "
            f"({', '.join(city.name for city in cities)}), and each needs one.",
            do=f"Use --partitions {len(cities)} or more, or name fewer in TAXI_CITIES.",
            code=WRONG_USE,
        )
    return wanted or len(cities)


def differences(spec: TopicSpec, topic: TopicDescription, partitions: int) -> list[TopicDifference]:
    """Where `topic` is not what `spec` says. Settings beyond the spec are its owner's business.

    A topic whose settings may not be described (no right to) is compared by its partitions alone.
    """
    found = [
        TopicDifference(spec.name, setting, value, has, spec.is_essential(setting, has))
        for setting, value in spec.config.items()
        if (has := topic.config.get(setting, value)) != value
    ]
    if topic.partitions < partitions:
        found.append(TopicDifference(spec.name, PARTITIONS, str(partitions), str(topic.partitions), True))
    return found


def _compare(
    wanted: tuple[TopicSpec, ...], found: Mapping[str, TopicDescription], partitions: int
) -> list[TopicDifference]:
    return [
        difference
        for spec in wanted
        if spec.name in found
        for difference in differences(spec, found[spec.name], partitions)
    ]


async def _alter(
    admin: KafkaAdmin, topics: Mapping[str, TopicDescription], changes: tuple[TopicDifference, ...]
) -> None:
    for name in dict.fromkeys(change.topic for change in changes):
        mine = {change.setting: change.wanted for change in changes if change.topic == name}
        partitions = mine.pop(PARTITIONS, None)
        if mine:
            await admin.alter_topic(topics[name], mine)
        if partitions is not None:
            await admin.grow_topic(name, int(partitions))
