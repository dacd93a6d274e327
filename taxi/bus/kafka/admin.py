# SPDX-License-Identifier: Apache-2.0
"""Administration of a cluster's topics: create, describe, alter, delete."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Self

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, UnknownMemberIdError, for_code
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import TopicPartition

from taxi.bus import BusError, Unavailable
from taxi.bus.kafka.client import KafkaClient
from taxi.bus.kafka.config import KafkaConfig
from taxi.bus.kafka.limits import KafkaLimits
from taxi.bus.kafka.security import security
from taxi.topics import TopicSpec

_METADATA_MS: Final = 60_000
_SET_ON_TOPIC: Final = 1
"""Kafka's number for a setting's source: dynamic topic configuration."""


@dataclass(frozen=True)
class TopicDescription:
    """A topic as the cluster has it."""

    name: str
    """Without the prefix."""
    partitions: int
    replicas: int
    config: dict[str, str] = field(default_factory=dict)
    """Setting → value in effect, including the cluster's defaults. Empty without the right to describe
    them."""
    own: frozenset[str] = frozenset()
    """The names of the settings that are set on the topic itself."""


class KafkaAdmin:
    """The requests that need more rights than reading and writing."""

    def __init__(self, client: AIOKafkaAdminClient, prefix: str, patience_s: float) -> None:
        self._client = client
        self._prefix = prefix
        self._patience_s = patience_s

    @classmethod
    @asynccontextmanager
    async def connect(cls, config: KafkaConfig, *, limits: KafkaLimits | None = None) -> AsyncIterator[Self]:
        """Connect for the length of an `async with` block.

        Raises:
            Unavailable: No broker answered within `limits.give_up_s`.
            BusError: A request within the block failed or was refused.
        """
        limits = limits or KafkaLimits()
        client = AIOKafkaAdminClient(
            bootstrap_servers=config.kafka_bootstrap_servers,
            client_id="taxi-admin",
            request_timeout_ms=limits.request_ms,
            **security(config),
        )
        patient = replace(limits, answer_s=limits.request_ms / 1000)
        client._client = KafkaClient(config, "taxi-admin", patient, metadata_ms=_METADATA_MS)  # noqa: SLF001
        try:
            await _reach(client, limits.give_up_s)
            yield cls(client, config.prefix, limits.give_up_s)
        except (KafkaError, TimeoutError) as error:
            raise BusError(repr(error)) from error
        finally:
            await client.close()

    async def cluster_id(self) -> str:
        return str((await self._client.describe_cluster())["cluster_id"])

    async def ensure_topics(
        self, specs: Iterable[TopicSpec], *, partitions: int = 1, replicas: int | None = None
    ) -> tuple[str, ...]:
        """Create the topics that do not exist.

        Waits until the broker's metadata lists them, because a service that starts next must find them.

        Args:
            specs: The topics, with names without the prefix.
            partitions: Of each topic that is created.
            replicas: Of each topic that is created. None: three, or the number of brokers if that is less.

        Returns:
            The names of the topics that were created.

        Raises:
            BusError: The cluster refused to create one, or its metadata did not list it in time.
        """
        if replicas is None:
            replicas = min(3, len((await self._client.describe_cluster())["brokers"]))
        made = [
            NewTopic(self._prefix + spec.name, partitions, replicas, topic_configs=spec.config)
            for spec in specs
        ]
        answer = await self._client.create_topics(made)
        names = []
        for name, code, *_ in answer.topic_errors:
            if code == 0:
                names.append(name.removeprefix(self._prefix))
            elif for_code(code) is not TopicAlreadyExistsError:
                raise BusError(f"topic {name}: {for_code(code).__name__}")
        if names:
            await self._until_known(names)
        return tuple(names)

    async def _until_known(self, names: Sequence[str]) -> None:
        """Wait for the metadata: a broker learns of a new topic a moment after the controller created it."""
        try:
            async with asyncio.timeout(self._patience_s):
                while len(await self.describe_topics(names)) < len(names):  # noqa: ASYNC110 - there is no event
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise BusError(f"made, but not seen within {self._patience_s} s: {', '.join(names)}") from None

    async def describe_topics(self, names: Sequence[str]) -> dict[str, TopicDescription]:
        """Name → topic for those of `names` that exist.

        Never creates one, even if the cluster allows that.
        """
        wanted = [self._prefix + name for name in names]
        # aiokafka's own describe_topics allows the broker to create what is asked for.
        answer = await self._client._send_request(MetadataRequest(wanted, False))  # noqa: SLF001
        found = [t for t in answer.to_object()["topics"] if t["error_code"] == 0]
        configs = await self._configs([t["topic"] for t in found])
        topics = {}
        for t in found:
            name = t["topic"].removeprefix(self._prefix)
            entries = configs.get(t["topic"], {})
            topics[name] = TopicDescription(
                name,
                len(t["partitions"]),
                len(t["partitions"][0]["replicas"]),
                {setting: value for setting, (value, _) in entries.items()},
                frozenset(setting for setting, (_, is_own) in entries.items() if is_own),
            )
        return topics

    async def alter_topic(self, topic: TopicDescription, changes: Mapping[str, str]) -> None:
        """Change settings of a topic and keep its others.

        AlterConfigs replaces all settings of the topic, so the request contains the unchanged ones, too. A
        concurrent change of the same topic may be overwritten.

        Raises:
            BusError: The cluster refused.
        """
        config = {name: topic.config[name] for name in topic.own} | dict(changes)
        resource = ConfigResource(ConfigResourceType.TOPIC, self._prefix + topic.name, config)
        for answer in await self._client.alter_configs([resource]):
            for code, message, *_ in answer.resources:
                if code:
                    raise BusError(f"topic {topic.name}: {for_code(code).__name__}: {message}")

    async def grow_topic(self, name: str, partitions: int) -> None:
        """Add partitions until the topic has `partitions`. Existing partitions do not change."""
        await self._client.create_partitions({self._prefix + name: NewPartitions(partitions)})

    async def delete_topics(self, names: Sequence[str]) -> None:
        await self._client.delete_topics([self._prefix + name for name in names])

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Delete all records before `offset` (DeleteRecords)."""
        place = TopicPartition(self._prefix + topic, partition)
        await self._client.delete_records({place: RecordsToDelete(before_offset=offset)})

    async def remove_members(self, group: str, client_id: str) -> int:
        """Remove members from a consumer group, so that their partitions are reassigned at once.

        Without it the group waits for the session of a process that has ended to expire. A member that lives
        joins again: it loses its partitions, but nothing that it has written.

        Args:
            group: The group, without the prefix.
            client_id: The client id of the members to remove.

        Returns:
            How many members were removed.

        Raises:
            BusError: The group's coordinator refused.
        """
        name = self._prefix + group
        coordinator = await self._client.find_coordinator(name)
        removed = 0
        for answer in await self._client.describe_consumer_groups([name], coordinator):
            for code, _group, _state, _type, _protocol, members, *_ in answer.groups:
                if for_code(code) is not NoError:
                    raise BusError(f"group {name}: {for_code(code).__name__}")
                for member_id, its_client_id, *_ in members:
                    if its_client_id == client_id:
                        removed += await self._remove_member(name, member_id, coordinator)
        return removed

    async def _remove_member(self, group: str, member_id: str, coordinator: int) -> bool:
        """Send LeaveGroup for it. Returns False if it had left already."""
        answer = await self._client._send_request(LeaveGroupRequest(group, member_id), coordinator)  # noqa: SLF001
        error = for_code(answer.error_code)
        if error not in {NoError, UnknownMemberIdError}:
            raise BusError(f"group {group}: {error.__name__}")
        return error is NoError

    async def _configs(self, topics: list[str]) -> dict[str, dict[str, tuple[str, bool]]]:
        """Topic → setting → (value, whether it is set on the topic itself).

        Topics whose settings this client may not describe are missing.
        """
        if not topics:
            return {}
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        configs: dict[str, dict[str, tuple[str, bool]]] = {}
        for answer in await self._client.describe_configs(asked):
            for code, _message, _kind, topic, entries in answer.resources:
                if code == 0:
                    configs[topic] = {
                        name: (value, source == _SET_ON_TOPIC) for name, value, _ro, source, *_ in entries
                    }
        return configs


async def _reach(client: AIOKafkaAdminClient, within_s: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        try:
            await client.start()
            return
        except (KafkaError, OSError) as error:
            if loop.time() >= deadline:
                raise Unavailable(f"connect: {error}") from error
            await asyncio.sleep(0.1)
