# SPDX-License-Identifier: Apache-2.0
"""Consumer groups with the eager rebalance protocol: any change revokes and reassigns all partitions."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from taxi.bus import BusError

Reply = Callable[[object], None]


class Rejoin(BusError):  # noqa: N818 - an outcome
    """REBALANCE_IN_PROGRESS: the member is known and must join again."""


class UnknownMember(Rejoin):
    """UNKNOWN_MEMBER_ID: the session has expired, so it must join with a new member id."""


class Stamp(NamedTuple):
    """The group generation under which a member sent a request, and when it last checked it."""

    group: str
    generation: int
    said_s: float


@dataclass
class ConsumerGroup:
    """The state of one group. `waiting`: the members that have joined the current rebalance."""

    topic: str
    session_s: float
    generation: int = 0
    since_s: float = 0.0
    """When this generation began."""
    seen_s: dict[str, float] = field(default_factory=dict)
    waiting: dict[str, Reply] = field(default_factory=dict)
    round_ends_s: float | None = None


class Groups:
    """The coordinator of all groups."""

    def __init__(self, now_s: Callable[[], float], rng: random.Random, counts: Counter[str]) -> None:
        self._now_s = now_s
        self._random = rng
        self._counts = counts
        self._groups: dict[str, ConsumerGroup] = {}
        self.partitions_of: Callable[[str], list[int]] = lambda _topic: []

    @property
    def busy(self) -> bool:
        return any(group.seen_s for group in self._groups.values())

    def new_member_id(self) -> str:
        return f"{self._random.getrandbits(64):016x}"

    def join(self, name: str, topic: str, member: str, session_s: float, reply: Reply) -> None:
        """JoinGroup: start or join a rebalance. When it ends, `reply` gets (generation, partitions)."""
        group = self._groups.setdefault(name, ConsumerGroup(topic, session_s))
        group.seen_s[member] = self._now_s()
        group.waiting[member] = reply
        self._begin_round(group)
        self._settle(group)

    def heartbeat(self, name: str, member: str, generation: int) -> None:
        """Extend a member's session. Raises Rejoin, UnknownMember."""
        group = self._groups[name]
        if member not in group.seen_s:
            raise UnknownMember
        group.seen_s[member] = self._now_s()
        if generation != group.generation or group.round_ends_s is not None:
            raise Rejoin

    def was_succeeded(self, stamp: "Stamp") -> bool:
        """Whether a later generation had already begun when the member checked."""
        group = self._groups[stamp.group]
        return stamp.generation < group.generation and group.since_s <= stamp.said_s

    def members(self, name: str) -> list[str]:
        """The ids of a group's members, sorted; none if there is no such group."""
        group = self._groups.get(name)
        return sorted(group.seen_s) if group is not None else []

    def leave(self, name: str, member: str) -> None:
        """LeaveGroup, sent by the member or by who removes it."""
        group = self._groups[name]
        if group.seen_s.pop(member, None) is None:
            return
        group.waiting.pop(member, None)
        self._begin_round(group)
        self._settle(group)

    def pause(self) -> None:
        """Restart all sessions, as a coordinator does that was unavailable."""
        for group in self._groups.values():
            for member in group.seen_s:
                group.seen_s[member] = self._now_s()

    def expire(self) -> None:
        """Remove members whose session expired, and end rebalances that are due."""
        for group in self._groups.values():
            for member in [m for m, at_s in group.seen_s.items() if self._expired(group, m, at_s)]:
                self._counts["session expired"] += 1
                del group.seen_s[member]
                self._begin_round(group)
            self._settle(group)

    def _expired(self, group: ConsumerGroup, member: str, at_s: float) -> bool:
        return member not in group.waiting and self._now_s() - at_s > group.session_s

    def _begin_round(self, group: ConsumerGroup) -> None:
        if group.round_ends_s is None:
            group.round_ends_s = self._now_s() + group.session_s

    def _settle(self, group: ConsumerGroup) -> None:
        """End the rebalance if all members have joined it. After its time limit the others are removed."""
        if group.round_ends_s is None:
            return
        if self._now_s() >= group.round_ends_s:
            for member in [m for m in group.seen_s if m not in group.waiting]:
                del group.seen_s[member]
        if not group.seen_s:
            group.round_ends_s = None
        elif all(member in group.waiting for member in group.seen_s):
            self._share_out(group)

    def _share_out(self, group: ConsumerGroup) -> None:
        """Assign partitions round-robin over the sorted member ids; a new member may get all of them."""
        group.generation += 1
        group.since_s = self._now_s()
        group.round_ends_s = None
        members = sorted(group.seen_s)
        shares: dict[str, list[int]] = {member: [] for member in members}
        for index, partition in enumerate(self.partitions_of(group.topic)):
            shares[members[index % len(members)]].append(partition)
        waiting, group.waiting = group.waiting, {}
        for member, reply in waiting.items():
            group.seen_s[member] = self._now_s()
            self._counts["assigned"] += len(shares[member])
            reply((group.generation, tuple(shares[member])))
