# SPDX-License-Identifier: Apache-2.0
"""The member's side of a consumer group: join, send heartbeats, join again after a rebalance or expiry."""

import asyncio
import math

from taxi.bus import Assignment, ClaimLost
from taxi.bus.memory.broker import MemoryBroker
from taxi.bus.memory.groups import Rejoin, Stamp, UnknownMember
from taxi.bus.memory.network import MemoryConnection, Reply, Serve, Timeout


class MemoryMembership:
    """One member. `Assignment.generation` counts its own assignments; a replaced one is skipped by `next`."""

    def __init__(
        self,
        broker: MemoryBroker,
        connection: MemoryConnection,
        *,
        group: str,
        topic: str,
        session_s: float,
        heartbeat_s: float,
        request_s: float,
    ) -> None:
        self._broker = broker
        self._connection = connection
        self._group = group
        self._topic = topic
        self._session_s = session_s
        self._heartbeat_s = heartbeat_s
        self._request_s = request_s
        self._member: str | None = None
        self._generation = 0
        self._group_generation = 0
        self._newest = Assignment(0, ())
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._take_part())

    async def next(self) -> Assignment:
        await self._news.wait()
        self._news.clear()
        return self._newest

    def claim(self, assignment: Assignment) -> "MemoryClaim":
        return MemoryClaim(self, assignment, self._session_s)

    def holds(self, assignment: Assignment) -> bool:
        """Whether `assignment` is the newest one of this member, and the member has not left."""
        return self._task is not None and self._newest == assignment

    async def heartbeat(self) -> None:
        """Send one heartbeat with the current group generation. Raises Rejoin, UnknownMember, Timeout."""
        await self._connection.ask(self._heartbeat(self._member, self._group_generation), self._request_s)

    def stamp(self, now_s: float) -> Stamp:
        """This member's group generation, with the time."""
        return Stamp(self._group, self._group_generation, now_s)

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
            await self._connection.ask(act, self._request_s)
        except Timeout:
            return  # the session expires by itself

    async def _take_part(self) -> None:
        while True:
            self._group_generation = await self._join()
            expelled = False
            try:
                await self._send_heartbeats()
            except UnknownMember:
                self._member, expelled = None, True
            except Rejoin:
                pass
            if self._newest.partitions:
                self._given((), expelled=expelled)

    async def _join(self) -> int:
        """Join, wait until a rebalance has ended with this member, and return the group's generation."""
        self._broker.keep_ticking()
        while True:
            if self._member is None:
                self._member = self._broker.groups.new_member_id()
            member = self._member

            def serve(reply: Reply, member: str = member) -> None:
                self._broker.keep_ticking()
                self._broker.groups.join(self._group, self._topic, member, self._session_s, reply)

            try:
                generation, partitions = await self._connection.ask(
                    serve, self._request_s + 2 * self._session_s
                )
            except Timeout:
                continue
            self._given(partitions)
            return int(generation)

    async def _send_heartbeats(self) -> None:
        """Send heartbeats until the coordinator refuses one. Raises Rejoin, UnknownMember."""
        while True:
            await asyncio.sleep(self._heartbeat_s)
            try:
                await self.heartbeat()
            except Timeout:
                continue

    def _heartbeat(self, member: str | None, generation: int) -> Serve:
        def act(reply: Reply) -> None:
            if member is None:
                raise UnknownMember
            self._broker.groups.heartbeat(self._group, member, generation)
            reply(None)

        return act

    def _given(self, partitions: tuple[int, ...], *, expelled: bool = False) -> None:
        self._generation += 1
        self._newest = Assignment(self._generation, partitions, expelled)
        self._news.set()


class MemoryClaim:
    """One assignment, confirmed by heartbeats that this object sends."""

    def __init__(self, member: MemoryMembership, assignment: Assignment, session_s: float) -> None:
        self.member = member
        self._assignment = assignment
        self._lease_s = session_s / 2
        self._confirmed_s = -math.inf

    async def confirm(self) -> None:
        asked_s = asyncio.get_running_loop().time()
        if self.member.holds(self._assignment):
            try:
                await self.member.heartbeat()
            except UnknownMember as error:
                raise ClaimLost("no member of the group any more") from error
        if not self.member.holds(self._assignment):
            raise ClaimLost("the group has taken the assignment back")
        self._confirmed_s = asked_s

    def holds(self) -> bool:
        age_s = asyncio.get_running_loop().time() - self._confirmed_s
        return age_s < self._lease_s and self.member.holds(self._assignment)
