# SPDX-License-Identifier: Apache-2.0
"""The bus on Apache Kafka (tested on 4.3), through aiokafka."""

import asyncio
from typing import Literal, Self

from aiokafka.errors import for_code
from aiokafka.protocol.offset import OffsetRequest

from taxi.bus import Claim, Offsets
from taxi.bus.kafka_group import KafkaMembership
from taxi.bus.kafka_link import KafkaLink, Limits
from taxi.bus.kafka_producer import KafkaProducer
from taxi.bus.kafka_reader import KafkaReader
from taxi.bus.kafka_transactions import KafkaTransactionalProducer
from taxi.runtime.settings import Settings

_END, _START = -1, -2  # what Kafka calls these two in place of a time
_UNCOMMITTED, _COMMITTED = 0, 1


class KafkaBus:
    """One service's connection to one cluster. Every reader, producer and member has its own socket."""

    def __init__(self, settings: Settings, client_id: str, limits: Limits, link: KafkaLink) -> None:
        self._settings = settings
        self._client_id = client_id
        self._limits = limits
        self._link = link
        self._opened: dict[KafkaLink | KafkaMembership, None] = {}

    @classmethod
    async def connect(cls, settings: Settings, *, client_id: str, limits: Limits | None = None) -> Self:
        """Raises Unavailable when no broker answers within the limit."""
        limits = limits or Limits()
        return cls(settings, client_id, limits, await KafkaLink.open(settings, client_id, limits))

    async def reader(self, topic: str, partition: int, offset: int, *, committed: bool = True) -> KafkaReader:
        return KafkaReader(await self._new_link(), self._named(topic), partition, offset, committed=committed)

    async def offsets(self, topic: str, partition: int) -> Offsets:
        asked = ((_COMMITTED, _START), (_COMMITTED, _END), (_UNCOMMITTED, _END))
        found = [self._offset(topic, partition, isolation, at) for isolation, at in asked]
        return Offsets(*await asyncio.gather(*found))

    async def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        found = await self._offset(topic, partition, _UNCOMMITTED, timestamp_ms)
        return found if found >= 0 else await self._offset(topic, partition, _UNCOMMITTED, _END)

    async def producer(self, *, acks: Literal["all", "leader"] = "all") -> KafkaProducer:
        return KafkaProducer(await self._new_link(), self._settings.prefix, idempotent=acks == "all")

    async def transactional_producer(
        self, transactional_id: str, claim: Claim | None = None
    ) -> KafkaTransactionalProducer:
        producer = KafkaTransactionalProducer(await self._new_link(), self._settings.prefix, transactional_id)
        try:
            await producer.start(claim)
        except BaseException:
            await producer.close()
            raise
        return producer

    async def join(self, group: str, topic: str) -> KafkaMembership:
        member = KafkaMembership(
            self._settings, self._client_id, self._named(group), self._named(topic), self._limits
        )
        await member.start()
        self._remember(member)
        return member

    async def close(self) -> None:
        """Close every reader, producer and membership as well."""
        for opened in list(self._opened):
            await (opened.leave() if isinstance(opened, KafkaMembership) else opened.close())
        await self._link.close()

    async def _new_link(self) -> KafkaLink:
        link = await KafkaLink.open(self._settings, self._client_id, self._limits)
        self._remember(link)
        return link

    def _remember(self, opened: KafkaLink | KafkaMembership) -> None:
        for done in [other for other in self._opened if other.closed]:
            del self._opened[done]
        self._opened[opened] = None

    def _named(self, name: str) -> str:
        return self._settings.prefix + name

    async def _offset(self, topic: str, partition: int, isolation: int, at: int) -> int:
        """ListOffsets: by time, or one of the two ends; −1 where no record is as young as that."""
        topic = self._named(topic)
        request = OffsetRequest(-1, isolation, [(topic, [(partition, at)])])

        async def attempt() -> int:
            answer = await self._link.ask_leader(topic, partition, request)
            [(_, [(_, code, _timestamp_ms, offset)])] = answer.topics
            if code:
                raise for_code(code)(f"{topic}/{partition}")
            return int(offset)

        return await self._link.persist(f"offsets of {topic}", attempt)
