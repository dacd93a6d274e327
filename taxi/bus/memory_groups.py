# SPDX-License-Identifier: Apache-2.0
"""Consumer groups: the eager protocol. Any change takes everything from everyone, then shares it anew."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from taxi.bus import BusError

Reply = Callable[[object], None]


class Rejoin(BusError):  # noqa: N818 - an outcome
    """REBALANCE_IN_PROGRESS: the member is known, and must join again."""


class UnknownMember(Rejoin):
    """UNKNOWN_MEMBER_ID: the session has expired; it must join as someone new."""


class Stamp(NamedTuple):
    """By whose leave something was asked for, and when."""

    group: str
    generation: int
    said_s: float


@dataclass
class Group:
    """The members of one group; `waiting`: those who have joined the round that is under way."""

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
        self._groups: dict[str, Group] = {}
        self.partitions_of: Callable[[str], list[int]] = lambda _topic: []

    @property
    def busy(self) -> bool:
        return any(group.seen_s for group in self._groups.values())

    def new_member_id(self) -> str:
        return f"{self._random.getrandbits(64):016x}"

    def join(self, name: str, topic: str, member: str, session_s: float, reply: Reply) -> None:
        """Answered when the round ends, with (generation, partitions)."""
        group = self._groups.setdefault(name, Group(topic, session_s))
        group.seen_s[member] = self._now_s()
        group.waiting[member] = reply
        self._begin_round(group)
        self._settle(group)

    def heartbeat(self, name: str, member: str, generation: int) -> None:
        """Raises Rejoin, UnknownMember."""
        group = self._groups[name]
        if member not in group.seen_s:
            raise UnknownMember
        group.seen_s[member] = self._now_s()
        if generation != group.generation or group.round_ends_s is not None:
            raise Rejoin

    def was_succeeded(self, stamp: "Stamp") -> bool:
        """Whether others had been given everything when this was said."""
        group = self._groups[stamp.group]
        return stamp.generation < group.generation and group.since_s <= stamp.said_s

    def leave(self, name: str, member: str) -> None:
        group = self._groups[name]
        if group.seen_s.pop(member, None) is None:
            return
        group.waiting.pop(member, None)
        self._begin_round(group)
        self._settle(group)

    def pause(self) -> None:
        """The coordinator is away; when it is back it gives everyone a fresh session."""
        for group in self._groups.values():
            for member in group.seen_s:
                group.seen_s[member] = self._now_s()

    def expire(self) -> None:
        """Drop members that have not been heard of for a session, and end rounds that are due."""
        for group in self._groups.values():
            for member in [m for m, at_s in group.seen_s.items() if self._expired(group, m, at_s)]:
                self._counts["session expired"] += 1
                del group.seen_s[member]
                self._begin_round(group)
            self._settle(group)

    def _expired(self, group: Group, member: str, at_s: float) -> bool:
        return member not in group.waiting and self._now_s() - at_s > group.session_s

    def _begin_round(self, group: Group) -> None:
        if group.round_ends_s is None:
            group.round_ends_s = self._now_s() + group.session_s

    def _settle(self, group: Group) -> None:
        """A round ends when all members have joined it, or without those who did not in time."""
        if group.round_ends_s is None:
            return
        if self._now_s() >= group.round_ends_s:
            for member in [m for m in group.seen_s if m not in group.waiting]:
                del group.seen_s[member]
        if not group.seen_s:
            group.round_ends_s = None
        elif all(member in group.waiting for member in group.seen_s):
            self._share_out(group)

    def _share_out(self, group: Group) -> None:
        """In turn over the sorted ids, as the usual assignor does: a newcomer may well take it all."""
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
