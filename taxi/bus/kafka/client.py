# SPDX-License-Identifier: Apache-2.0
"""aiokafka's client with a time limit for each request; after a timeout the connection is closed.

aiokafka's own client (0.14) differs in the following ways. They matter if a connection is dead without being
closed: a proxy, a NAT table or a frozen broker accepts requests and never answers.

- If a caller times out, its request stays on the connection, and the connection stays in use. A broker
  answers the requests of a connection in order, so the next request waits for the same answer. Here the
  connection is closed.
- A metadata request that times out leaves its connection open, and the next one uses it again.
- Once it knows brokers, it asks only these for metadata. If all of them have moved, it never finds them
  again. Here the bootstrap addresses are asked, too (KIP-899).
- While it connects to one broker, it does not connect to others.
- Its metadata requests create topics on clusters that permit it. Here no request creates a topic.
"""

import asyncio
import logging
import random
from collections import defaultdict
from typing import Any, Final

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason, create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError, RequestTimedOutError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.transaction import EndTxnRequest

from taxi.bus.kafka.config import KafkaConfig
from taxi.bus.kafka.limits import KafkaLimits
from taxi.bus.kafka.security import security

_LOG = logging.getLogger(__name__)
_IDLE_MS: Final = 540_000
_KNOWN_FIRST: Final = 2
"""How many known brokers are asked for metadata before the bootstrap addresses."""
_HELD: Final = (JoinGroupRequest, SyncGroupRequest, EndTxnRequest)
"""Requests that a broker may hold before it answers, or whose caller has its own time limit."""


