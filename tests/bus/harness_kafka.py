# SPDX-License-Identifier: Apache-2.0
"""The bus suite's harness on a real Kafka."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Self

import msgspec
from aiokafka import AIOKafkaProducer

from taxi.bus import Bus
from taxi.bus.kafka.admin import KafkaAdmin
from taxi.bus.kafka.bus import KafkaBus
from taxi.bus.kafka.limits import KafkaLimits
from taxi.runtime.settings import Settings
from taxi.topics import TopicSpec
from testing.kafka_server import KafkaServer

IMPATIENT = KafkaLimits(give_up_s=6.0, request_ms=5_000, end_transaction_s=3.0, unreadable_s=0.3)


class KafkaHarness:
    """Fresh names in a shared broker."""

    def __init__(self, server: KafkaServer) -> None:
        self._server = server
        self.settings = Settings(kafka_bootstrap_servers=server.bootstrap_servers)
        self._buses: list[Bus] = []
        self._orphans: list[AIOKafkaProducer] = []

    def run(self, scenario: Callable[[Self], Awaitable[None]]) -> None:
        asyncio.run(self._run(scenario))

    async def _run(self, scenario: Callable[[Self], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(120):
                await scenario(self)
        finally:
            self.answer()
            for bus in self._buses:
                await bus.close()
            for orphan in self._orphans:
                await orphan.stop()

    async def topic(self, *, partitions: int = 1, append_time: bool = False) -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        await self.make(name, {"message.timestamp.type": "LogAppendTime"} if append_time else {}, partitions)
        return name

    async def make(self, name: str, config: dict[str, str] | None = None, partitions: int = 1) -> None:
        """A topic of this name."""
        async with KafkaAdmin.connect(self.settings) as admin:
            await admin.ensure_topics([TopicSpec(name, config or {})], partitions=partitions)

    async def bus(self, *, prefix: str = "", **limits: int) -> Bus:
        settings = msgspec.structs.replace(self.settings, prefix=prefix)
        bus = await KafkaBus.connect(settings, client_id="test", limits=replace(IMPATIENT, **limits))
        self._buses.append(bus)
        return bus

    async def leave_open(self, topic: str, transactional_id: str, values: list[bytes]) -> None:
        await self._begin(topic, transactional_id, values)

    async def abort(self, topic: str, transactional_id: str, values: list[bytes]) -> None:
        producer = await self._begin(topic, transactional_id, values)
        await producer.abort_transaction()

    async def _begin(self, topic: str, transactional_id: str, values: list[bytes]) -> AIOKafkaProducer:
        """With aiokafka's own producer: what it writes, ours must live with."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._server.bootstrap_servers, transactional_id=transactional_id
        )
        await producer.start()
        self._orphans.append(producer)
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)
        return producer

    async def delete_before(self, topic: str, offset: int) -> None:
        async with KafkaAdmin.connect(self.settings) as admin:
            await admin.delete_before(topic, 0, offset)

    def silence(self) -> None:
        self._server.freeze()

    def answer(self) -> None:
        self._server.thaw()
