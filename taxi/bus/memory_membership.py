# SPDX-License-Identifier: Apache-2.0
"""A member's side of a group: join, beat, lose, join again."""

import asyncio

from taxi.bus import Assignment
from taxi.bus.memory_broker import MemoryBroker
from taxi.bus.memory_groups import Rejoin, UnknownMember
from taxi.bus.memory_network import Network, Reply, Timeout


class MemoryMembership:
    """Its generation counts its own assignments; an older one that nobody took is skipped, as on Kafka."""

    def __init__(
        self,
        broker: MemoryBroker,
        network: Network,
        *,
        group: str,
        topic: str,
        session_s: float,
        heartbeat_s: float,
        request_s: float,
    ) -> None:
        self._broker = broker
        self._network = network
        self._group = group
        self._topic = topic
        self._session_s = session_s
        self._heartbeat_s = heartbeat_s
        self._request_s = request_s
        self._member: str | None = None
        self._generation = 0
        self._newest = Assignment(0, ())
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._take_part())

    async def next(self) -> Assignment:
        await self._news.wait()
        self._news.clear()
        return self._newest

    async def leave(self) -> None:
        if self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        member = self._member
        if member is None:
            return

        def act(reply: Reply) -> None:
            self._broker.groups.leave(self._group, member)
            reply(None)

        try:
            await self._network.ask(act, self._request_s)
        except Timeout:
            return  # the session expires by itself

    async def _take_part(self) -> None:
        while True:
            generation = await self._join()
            try:
                await self._beat(generation)
            except UnknownMember:
                self._member = None
            except Rejoin:
                pass
            if self._newest.partitions:
                self._given(())

    async def _join(self) -> int:
        """Until a round has ended with this member in it; the group's generation."""
        self._broker.keep_ticking()
        while True:
            if self._member is None:
                self._member = self._broker.groups.new_member_id()
            member = self._member

            def serve(reply: Reply, member: str = member) -> None:
                self._broker.keep_ticking()
                self._broker.groups.join(self._group, self._topic, member, self._session_s, reply)

            try:
                generation, partitions = await self._network.ask(serve, self._request_s + 2 * self._session_s)
            except Timeout:
                continue
            self._given(partitions)
            return int(generation)

    async def _beat(self, generation: int) -> None:
        """Until the coordinator says otherwise. Raises Rejoin, UnknownMember."""
        member = self._member
        assert member is not None

        def act(reply: Reply) -> None:
            self._broker.groups.heartbeat(self._group, member, generation)
            reply(None)

        while True:
            await asyncio.sleep(self._heartbeat_s)
            try:
                await self._network.ask(act, self._request_s)
            except Timeout:
                continue

    def _given(self, partitions: tuple[int, ...]) -> None:
        self._generation += 1
        self._newest = Assignment(self._generation, partitions)
        self._news.set()
