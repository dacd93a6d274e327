# SPDX-License-Identifier: Apache-2.0
"""Membership of a consumer group. aiokafka's consumer runs the protocol; it reads and commits nothing."""

import asyncio
import logging
import math
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import (
    IllegalGenerationError,
    InvalidSessionTimeoutError,
    KafkaError,
    NoError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.structs import TopicPartition

from taxi.bus import Assignment, BusError, ClaimLost, Unavailable
from taxi.bus.kafka.client import KafkaClient
from taxi.bus.kafka.config import KafkaConfig
from taxi.bus.kafka.limits import KafkaLimits
from taxi.bus.kafka.security import security

_LOG = logging.getLogger(__name__)
_NEVER_MS: Final = 2**31 - 1


class KafkaMembership:
    """One member. `Assignment.generation` counts its own assignments; a replaced one is skipped by `next`."""

    def __init__(
        self, config: KafkaConfig, client_id: str, group: str, topic: str, limits: KafkaLimits
    ) -> None:
        self._topic = topic
        self._limits = limits
        self._session_ms = limits.session_ms
        self._new_consumer = partial(
            AIOKafkaConsumer,
            bootstrap_servers=config.kafka_bootstrap_servers,
            client_id=client_id,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            heartbeat_interval_ms=limits.heartbeat_ms,
            request_timeout_ms=limits.request_ms,
            max_poll_interval_ms=_NEVER_MS,
            **security(config),
        )
        self._new_client = partial(KafkaClient, config, client_id, limits, metadata_ms=limits.metadata_ms)
        self.closed = False
        self._generation = 0
        self._newest: Assignment | None = None
        self._news = asyncio.Event()
        self._consumer: Any = None
        self._trouble: asyncio.Task[KafkaError] | None = None

    async def start(self) -> None:
        """Join the group.

        Raises:
            Unavailable: No broker answered within the limit.
        """
        self._consumer = self._new_consumer(
            session_timeout_ms=self._session_ms, rebalance_timeout_ms=self._session_ms
        )
        self._consumer._client = self._new_client()  # noqa: SLF001 - it has not connected yet
        try:
            async with asyncio.timeout(self._limits.give_up_s):
                await self._consumer.start()
                self._consumer.subscribe([self._topic], listener=_Listener(self))
        except (KafkaError, OSError) as error:
            await self.leave()
            raise Unavailable(f"join for {self._topic}: {error!r}") from error
        self._trouble = asyncio.create_task(self._hear_of_trouble())

    async def next(self) -> Assignment:
        while not self._news.is_set():
            assert self._trouble is not None
            news = asyncio.create_task(self._news.wait())
            try:
                await asyncio.wait([news, self._trouble], return_when=asyncio.FIRST_COMPLETED)
            finally:
                news.cancel()
            if self._trouble.done():
                await self._mend(self._trouble.result())
        self._news.clear()
        assert self._newest is not None
        return self._newest

    async def leave(self) -> None:
        self.closed = True
        await self._stop()

    async def _stop(self) -> None:
        if self._trouble is not None:
            self._trouble.cancel()
        try:
            async with asyncio.timeout(self._session_ms / 1000):
                await self._consumer.stop()
        except (KafkaError, OSError):
            return  # the session expires by itself

    async def _hear_of_trouble(self) -> KafkaError:
        """Wait for an error that ends the membership, and return it.

        aiokafka raises such an error only in a read, so this reads for ever, with all partitions paused.
        """
        while True:
            try:
                await self._consumer.getmany(timeout_ms=_NEVER_MS)
            except KafkaError as error:
                return error

    async def _mend(self, trouble: KafkaError) -> None:
        """Join with a session timeout that the cluster allows.

        Raises:
            Unavailable: Another error, which may pass; the caller must join again.
            BusError: Another error, which will not pass.
        """
        if (
            not isinstance(trouble, InvalidSessionTimeoutError)
            or self._session_ms >= self._limits.session_ms_min
        ):
            kind = Unavailable if trouble.retriable else BusError
            raise kind(f"group for {self._topic}: {trouble!r}") from trouble
        _LOG.warning(
            "the cluster does not allow a session timeout of %d ms (group.min.session.timeout.ms). It is now "
            "%d ms, so the cities of a lost member are reassigned later",
            self._session_ms,
            self._limits.session_ms_min,
        )
        await self._stop()
        self._session_ms = self._limits.session_ms_min
        await self.start()

    def claim(self, assignment: Assignment) -> "KafkaClaim":
        return KafkaClaim(self, assignment, self._session_ms / 1000)

    def holds(self, assignment: Assignment) -> bool:
        """Whether `assignment` is the newest one of this member, and the member is still in the group."""
        return not self.closed and self._newest == assignment and not self._is_expelled

    async def heartbeat(self) -> None:
        """Send one heartbeat with the current group generation. Raises the KafkaError of the answer."""
        coordinator = self._coordinator
        request = HeartbeatRequest(coordinator.group_id, coordinator.generation, coordinator.member_id)
        error = for_code((await coordinator._send_req(request)).error_code)  # noqa: SLF001
        if error is not NoError:
            raise error(coordinator.group_id)

    def given(self, partitions: Iterable[TopicPartition]) -> None:
        """Record a new assignment: this member now has exactly these partitions."""
        own = sorted(tp.partition for tp in partitions)
        self._generation += 1
        self._newest = Assignment(self._generation, tuple(own), expelled=not own and self._is_expelled)
        self._news.set()

    @property
    def _coordinator(self) -> Any:
        """Aiokafka's coordinator object.

        It is private; a test in tests/bus checks the attributes used here.
        """
        return self._consumer._coordinator  # noqa: SLF001

    @property
    def _is_expelled(self) -> bool:
        """Whether the group removed this member: the consumer has reset its generation and joins as new."""
        return bool(self._coordinator.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID)

    def rest(self, partitions: Iterable[TopicPartition]) -> None:
        """Keep the consumer from fetching: set the positions that it requires and pause all partitions."""
        own = list(partitions)
        for tp in own:
            self._consumer.seek(tp, 0)
        self._consumer.pause(*own)


class KafkaClaim:
    """One assignment, confirmed by heartbeats that this object sends."""

    def __init__(self, member: KafkaMembership, assignment: Assignment, session_s: float) -> None:
        self._member = member
        self._assignment = assignment
        self._lease_s = session_s / 2
        """Half a session timeout. The group waits for a whole one after a heartbeat, so the other half is a
        margin for requests under way."""
        self._confirmed_s = -math.inf

    async def confirm(self) -> None:
        asked_s = asyncio.get_running_loop().time()
        try:
            if self._member.holds(self._assignment):
                await self._member.heartbeat()
        except (IllegalGenerationError, UnknownMemberIdError) as error:
            raise ClaimLost(f"no member of the group any more: {error!r}") from error
        except (KafkaError, OSError) as error:
            raise Unavailable(f"heartbeat: {error!r}") from error
        if not self._member.holds(self._assignment):
            raise ClaimLost("the group has taken the assignment back")
        self._confirmed_s = asked_s

    def holds(self) -> bool:
        age_s = asyncio.get_running_loop().time() - self._confirmed_s
        return age_s < self._lease_s and self._member.holds(self._assignment)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """aiokafka calls it before a rebalance revokes all partitions, and after the new assignment."""

    def __init__(self, membership: KafkaMembership) -> None:
        self._membership = membership

    def on_partitions_revoked(self, revoked: Any) -> None:
        if revoked:
            self._membership.given(())

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._membership.rest(assigned)
        self._membership.given(assigned)
