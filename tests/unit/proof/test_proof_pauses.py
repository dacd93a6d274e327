# SPDX-License-Identifier: Apache-2.0
"""How long something that grows stopped."""

import pytest

from taxistream.tools.proof.pauses import Pauses


def seen(*values: tuple[int, float]) -> Pauses:
    """(value, seconds) as they were seen since 10.0, where the value was 5."""
    pauses = Pauses()
    pauses.see(5, 9.9)
    pauses.begin(10.0)
    for value, at_s in values:
        pauses.see(value, at_s)
    return pauses


def test_the_longest_time_without_growth_counts() -> None:
    assert seen((6, 10.5), (6, 11.0), (6, 12.9), (7, 13.5), (8, 13.6)).longest_s(14.0) == pytest.approx(3.0)


def test_a_pause_that_lasts_counts_until_now() -> None:
    assert seen((6, 10.5)).longest_s(19.5) == pytest.approx(9.0)
    assert seen().longest_s(12.0) == pytest.approx(2.0)


def test_what_was_before_does_not_count() -> None:
    pauses = Pauses()
    pauses.see(5, 1.0)
    pauses.begin(10.0)
    pauses.see(6, 10.25)
    assert pauses.longest_s(10.25) == pytest.approx(0.25)


def test_a_pause_is_over_if_it_grew_twice_and_lately() -> None:
    assert not seen((6, 10.1)).is_over(10.2, 1.0), "that may have been on its way at the kill"
    assert seen((6, 10.1), (7, 10.2)).is_over(10.3, 1.0)
    assert not seen((6, 10.1), (7, 10.2)).is_over(12.0, 1.0)
    assert not seen((4, 10.1), (3, 10.2)).is_over(10.3, 1.0), "a number that falls does not grow"
