# SPDX-License-Identifier: Apache-2.0
"""Requests to the cluster: routing to the right broker, time limits, retries.

Readers and producers use aiokafka's client (connections, TLS, SASL, API versions, metadata), but not its
consumer and producer. Those retry for ever in the background, fetch ahead of their caller, and send EndTxn
again under the same epoch. Here a call has one request in flight, a time limit, and one outcome.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self, TypeVar

from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError, NodeNotReadyError, StaleMetadata
from aiokafka.structs import TopicPartition

from taxi.bus import BusError, Unavailable
from taxi.bus.kafka.client import KafkaClient
from taxi.bus.kafka.config import KafkaConfig
from taxi.bus.kafka.limits import KafkaLimits

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
_METADATA_MS: Final = 60_000


class KafkaLink:
    """One client with its own connections.

    A broker answers the requests of a connection in order. With a client for each reader and producer, a
    fetch that waits does not delay the requests of others.
    """

    def __init__(self, config: KafkaConfig, client_id: str, limits: KafkaLimits) -> None:
        self.limits = limits
        self.closed = False
        self._client = KafkaClient(config, client_id, limits, metadata_ms=_METADATA_MS)
        self._coordinator: int | None = None

    @classmethod
    async def open(cls, config: KafkaConfig, client_id: str, limits: KafkaLimits) -> Self:
        """Connect and get the cluster's metadata.

        Raises:
            Unavailable: No broker answered within `limits.give_up_s`.
        """
        link = cls(config, client_id, limits)
        try:
            await link.persist("connect", link._client.bootstrap)
        except BaseException:
            await link.close()
            raise
        return link

    async def close(self) -> None:
        self.closed = True
        await self._client.close()

    async def ask_leader(self, topic: str, partition: int, request: Any) -> Any:
        """Send one request to the partition's leader and return its answer. Raises KafkaError, OSError."""
        node = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if node is None or node == -1:
            await self._client.add_topic(topic)
            await self._client.force_metadata_update()
            node = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if node is None or node == -1:
            raise StaleMetadata(f"{topic}/{partition} has no leader")
        return await self._client.send(node, request)

    async def ask_anyone(self, request: Any) -> Any:
        """Send one request to any broker and return its answer. Raises KafkaError, OSError."""
        node = self._client.get_random_node()
        if node is None:
            raise NodeNotReadyError("no broker is known")
        return await self._client.send(node, request)

    def nodes(self) -> list[int]:
        """The ids of the brokers in the metadata, sorted."""
        return sorted(broker.nodeId for broker in self._client.cluster.brokers())

    async def ask_node(self, node: int, request: Any) -> Any:
        """Send one request to this broker and return its answer. Raises KafkaError, OSError."""
        return await self._client.send(node, request)

    async def reach_coordinator(self, transactional_id: str) -> None:
        """Look up this id's coordinator and connect to it, so that the next request is sent at once."""
        if self._coordinator is None:
            # A broker that is starting may return metadata without any broker.
            if self._client.get_random_node() is None:
                raise StaleMetadata("no broker is known")
            kind = CoordinationType.TRANSACTION
            self._coordinator = await self._client.coordinator_lookup(kind, transactional_id)
        if not await self._client.ready(self._coordinator, group=ConnectionGroup.COORDINATION):
            self._coordinator = None
            raise NodeNotReadyError(f"the coordinator of {transactional_id}")

    async def ask_coordinator(self, transactional_id: str, request: Any) -> Any:
        """Send one request to the coordinator of this transactional id and return its answer.

        Raises:
            KafkaError: The request failed. The coordinator is looked up again for the next one.
        """
        if self._coordinator is None:
            await self.reach_coordinator(transactional_id)
        try:
            return await self._client.send(self._coordinator, request, group=ConnectionGroup.COORDINATION)
        except KafkaError:
            self._coordinator = None
            raise

    def drop_coordinator(self) -> None:
        """Look the coordinator up again for the next request, because it has moved."""
        self._coordinator = None

    async def persist(
        self,
        what: str,
        attempt: Callable[[], Awaitable[T]],
        *,
        also: tuple[type[KafkaError], ...] = (),
        through: tuple[type[KafkaError], ...] = (),
    ) -> T:
        """Retry `attempt` with exponential backoff and jitter, up to `KafkaLimits.give_up_s`.

        Args:
            what: The operation, for error texts.
            attempt: One try. KafkaErrors that are retriable, and OSErrors, are retried.
            also: Further errors to retry.
            through: Errors to raise unchanged.

        Raises:
            Unavailable: The time limit was reached.
            BusError: `attempt` raised an error that is not retriable.
        """
        loop = asyncio.get_running_loop()
        deadline, pause_s, tries = loop.time() + self.limits.give_up_s, 0.02, 0
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await attempt()
            except through:
                raise
            except (KafkaError, OSError) as error:  # TimeoutError is an OSError
                why = repr(error)
                if isinstance(error, KafkaError) and not (error.retriable or isinstance(error, also)):
                    raise BusError(f"{what}: {why}") from error
                self._look_again(error)
                if loop.time() + pause_s >= deadline:
                    raise Unavailable(
                        f"{what}: no success within {self.limits.give_up_s} s: {why}"
                    ) from error
            tries += 1
            if tries in {5, 10, 20}:
                _LOG.warning("%s: still trying (%d times): %s", what, tries, why)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, 1.0)

    def _look_again(self, error: Exception) -> None:
        """Refresh the metadata in the background if the error says that it is out of date."""
        if getattr(error, "invalid_metadata", False):
            self._client.force_metadata_update()
