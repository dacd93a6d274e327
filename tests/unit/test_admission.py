# SPDX-License-Identifier: Apache-2.0
"""Which connections stay, who makes room, and what is said about it."""

import asyncio
import errno
import resource
from collections.abc import Iterator
from typing import Any

import pytest

from taxi.runtime import descriptors
from taxi.runtime.admission import Admission, ConnectionLimits
from taxi.runtime.faults import Faults


class Door:
    """A connection that notes whether it was dropped."""

    def __init__(self) -> None:
        self.is_dropped = False

    def drop(self) -> None:
        self.is_dropped = True


class Spy:
    """Log and metrics."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, event: str, **fields: Any) -> None:
        self.said.append(f"{event} {fields}")

    info = warning = note

    def gauge(self, *_: Any, **__: Any) -> None: ...


def admission(**places: int) -> tuple[Admission, list[str]]:
    reasons: list[str] = []
    own = Admission(ConnectionLimits(**places), address_of=lambda peer: peer or None, failed=reasons.append)
    return own, reasons


def entered(own: Admission, count: int, peer: str = "") -> list[Door]:
    doors = [Door() for _ in range(count)]
    assert [own.enter(door, peer, 0.0) for door in doors] == [True] * count
    return doors


def test_the_connection_that_was_idle_longest_makes_room() -> None:
    own, reasons = admission(idle=3)
    first, second, third = entered(own, 3)
    own.works(first, 1.0)
    own.rests(first)
    entered(own, 2)
    assert [door.is_dropped for door in (first, second, third)] == [False, True, True]
    assert reasons == ["idle", "idle"]
    assert own.held == 3


def test_a_request_that_is_being_answered_does_not_make_room() -> None:
    own, _ = admission(idle=1)
    (busy,) = entered(own, 1)
    own.works(busy, 1.0)
    entered(own, 1)
    entered(own, 1)
    assert not busy.is_dropped


def test_an_address_makes_room_for_itself_alone() -> None:
    own, reasons = admission(per_address=2)
    theirs, ours = entered(own, 2, "them"), entered(own, 2, "us")
    entered(own, 1, "us")
    assert [door.is_dropped for door in (*theirs, *ours)] == [False, False, True, False]
    assert reasons == ["idle"]


def test_an_address_whose_connections_are_all_busy_gets_no_other() -> None:
    own, reasons = admission(per_address=2)
    doors = entered(own, 2, "us")
    for door in doors:
        own.works(door, 0.0)
    assert not own.enter(Door(), "us", 0.0)
    assert own.enter(Door(), "them", 0.0)
    assert reasons == ["address"]
    own.leave(doors[0])
    assert own.enter(Door(), "us", 0.0)


def test_peers_that_are_not_counted_share_no_limit() -> None:
    own, _ = admission(per_address=1)
    assert not any(door.is_dropped for door in entered(own, 50))


def test_an_address_may_not_connect_faster_than_its_rate() -> None:
    reasons: list[str] = []
    own = Admission(address_of=str, may_connect=lambda _, now_s: now_s > 1.0, failed=reasons.append)
    assert [own.may_come("us", now_s) for now_s in (0.0, 1.0, 2.0)] == [False, False, True]
    assert reasons == ["rate", "rate"]


def test_what_leaves_is_forgotten() -> None:
    own, _ = admission(per_address=2)
    for _ in range(100):
        (door,) = entered(own, 1, "us")
        own.works(door, 0.0)
        own.leave(door)
        own.leave(door)
    assert own.held == 0
    assert not own._of_address


# --- descriptors --------------------------------------------------------------------------------------


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """Room for sixteen connections, whatever this process has open already."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = 16
    own = (descriptors.in_use() + room) * 8 // 7 + 1  # an eighth of it is kept free
    resource.setrlimit(resource.RLIMIT_NOFILE, (own, hard))
    yield own - descriptors.reserve() - descriptors.in_use()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_the_idle_make_room_and_websockets_do_not(few_descriptors: int) -> None:
    own, reasons = admission()
    doors = entered(own, few_descriptors)
    own.upgrade(doors[0])
    entered(own, 1)
    assert [door.is_dropped for door in doors[:3]] == [False, True, False]
    for door in doors[2:]:
        own.upgrade(door)
    assert reasons == ["descriptors"]
    entered(own, 1)
    assert own.enter(Door(), "", 0.0)
    assert own.held == few_descriptors
    own.socket_left()
    assert own.held == few_descriptors - 1


def test_without_descriptors_and_without_idle_ones_only_an_old_request_makes_room(
    few_descriptors: int,
) -> None:
    own, reasons = admission()
    doors = entered(own, few_descriptors)
    for door in doors:
        own.works(door, 1.0)
    assert not own.enter(Door(), "", 5.0)
    assert own.enter(Door(), "", 12.0)
    assert reasons == ["descriptors", "descriptors"]
    assert [door.is_dropped for door in doors[:2]] == [True, False]


def test_who_made_room_keeps_its_descriptor_until_it_is_closed(few_descriptors: int) -> None:
    own, _ = admission()
    doors = entered(own, few_descriptors)
    while own.may_accept:
        entered(own, 1)
    dropped = [door for door in doors if door.is_dropped]
    assert len(dropped) == descriptors.reserve() // 2
    own.leave(dropped[0])
    assert own.may_accept


def test_a_shortage_is_a_fault_until_it_is_over_and_is_logged_once_a_minute(few_descriptors: int) -> None:
    async def scenario() -> None:
        spy, faults = Spy(), Faults()
        faults.attach(spy, spy)
        own = Admission(log=spy, faults=faults)
        doors = entered(own, few_descriptors + 2)
        own.refresh(0.0)
        assert [fault.code for fault in faults.current] == ["descriptors_low"]
        assert "ulimit -n" in faults.current[0].text
        assert "connections refused {'by_descriptors'" in spy.said[1]
        entered(own, 1)
        own.refresh(1.0)
        assert len([line for line in spy.said if "refused" in line]) == 1
        for door in doors:
            own.leave(door)
        own.refresh(5.0)
        assert faults.current
        own.refresh(12.0)
        assert not faults.current

    asyncio.run(scenario())


@pytest.mark.parametrize(("number", "reason"), [(errno.EMFILE, "descriptors"), (errno.ENOBUFS, "system")])
def test_a_failed_accept_is_counted(number: int, reason: str) -> None:
    own, reasons = admission()
    own.fell_short(OSError(number, "no"), 0.0)
    assert reasons == [reason]


def test_the_soft_limit_is_raised_to_the_hard_one_and_said() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spy = Spy()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        now = descriptors.raise_limit(spy)
        assert now == descriptors.limit() == min(hard, descriptors.WANTED)
        assert spy.said == [f"descriptor limit raised {{'before': 256, 'now': {now}}}"]
        assert descriptors.raise_limit(spy) == now
        assert len(spy.said) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
