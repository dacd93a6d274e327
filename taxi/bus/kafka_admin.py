# SPDX-License-Identifier: Apache-2.0
"""Topics of a cluster: make what is missing, tell what differs."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.structs import TopicPartition

from taxi.bus import BusError, Unavailable
from taxi.bus.kafka_link import Limits, security
from taxi.runtime.settings import Settings
from taxi.topics import TopicSpec


@dataclass(frozen=True)
class Topic:
    """A topic as the cluster has it. `config` holds what was set on it, not the broker's defaults."""

    name: str
    """Without the prefix."""
    partitions: int
    replicas: int
    config: dict[str, str] = field(default_factory=dict)


class KafkaAdmin:
    """What needs rights beyond reading and writing."""

    def __init__(self, client: AIOKafkaAdminClient, prefix: str, patience_s: float) -> None:
        self._client = client
        self._prefix = prefix
        self._patience_s = patience_s

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: Settings, *, limits: Limits | None = None) -> AsyncIterator[Self]:
        """Raises Unavailable when no broker answers within the limit, BusError for what is refused."""
        limits = limits or Limits()
        client = AIOKafkaAdminClient(
            bootstrap_servers=settings.kafka_bootstrap_servers,
            client_id="taxi-admin",
            request_timeout_ms=limits.request_ms,
            **security(settings),
        )
        try:
            await _reach(client, limits.give_up_s)
            yield cls(client, settings.prefix, limits.give_up_s)
        except KafkaError as error:
            raise BusError(repr(error)) from error
        finally:
            await client.close()

    async def cluster_id(self) -> str:
        return str((await self._client.describe_cluster())["cluster_id"])

    async def ensure_topics(
        self, specs: Iterable[TopicSpec], *, partitions: int = 1, replicas: int | None = None
    ) -> tuple[str, ...]:
        """Make the topics that are missing; the names made. `replicas` None: three, or as many as brokers.

        Returns when the broker that was asked knows them: who starts right after must find them.
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
        """The controller has answered for them; a broker hears of it a moment later."""
        try:
            async with asyncio.timeout(self._patience_s):
                while len(await self.describe_topics(names)) < len(names):  # noqa: ASYNC110 - there is no event
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise BusError(f"made, but not seen within {self._patience_s} s: {', '.join(names)}") from None

    async def describe_topics(self, names: Sequence[str]) -> dict[str, Topic]:
        """Those of `names` that exist."""
        wanted = [self._prefix + name for name in names]
        found = [t for t in await self._client.describe_topics(wanted) if t["error_code"] == 0]
        configs = await self._configs([t["topic"] for t in found])
        return {
            (name := t["topic"].removeprefix(self._prefix)): Topic(
                name, len(t["partitions"]), len(t["partitions"][0]["replicas"]), configs[t["topic"]]
            )
            for t in found
        }

    async def delete_topics(self, names: Sequence[str]) -> None:
        await self._client.delete_topics([self._prefix + name for name in names])

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Retention by hand: everything before `offset` goes."""
        place = TopicPartition(self._prefix + topic, partition)
        await self._client.delete_records({place: RecordsToDelete(before_offset=offset)})

    async def _configs(self, topics: list[str]) -> dict[str, dict[str, str]]:
        """What was set on each topic itself (source 1: dynamic topic configuration)."""
        if not topics:
            return {}
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        configs: dict[str, dict[str, str]] = {}
        for answer in await self._client.describe_configs(asked):
            for _code, _message, _kind, topic, entries in answer.resources:
                configs[topic] = {name: value for name, value, _ro, source, *_ in entries if source == 1}
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
