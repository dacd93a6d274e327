# SPDX-License-Identifier: Apache-2.0
"""Many commands and positions at once: bounded batches, regular heartbeats, and a reported backlog."""

import asyncio
from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Any, TypeVar

import pytest

from dispatcher import inputs
from taxi import messages as m
from taxi import topics
from taxistream.tools.replay.shell import verify
from testing.core_harness import GRID, answer, online, request
from testing.still_bus import StillBus, at_once
from tests.unit.dispatcher.harness import LIMITS, DispatcherHarness
from tests.unit.dispatcher.test_dispatcher_shell import offer_of

T = TypeVar("T")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "COMMANDS_MAX", 20)


def answered(harness: DispatcherHarness) -> list[int]:
    """How many commands each batch answered, of batches that answered any."""
    batches = groupby(harness.events(), key=lambda event: event.batch)
    counts = [sum(event.command_id is not None for event in events) for _, events in batches]
    return [count for count in counts if count]


def unanswered(harness: DispatcherHarness, commands: list[m.GoOnline]) -> int:
    said = {event.command_id for event in harness.events()}
    return sum(command.command_id not in said for command in commands)


def verdict(harness: DispatcherHarness) -> tuple[int, int, Any]:
    """Batches decided alike again, others, the first difference."""
    done = at_once(verify(StillBus(harness.broker), 0, GRID, code_digest=lambda _: "", data_digest=""))
    return done.verified, done.not_verifiable.total(), done.difference


def test_a_batch_takes_a_bounded_number_of_commands_and_all_are_answered_once(
    harness: DispatcherHarness,
) -> None:
    shifts = [online(number) for number in range(1, 206)]

    async def scenario(harness: DispatcherHarness) -> None:
        harness.say(*shifts)
        harness.start()
        await harness.until(lambda: not unanswered(harness, shifts))
        assert answered(harness) == [20] * 10 + [5]
        closed = [event for event in harness.events() if isinstance(event, m.BatchClosed)]
        assert [event.behind for event in closed[:11]] == [True] * 10 + [False]

    harness.run(scenario)
    verified, others, difference = verdict(harness)
    assert difference is None
    assert (verified > 10, others) == (True, 0)


def test_a_batch_takes_a_bounded_number_of_bytes_and_at_least_one_command(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "COMMAND_BYTES_MAX", 1_000)
    padded = [
        f'{{"type":"GoOnline","command_id":"{n}","driver":{n},"pad":"{"x" * size}"}}'
        for n, size in enumerate([10, 800, 800, 5_000, 10, 10], start=1)
    ]

    async def scenario(harness: DispatcherHarness) -> None:
        harness.write_bytes(topics.COMMANDS, *(text.encode() for text in padded))
        harness.start()
        await harness.until(lambda: len(harness.answers("6")) == 1)
        assert answered(harness) == [3, 1, 2]

    harness.run(scenario)
    assert verdict(harness)[1:] == (0, None)


