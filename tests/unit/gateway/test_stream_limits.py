# SPDX-License-Identifier: Apache-2.0
"""Rates, seats, and under whose name they are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.limits import ConnectionLimiter, Gcra, GcraPerKey, Rate, rate_limit_key
from gateway.stream.session import MESSAGES

RATE = Rate(per_s=5.0, burst=10)


def test_a_burst_may_go_on_at_once_and_the_next_one_waits() -> None:
    meter = Gcra(RATE)
    assert [meter.take(0.0) for _ in range(10)] == [0.0] * 10
    assert meter.take(0.0) == pytest.approx(0.2)
    assert meter.take(0.2) == 0.0


def test_what_was_refused_costs_nothing() -> None:
    meter = Gcra(RATE)
    for _ in range(10):
        meter.take(0.0)
    for _ in range(100):
        meter.take(0.0)
    assert meter.take(0.2) == 0.0


@given(st.lists(st.floats(0, 30), max_size=200))
def test_never_more_than_the_rate_and_one_burst(at_s: list[float]) -> None:
    meter = Gcra(RATE)
    allowed = [now_s for now_s in sorted(at_s) if not meter.take(now_s)]
    for index, first_s in enumerate(allowed):
        within = [s for s in allowed[index:] if s - first_s <= 3.0]
        assert len(within) <= 10 + 5 * 3 + 1


@given(st.lists(st.floats(0, 2.0), min_size=30, max_size=120), st.floats(0, 1.0))
def test_a_client_that_keeps_to_the_protocol_is_never_refused(delays_s: list[float], pause_s: float) -> None:
    """Messages stay in order, and each may be held up for two seconds on its way."""
    own, theirs = Gcra(RATE), Gcra(MESSAGES)
    sent_s = arrived_s = pause_s
    for delay_s in delays_s:
        if wait_s := own.take(sent_s):
            sent_s += wait_s + 1e-6
            assert own.take(sent_s) == 0.0
        arrived_s = max(arrived_s, sent_s + delay_s)
        assert theirs.take(arrived_s) == 0.0


def test_a_client_that_sends_faster_than_the_protocol_allows_is_refused_in_the_end() -> None:
    steady, at_once = Gcra(MESSAGES), Gcra(MESSAGES)
    assert any(steady.take(number / 7) for number in range(200))
    assert any(at_once.take(0.0) for _ in range(21))


def test_keys_do_not_share_and_those_that_say_nothing_are_forgotten() -> None:
    meters = GcraPerKey(Rate(1.0, 1), keys_max=3)
    assert [meters.take(key, 0.0) for key in "abc"] == [0.0] * 3
    assert meters.take("a", 0.0) > 0
    assert meters.take("d", 5.0) == 0.0
    assert len(meters._meters) == 1


def test_memory_is_bounded_for_any_number_of_addresses() -> None:
    meters = GcraPerKey(Rate(0.001, 1), keys_max=50)
    for number in range(1_000):
        meters.take(number, 0.0)
    assert len(meters._meters) <= 50


def test_seats_are_counted_together_and_by_address() -> None:
    seats = ConnectionLimiter(total_max=3, address_max=2)
    assert [seats.enter("a") for _ in range(3)] == [True, True, False]
    assert seats.enter(None)
    assert not seats.enter("b")
    seats.leave("a")
    assert seats.enter("a")
    seats.leave(None)
    assert seats.enter("b")


@pytest.mark.parametrize(
    ("peer", "loopback", "name"),
    [
        ("203.0.113.9", False, "203.0.113.9"),
        ("127.0.0.1", False, None),
        ("127.0.0.1", True, "127.0.0.1"),
        ("::1", False, None),
        ("::ffff:127.0.0.1", False, None),
        ("::ffff:203.0.113.9", False, "203.0.113.9"),
        ("2001:db8:1:2:aaaa::1", False, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", False, "2001:db8:1:2::/64"),
        ("client-1", False, "client-1"),
    ],
)
def test_whose_limits_they_are(peer: str, loopback: bool, name: str | None) -> None:
    assert rate_limit_key(peer, loopback=loopback) == name
