# SPDX-License-Identifier: Apache-2.0
"""The bus on Apache Kafka (tested on 4.3), through aiokafka."""

import asyncio
import logging
from typing import Final, Literal, Self

from aiokafka.errors import CorruptRecordException, UnknownError, for_code
from aiokafka.protocol.offset import OffsetRequest

from taxi.bus import Claim, Offsets, OpenTransaction
from taxi.bus.kafka.config import KafkaConfig
from taxi.bus.kafka.group import KafkaMembership
from taxi.bus.kafka.limits import KafkaLimits
from taxi.bus.kafka.link import KafkaLink
from taxi.bus.kafka.open_transactions import open_transactions
from taxi.bus.kafka.producer import KafkaProducer
from taxi.bus.kafka.reader import KafkaReader
from taxi.bus.kafka.transactions import KafkaTransactionalProducer

_LOG = logging.getLogger(__name__)
_END, _START = -1, -2  # special timestamps of ListOffsets: LATEST, EARLIEST
_UNCOMMITTED, _COMMITTED = 0, 1
_REFUSED: Final = (CorruptRecordException, UnknownError)
"""Errors of a search by time: the broker reads batches for it, and one of them may be damaged."""


class KafkaBus:
    """One service's access to one cluster. Every reader, producer and member has its own connections."""

    def __init__(self, config: KafkaConfig, client_id: str, limits: KafkaLimits, link: KafkaLink) -> None:
        self._config = config
        self._client_id = client_id
        self._limits = limits
        self._link = link
        self._opened: dict[KafkaLink | KafkaMembership, None] = {}

    @classmethod
    async def connect(cls, config: KafkaConfig, *, client_id: str, limits: KafkaLimits | None = None) -> Self:
        """Connect to the cluster that the settings name.

        Raises:
            Unavailable: No broker answered within `limits.give_up_s`.
            ConfigError: A certificate file of the settings can't be used.
        """
        limits = limits or KafkaLimits()
        return cls(config, client_id, limits, await KafkaLink.open(config, client_id, limits))

    async def reader(self, topic: str, partition: int, offset: int, *, committed: bool = True) -> KafkaReader:
        return KafkaReader(await self._new_link(), self._named(topic), partition, offset, committed=committed)

    async def offsets(self, topic: str, partition: int) -> Offsets:
        asked = ((_COMMITTED, _START), (_COMMITTED, _END), (_UNCOMMITTED, _END))
        found = [self._offset(topic, partition, isolation, at) for isolation, at in asked]
        return Offsets(*await asyncio.gather(*found))

    async def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        try:
            found = await self._offset(topic, partition, _UNCOMMITTED, timestamp_ms)
        except _REFUSED as error:
            _LOG.warning("%s: searching from the start, the broker cannot read it: %r", topic, error)
            return await self._offset(topic, partition, _UNCOMMITTED, _START)
        return found if found >= 0 else await self._offset(topic, partition, _UNCOMMITTED, _END)

    async def open_transactions(self, topic: str, partition: int) -> tuple[OpenTransaction, ...]:
        return await open_transactions(self._link, self._named(topic), partition)

    async def producer(self, *, acks: Literal["all", "leader"] = "all") -> KafkaProducer:
        return KafkaProducer(await self._new_link(), self._config.prefix, idempotent=acks == "all")

    async def transactional_producer(
        self, transactional_id: str, claim: Claim | None = None
    ) -> KafkaTransactionalProducer:
        producer = KafkaTransactionalProducer(await self._new_link(), self._config.prefix, transactional_id)
        try:
            await producer.start(claim)
        except BaseException:
            await producer.close()
            raise
        return producer

    async def join(self, group: str, topic: str) -> KafkaMembership:
        member = KafkaMembership(
            self._config, self._client_id, self._named(group), self._named(topic), self._limits
        )
        await member.start()
        self._remember(member)
        return member

    async def close(self) -> None:
        """Close this bus and every reader, producer and membership that it made."""
        for opened in list(self._opened):
            await (opened.leave() if isinstance(opened, KafkaMembership) else opened.close())
        await self._link.close()

    async def _new_link(self) -> KafkaLink:
        link = await KafkaLink.open(self._config, self._client_id, self._limits)
        self._remember(link)
        return link

    def _remember(self, opened: KafkaLink | KafkaMembership) -> None:
        for done in [other for other in self._opened if other.closed]:
            del self._opened[done]
        self._opened[opened] = None

    def _named(self, name: str) -> str:
        return self._config.prefix + name

    async def _offset(self, topic: str, partition: int, isolation: int, at: int) -> int:
        """ListOffsets for a timestamp, `_START` or `_END`; −1 if every record is older than the timestamp."""
        topic = self._named(topic)
        request = OffsetRequest(-1, isolation, [(topic, [(partition, at)])])

        async def attempt() -> int:
            answer = await self._link.ask_leader(topic, partition, request)
            [(_, [(_, code, _timestamp_ms, offset)])] = answer.topics
            if code:
                raise for_code(code)(f"{topic}/{partition}")
            return int(offset)

        return await self._link.persist(f"offsets of {topic}", attempt, through=_REFUSED)
