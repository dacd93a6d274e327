# SPDX-License-Identifier: Apache-2.0
"""One link to the cluster: where a request goes, how long it may take, how often it is tried.

Readers and producers speak through aiokafka's client (connections, TLS, SASL, versions, metadata), not
through its consumer and producer. Those retry for ever in the background, fetch ahead of their caller, and
send EndTxn again under one epoch; here each call has one request in flight, a bound, and one outcome.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError, NodeNotReadyError, StaleMetadata
from aiokafka.structs import TopicPartition

from taxi.bus import BusError, Unavailable
from taxi.runtime.settings import Settings

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long things may take."""

    give_up_s: float = 10.0
    """Retries of one call end here, with Unavailable or Unknown."""
    request_ms: int = 8_000
    """One request; its connection is closed after that."""
    end_transaction_s: float = 5.0
    """Below `request_ms`: whoever waits for the end of a transaction has gone before anything times out."""
    transaction_ms: int = 10_000
    """The broker aborts a transaction that stays open for so long."""
    metadata_ms: int = 5_000
    """How long a member of a group may not know of a topic that was made after it joined."""
    session_ms: int = 4_000
    session_ms_min: int = 6_000
    """Asked for where the cluster refuses `session_ms`: with Kafka's defaults it allows none shorter."""
    heartbeat_ms: int = 1_000


def security(settings: Settings) -> dict[str, Any]:
    """What aiokafka wants to know of TLS and SASL."""
    options: dict[str, Any] = {"security_protocol": settings.kafka_security_protocol}
    if settings.kafka_security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile or None)
        if settings.kafka_ssl_certfile:
            context.load_cert_chain(settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile or None)
        options["ssl_context"] = context
    if settings.kafka_security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": settings.kafka_sasl_password,
        }
    return options


class KafkaLink:
    """A client of its own, so that a long fetch delays no other request: a broker answers in order."""

    def __init__(self, settings: Settings, client_id: str, limits: Limits) -> None:
        self.limits = limits
        self.closed = False
        self._client = AIOKafkaClient(
            bootstrap_servers=settings.kafka_bootstrap_servers,
            client_id=client_id,
            request_timeout_ms=limits.request_ms,
            metadata_max_age_ms=60_000,
            **security(settings),
        )
        self._coordinator: int | None = None

    @classmethod
    async def open(cls, settings: Settings, client_id: str, limits: Limits) -> Self:
        """Raises Unavailable when no broker answers within the limit."""
        link = cls(settings, client_id, limits)
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
        """One request to the partition's leader, one answer."""
        node = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if node is None or node == -1:
            await self._client.add_topic(topic)
            await self._client.force_metadata_update()
            node = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if node is None or node == -1:
            raise StaleMetadata(f"{topic}/{partition} has no leader")
        return await self._client.send(node, request)

    async def ask_anyone(self, request: Any) -> Any:
        node = self._client.get_random_node()
        if node is None:
            raise NodeNotReadyError("no broker is known")
        return await self._client.send(node, request)

    async def reach_coordinator(self, transactional_id: str) -> None:
        """Find this id's coordinator and connect to it, so that the next request goes out at once."""
        if self._coordinator is None:
            # A starved broker may have told of none, itself included.
            if self._client.get_random_node() is None:
                raise StaleMetadata("no broker is known")
            kind = CoordinationType.TRANSACTION
            self._coordinator = await self._client.coordinator_lookup(kind, transactional_id)
        if not await self._client.ready(self._coordinator, group=ConnectionGroup.COORDINATION):
            self._coordinator = None
            raise NodeNotReadyError(f"the coordinator of {transactional_id}")

    async def ask_coordinator(self, transactional_id: str, request: Any) -> Any:
        """One request to the coordinator of this transactional id, one answer."""
        if self._coordinator is None:
            await self.reach_coordinator(transactional_id)
        try:
            return await self._client.send(self._coordinator, request, group=ConnectionGroup.COORDINATION)
        except KafkaError:
            self._coordinator = None
            raise

    def forget_coordinator(self) -> None:
        """It has moved: look again."""
        self._coordinator = None

    async def persist(
        self,
        what: str,
        attempt: Callable[[], Awaitable[T]],
        *,
        also: tuple[type[KafkaError], ...] = (),
        through: tuple[type[KafkaError], ...] = (),
    ) -> T:
        """Repeat `attempt` while its failure may pass (`also`: these, too), with jittered pauses.

        Raises Unavailable after the limit, BusError for what can't pass, and `through` as they are.
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
        """The cluster may have another shape now. Asked for in the background; nobody waits."""
        if getattr(error, "invalid_metadata", False):
            self._client.force_metadata_update()
