# SPDX-License-Identifier: Apache-2.0
"""A command is sent until something answers it, ever less often, in the order in which it was said."""

from simulator.outbox import TRIES_MAX, Outbox
from taxi.messages import CancelRide


def command(name: str) -> CancelRide:
    return CancelRide(command_id=name, ride=name)


def test_a_command_is_sent_once_and_again_only_after_a_while() -> None:
    outbox = Outbox(10_000)
    outbox.put([command("a")], 0)
    assert outbox.due(0) == [command("a")]
    assert outbox.due(9_999) == []
    assert outbox.due(10_000) == [command("a")]
    assert outbox.due(29_999) == []
    assert outbox.due(30_000) == [command("a")]


def test_an_answered_command_is_forgotten() -> None:
    outbox = Outbox(10_000)
    outbox.put([command("a"), command("b")], 0)
    outbox.due(0)
    outbox.answered("a")
    outbox.answered("never heard of")
    assert outbox.due(60_000) == [command("b")]


def test_what_is_said_twice_is_kept_once() -> None:
    outbox = Outbox(10_000)
    outbox.put([command("a"), command("a")], 0)
    outbox.due(0)
    outbox.put([command("a")], 100)
    assert len(outbox) == 1
    assert outbox.due(200) == []


def test_what_may_not_have_been_written_is_due_at_once_and_in_order() -> None:
    outbox = Outbox(10_000)
    outbox.put([command("a"), command("b")], 0)
    sent = outbox.due(0)
    outbox.put([command("c")], 50)
    outbox.unsent(sent, 50)
    assert [c.command_id for c in outbox.due(50)] == ["a", "b", "c"]


def test_an_answer_that_came_meanwhile_is_kept() -> None:
    outbox = Outbox(10_000)
    outbox.put([command("a")], 0)
    sent = outbox.due(0)
    outbox.answered("a")
    outbox.unsent(sent, 50)
    assert outbox.due(50) == []


def test_after_many_tries_a_command_is_given_up_and_counted() -> None:
    outbox, now_ms, tries = Outbox(10), 0, 0
    outbox.put([command("a")], 0)
    while len(outbox):
        tries += len(outbox.due(now_ms))
        now_ms += 10
    assert tries == TRIES_MAX
    assert outbox.given_up == 1
