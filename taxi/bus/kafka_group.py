# SPDX-License-Identifier: Apache-2.0
"""A place in a consumer group. aiokafka's consumer does the talking; it reads and commits nothing."""

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

from taxi.bus import Assignment, BusError, Fenced, Unavailable
from taxi.bus.kafka_link import Limits, security
from taxi.runtime.settings import Settings

_LOG = logging.getLogger(__name__)
_NEVER_MS: Final = 2**31 - 1


class KafkaMembership:
    """A member. Its generation counts its own assignments; an older one that nobody took is skipped."""

    def __init__(self, settings: Settings, client_id: str, group: str, topic: str, limits: Limits) -> None:
        self._topic = topic
        self._limits = limits
        self._session_ms = limits.session_ms
        self._new_consumer = partial(
            AIOKafkaConsumer,
            bootstrap_servers=settings.kafka_bootstrap_servers,
            client_id=client_id,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            heartbeat_interval_ms=limits.heartbeat_ms,
            request_timeout_ms=limits.request_ms,
            metadata_max_age_ms=limits.metadata_ms,
            max_poll_interval_ms=_NEVER_MS,
            **security(settings),
        )
        self.closed = False
        self._generation = 0
        self._newest: Assignment | None = None
        self._news = asyncio.Event()
        self._consumer: Any = None
        self._trouble: asyncio.Task[KafkaError] | None = None

    async def start(self) -> None:
        """Raises Unavailable."""
        self._consumer = self._new_consumer(
            session_timeout_ms=self._session_ms, rebalance_timeout_ms=self._session_ms
        )
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
        """What ends a membership, aiokafka tells only to who reads, and then waits: so read, of nothing."""
        while True:
            try:
                await self._consumer.getmany(timeout_ms=_NEVER_MS)
            except KafkaError as error:
                return error

    async def _mend(self, trouble: KafkaError) -> None:
        """Ask for a session that the cluster allows. Raises Unavailable, BusError: join anew."""
        if (
            not isinstance(trouble, InvalidSessionTimeoutError)
            or self._session_ms >= self._limits.session_ms_min
        ):
            kind = Unavailable if trouble.retriable else BusError
            raise kind(f"group for {self._topic}: {trouble!r}") from trouble
        _LOG.warning(
            "the cluster allows no session of %d ms (group.min.session.timeout.ms): asking for %d, "
            "and it takes so much longer until a lost member's cities are another's",
            self._session_ms,
            self._limits.session_ms_min,
        )
        await self._stop()
        self._session_ms = self._limits.session_ms_min
        await self.start()

    def claim(self, assignment: Assignment) -> "KafkaClaim":
        return KafkaClaim(self, assignment, self._session_ms / 1000)

    def holds(self, assignment: Assignment) -> bool:
        """Whether it is the newest that this member knows of."""
        return not self.closed and self._newest == assignment and not self._is_expelled

    async def beat(self) -> None:
        """One heartbeat more, under the generation at hand. Raises KafkaError as the coordinator says."""
        coordinator = self._coordinator
        request = HeartbeatRequest(coordinator.group_id, coordinator.generation, coordinator.member_id)
        error = for_code((await coordinator._send_req(request)).error_code)  # noqa: SLF001
        if error is not NoError:
            raise error(coordinator.group_id)

    def given(self, partitions: Iterable[TopicPartition]) -> None:
        """The group gave or took: what this member has is now exactly this."""
        own = sorted(tp.partition for tp in partitions)
        self._generation += 1
        self._newest = Assignment(self._generation, tuple(own), expelled=not own and self._is_expelled)
        self._news.set()

    @property
    def _coordinator(self) -> Any:
        """Aiokafka's side of the group: not public, so a test in the bus suite holds what is used of it."""
        return self._consumer._coordinator  # noqa: SLF001

    @property
    def _is_expelled(self) -> bool:
        """The group knows no such member: the consumer has forgotten who it was, and joins as another."""
        return bool(self._coordinator.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID)

    def rest(self, partitions: Iterable[TopicPartition]) -> None:
        """Keep the consumer from fetching: positions exist, and nothing is asked for."""
        own = list(partitions)
        for tp in own:
            self._consumer.seek(tp, 0)
        self._consumer.pause(*own)


class KafkaClaim:
    """What one assignment gave, confirmed by heartbeats of its own."""

    def __init__(self, member: KafkaMembership, assignment: Assignment, session_s: float) -> None:
        self._member = member
        self._assignment = assignment
        self._lease_s = session_s / 2
        """After a heartbeat the group waits for a whole session; half of it is for the request's way."""
        self._confirmed_s = -math.inf

    async def confirm(self) -> None:
        asked_s = asyncio.get_running_loop().time()
        try:
            if self._member.holds(self._assignment):
                await self._member.beat()
        except (IllegalGenerationError, UnknownMemberIdError) as error:
            raise Fenced(f"no member of the group any more: {error!r}") from error
        except (KafkaError, OSError) as error:
            raise Unavailable(f"heartbeat: {error!r}") from error
        if not self._member.holds(self._assignment):
            raise Fenced("the group has taken the assignment back")
        self._confirmed_s = asked_s

    def holds(self) -> bool:
        age_s = asyncio.get_running_loop().time() - self._confirmed_s
        return age_s < self._lease_s and self._member.holds(self._assignment)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """Called before a rebalance takes everything, and after it gave."""

    def __init__(self, membership: KafkaMembership) -> None:
        self._membership = membership

    def on_partitions_revoked(self, revoked: Any) -> None:
        if revoked:
            self._membership.given(())

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._membership.rest(assigned)
        self._membership.given(assigned)