class KafkaClient(AIOKafkaClient):  # type: ignore[misc] # aiokafka ships no types
    """Connections to a cluster. It overrides private methods of aiokafka's client, which tests/bus checks."""

    def __init__(self, config: KafkaConfig, client_id: str, limits: KafkaLimits, *, metadata_ms: int) -> None:
        options = security(config)
        super().__init__(
            bootstrap_servers=config.kafka_bootstrap_servers,
            client_id=client_id,
            request_timeout_ms=limits.request_ms,
            metadata_max_age_ms=metadata_ms,
            connections_max_idle_ms=_IDLE_MS,
            **options,
        )
        self._limits = limits
        self._options = options
        self._sync_task: asyncio.Task[None] | None = None
        self._connecting: defaultdict[Any, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def send(
        self, node_id: Any, request: Any, *, group: ConnectionGroup = ConnectionGroup.DEFAULT
    ) -> Any:
        """Send one request to a broker and return its answer.

        If the call is cancelled, or no answer comes in time, the connection is closed.

        Raises:
            NodeNotReadyError: There is no connection to the broker.
            RequestTimedOutError: No answer came in time.
            KafkaConnectionError: The connection was lost.
        """
        connection = await self._get_conn(node_id, group=group)
        if connection is None:
            message = f"no connection to broker {node_id}"
            raise NodeNotReadyError(message)
        if isinstance(request, MetadataRequest):
            request = _creates_nothing(request._topics)  # noqa: SLF001
        return await self._ask(connection, request)

    async def bootstrap(self) -> None:
        """Get the cluster's metadata from any bootstrap address.

        Raises:
            KafkaConnectionError: None of them answered.
        """
        if not await self._ask_bootstrap_addresses([]):
            message = f"no answer from {self._bootstrap_servers}"
            raise KafkaConnectionError(message)
        if self._sync_task is None:
            self._sync_task = asyncio.create_task(self._md_synchronizer())

    async def close(self) -> None:
        """Close all connections; abort those that are not closed within `KafkaLimits.close_s`."""
        connections = list(self._conns.values())
        try:
            async with asyncio.timeout(self._limits.close_s):
                await super().close()
        except TimeoutError:
            for connection in connections:
                _abort(connection)

    async def _ask(self, connection: AIOKafkaConnection, request: Any) -> Any:
        within_s = self._within_s(request)
        try:
            async with asyncio.timeout(within_s):
                return await connection.send(request)
        except TimeoutError:
            for other in self._to_the_same(connection):
                _abort(other)
            message = f"{connection.host}:{connection.port} did not answer within {within_s} s"
            raise RequestTimedOutError(message) from None
        except asyncio.CancelledError:
            _abort(connection)
            raise

    def _to_the_same(self, connection: AIOKafkaConnection) -> list[AIOKafkaConnection]:
        """This connection and all others to the same address, which are probably dead, too."""
        there = connection.host, connection.port
        others = [each for each in self._conns.values() if (each.host, each.port) == there]
        return [connection, *others]

    def _within_s(self, request: Any) -> float:
        """How long to wait for the answer to this request, in seconds."""
        if isinstance(request, _HELD):
            return self._limits.request_ms / 1000
        if isinstance(request, HeartbeatRequest):
            return min(self._limits.answer_s, self._limits.session_ms / 2000)
        if isinstance(request, FetchRequest):
            return self._limits.answer_s + float(request._max_wait_ms) / 1000  # noqa: SLF001
        return self._limits.answer_s

    # --- connections ------------------------------------------------------------------------------

    async def _connect(self, host: str, port: int, **more: Any) -> AIOKafkaConnection:
        """Raises TimeoutError, OSError, KafkaError."""
        async with asyncio.timeout(self._limits.connect_s):
            return await create_conn(
                host,
                port,
                client_id=self._client_id,
                request_timeout_ms=self._request_timeout_ms,
                max_idle_ms=_IDLE_MS,
                **self._options,
                **more,
            )

    async def _get_conn(
        self, node_id: Any, *, group: ConnectionGroup = ConnectionGroup.DEFAULT, no_hint: bool = False
    ) -> AIOKafkaConnection | None:
        """The connection to a broker, opened if necessary; None if it can't be opened now."""
        del no_hint
        key = node_id, group
        async with self._connecting[key]:
            connection = self._conns.get(key)
            if connection is not None and connection.connected():
                return connection
            broker = self.cluster.broker_metadata(node_id)
            try:
                if broker is None:
                    message = f"broker {node_id} is not known"
                    raise NodeNotReadyError(message)
                self._conns[key] = await self._connect(
                    broker.host, broker.port, on_close=self._on_connection_closed
                )
            except (OSError, KafkaError) as error:  # TimeoutError is an OSError
                _LOG.debug("no connection to broker %s: %r", node_id, error)
                self.force_metadata_update()
                return None
            return self._conns[key]

    # --- metadata ---------------------------------------------------------------------------------

    async def _metadata_update(self, cluster_metadata: Any, topics: Any) -> bool:
        """Ask brokers and bootstrap addresses for metadata until one answers. True if one did.

        Never raises, because that would end the aiokafka task that calls it, and all callers would wait for
        this task for ever.
        """
        try:
            return await self._ask_around(cluster_metadata, topics)
        except Exception:  # noqa: BLE001 - see above
            _LOG.exception("metadata could not be read")
            return False

    async def _ask_around(self, cluster_metadata: Any, topics: Any) -> bool:
        nodes = [broker.nodeId for broker in self.cluster.brokers()]
        random.shuffle(nodes)
        for node in nodes[:_KNOWN_FIRST]:
            if await self._ask_known(node, cluster_metadata, topics):
                return True
        if await self._ask_bootstrap_addresses(topics or None, cluster_metadata):
            return True
        for node in nodes[_KNOWN_FIRST:]:
            if await self._ask_known(node, cluster_metadata, topics):
                return True
        _LOG.debug("no metadata from brokers %s, nor from %s", nodes, self._bootstrap_servers)
        cluster_metadata.failed_update(None)
        return False

    async def _ask_known(self, node: Any, cluster_metadata: Any, topics: Any) -> bool:
        connection = await self._get_conn(node)
        if connection is None:
            return False
        return await self._learn(connection, topics or None, cluster_metadata)

    async def _ask_bootstrap_addresses(self, topics: Any, cluster_metadata: Any = None) -> bool:
        """Ask each bootstrap address for metadata, over a connection that is closed afterwards."""
        for host, port, _ in self.hosts:
            try:
                connection = await self._connect(host, port)
            except (OSError, KafkaError) as error:
                _LOG.debug("bootstrap address %s:%s: %r", host, port, error)
                continue
            try:
                if await self._learn(connection, topics, cluster_metadata):
                    return True
            finally:
                connection.close()
        return False

    async def _learn(self, connection: AIOKafkaConnection, topics: Any, cluster_metadata: Any) -> bool:
        """Get metadata from this connection. True if the answer lists brokers. `topics` None: all topics."""
        cluster = self.cluster if cluster_metadata is None else cluster_metadata
        try:
            metadata = await self._ask(connection, _creates_nothing(topics))
        except (OSError, KafkaError) as error:
            _LOG.debug("no metadata from %s:%s: %r", connection.host, connection.port, error)
            return False
        if not metadata.brokers:
            return False
        cluster.update_metadata(metadata)
        self._leave_old_addresses()
        return True

    def _leave_old_addresses(self) -> None:
        """Close connections to addresses that a broker no longer has."""
        for (node, _), connection in list(self._conns.items()):
            broker = self.cluster.broker_metadata(node)
            if broker is not None and (broker.host, broker.port) != (connection.host, connection.port):
                connection.close(reason=CloseReason.SHUTDOWN)


def _abort(connection: AIOKafkaConnection) -> None:
    """Close without flushing and without TLS shutdown, because the peer may not answer."""
    writer = connection._writer  # noqa: SLF001
    connection.close(reason=CloseReason.CONNECTION_TIMEOUT)
    if writer is not None:
        writer.transport.abort()


def _creates_nothing(topics: Any) -> MetadataRequest:
    return MetadataRequest(list(topics) if topics is not None else None, allow_auto_topic_creation=False)