def test_unreadable_commands_count_too(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        harness.write_bytes(topics.COMMANDS, *[b"rubbish"] * 50)
        harness.say(online(1))
        harness.start()
        await harness.until(lambda: bool(harness.answers("1:online")))
        closed = [event for event in harness.events() if isinstance(event, m.BatchClosed)]
        assert [event.commands_offset for event in closed] == [20, 40, 51]
        covered = [max(letter.next, letter.offset + 1) - letter.offset for letter in harness.letters()]
        assert sum(covered) == 50

    harness.run(scenario)


def test_a_batch_reads_a_bounded_number_of_positions(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        monkeypatch.setattr(inputs, "FIXES_MAX", 30)
        fixes = [m.Fix(driver=7, at_ms=harness.now_ms(), lng=-73.98, lat=40.75) for _ in range(300)]
        before, began_s = harness.city().locations_offset, harness.loop.now
        harness.write(topics.LOCATIONS, *fixes)
        await harness.until(lambda: harness.city().locations_offset >= before + 300)
        assert harness.loop.now - began_s < 5, "those left over do not wait for the usual interval"
        offsets = [event.locations_offset for event in harness.events() if isinstance(event, m.BatchClosed)]
        assert max(b - a for a, b in pairwise(offsets)) <= 30

    harness.run(scenario)
    assert verdict(harness)[1:] == (0, None)


# --- heartbeats ------------------------------------------------------------------------------------


def slow(seconds: float) -> Callable[[Callable[[], T]], Any]:
    """A thread, as far as the loop can tell: the work is done, and its result comes later."""

    async def offload(work: Callable[[], T], /) -> T:
        result = work()
        await asyncio.sleep(seconds)
        return result

    return offload


def test_a_decision_that_takes_longer_than_a_session_costs_no_session(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        _, owner, _ = harness.start(offload=slow(3 * LIMITS.session_s))
        await harness.until(lambda: owner.is_ready)
        _, standby, _ = harness.start()
        await harness.until(lambda: standby.is_ready)
        assigned = harness.broker.counts["assigned"]
        harness.say(online(1))
        await harness.until(lambda: bool(harness.answers("1:online")))
        assert harness.broker.counts["assigned"] == assigned
        assert harness.broker.counts["session expired"] == 0

    harness.run(scenario)


def test_a_dispatcher_that_decides_for_long_says_so_and_is_not_ready(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        harness.start(offload=slow(9.0))
        faults = harness.faults[0]
        await harness.until(lambda: bool(faults.current))
        [fault] = faults.current
        assert (fault.code, fault.blocks) == ("deciding_slow", True)
        await harness.until(lambda: not faults.current)
        assert harness.city().batch >= 0

    harness.run(scenario)


# --- what was said in time -------------------------------------------------------------------------


def test_an_answer_given_in_time_counts_though_the_dispatcher_was_away_when_the_offer_lapsed(
    harness: DispatcherHarness,
) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.say(request())
        offer = await offer_of(harness, "r1")
        harness.loop.kill(harness.dispatchers[0][0])
        await asyncio.sleep(5)
        harness.say(*(online(number) for number in range(100, 145)), answer(offer))
        await asyncio.sleep(20)
        harness.start()
        await harness.until(lambda: len(harness.answers(answer(offer).command_id)) == 1)
        [outcome] = harness.answers(answer(offer).command_id)
        assert isinstance(outcome, m.RideAssigned)

    harness.run(scenario)
    assert verdict(harness)[1:] == (0, None)


def test_an_answer_that_came_too_late_does_not_count(harness: DispatcherHarness) -> None:
    async def scenario(harness: DispatcherHarness) -> None:
        await harness.start_live()
        harness.say(request())
        offer = await offer_of(harness, "r1")
        harness.loop.kill(harness.dispatchers[0][0])
        await asyncio.sleep(20)
        harness.say(answer(offer))
        await asyncio.sleep(5)
        harness.start()
        await harness.until(lambda: len(harness.answers(answer(offer).command_id)) == 1)
        [outcome] = harness.answers(answer(offer).command_id)
        assert isinstance(outcome, m.CommandRejected)

    harness.run(scenario)


# --- who sees it -----------------------------------------------------------------------------------


def test_a_backlog_is_a_fault_while_it_lasts_and_a_line_in_the_log(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dispatcher import progress  # noqa: PLC0415

    monkeypatch.setattr(progress, "COMMANDS_MAX", 20)
    monkeypatch.setattr(progress, "OVER_BELOW", 2)
    shifts = [online(number) for number in range(1, 1_001)]

    async def scenario(harness: DispatcherHarness) -> None:
        harness.say(*shifts)
        _, spy, _ = harness.start()
        faults = harness.faults[0]
        await harness.until(lambda: bool(faults.current))
        [fault] = faults.current
        assert (fault.code, fault.blocks) == ("commands_backlog", False)
        assert "commands of grid wait to be read by the dispatcher, decided in about" in fault.text
        assert spy.is_ready, "it works, as fast as it can"
        await harness.until(lambda: not unanswered(harness, shifts))
        await harness.until(lambda: not faults.current)
        assert "catching up" in spy.said

    harness.run(scenario)
