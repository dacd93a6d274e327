# SPDX-License-Identifier: Apache-2.0
"""City time is exact, goes on where it is at a change of speed, and two implementations of it agree."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from taxi.city_time import PERIODS_MAX, CityTime, Period
from taxi.messages import SPEED_MAX
from taxistream.tools.documented_time import CityClock

START_MS = 1_750_000_000_000
CHANGES = st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, SPEED_MAX)), max_size=6)
SINCE_MS = st.integers(-50_000, 900_000)


def city_time(changes: list[tuple[int, int]]) -> tuple[CityTime, CityClock]:
    """Each change comes so much later than the one before. As services compute it, and as checks do."""
    time, clock, at_ms = CityTime(), CityClock(), START_MS
    for later_ms, speed in changes:
        at_ms += later_ms
        time = CityTime(time.changed(at_ms, speed))
        event: dict[str, Any] = {"type": "PolicyActivated", "at_ms": at_ms, "speed": speed}
        clock.take("PolicyActivated", event)
    return time, clock


def test_without_a_speed_city_time_is_log_time() -> None:
    time = CityTime()
    assert (time.speed, time.at(7), time.log_ms(7), time.after(7, 5), time.before(7, 5)) == (1, 7, 7, 12, 2)


def test_at_speed_ten_a_minute_lasts_six_seconds() -> None:
    time = CityTime(CityTime().changed(START_MS, 10))
    assert time.after(START_MS, 60_000) == START_MS + 6_000
    assert time.between(START_MS, START_MS + 6_000) == 60_000
    assert time.after(START_MS, 60_001) == START_MS + 6_001, "the first millisecond at which it is over"


def test_what_began_before_a_change_has_lasted_as_long_as_was_lived_through() -> None:
    faster = CityTime().changed(START_MS, 10)
    time = CityTime(CityTime(faster).changed(START_MS + 3_000, 1))
    assert time.after(START_MS - 20_000, 60_000) == START_MS + 3_000 + 10_000
    assert time.before(START_MS + 13_000, 60_000) == START_MS - 20_000
    assert time.speed == 1
    assert time.at(START_MS + 3_000) == START_MS + 30_000, "it stays ahead"


def test_the_same_speed_again_begins_no_period() -> None:
    time = CityTime(CityTime().changed(START_MS, 10))
    assert time.changed(START_MS + 5, 10) == list(time.periods)
    assert CityTime().changed(START_MS, 1) == []


def test_a_speed_that_no_time_passes_at_is_not_kept() -> None:
    time = CityTime(CityTime().changed(START_MS, 10))
    assert time.changed(START_MS, 3) == [Period(START_MS, START_MS, 3)]
    assert time.changed(START_MS, 1) == []


def test_so_many_periods_are_kept() -> None:
    time = CityTime()
    for n in range(100):
        time = CityTime(time.changed(START_MS + 1_000 * n, 2 + n % 2))
    assert len(time.periods) == PERIODS_MAX
    assert time.at(START_MS + 99_000) == START_MS + 99_000 + sum(1_000 * (1 + n % 2) for n in range(99))


@given(CHANGES, SINCE_MS, SINCE_MS)
def test_it_never_goes_back_and_never_jumps(changes: list[tuple[int, int]], one: int, other: int) -> None:
    time, _ = city_time(changes)
    first, last = sorted((START_MS + one, START_MS + other))
    assert last - first <= time.at(last) - time.at(first) <= SPEED_MAX * (last - first)


@given(CHANGES, SINCE_MS, st.integers(1, 3_000_000))
def test_a_duration_is_over_at_the_first_moment_at_which_it_was_lived_through(
    changes: list[tuple[int, int]], since: int, lasts_ms: int
) -> None:
    time, _ = city_time(changes)
    begun_ms = START_MS + since
    over_ms = time.after(begun_ms, lasts_ms)
    assert time.between(begun_ms, over_ms - 1) < lasts_ms <= time.between(begun_ms, over_ms)
    assert time.before(over_ms, lasts_ms) >= begun_ms > time.before(over_ms - 1, lasts_ms)


@given(CHANGES, SINCE_MS, SINCE_MS, st.integers(1, 3_000_000))
def test_checks_count_like_services_by_themselves(
    changes: list[tuple[int, int]], since: int, until: int, lasts_ms: int
) -> None:
    time, clock = city_time(changes)
    begun_ms, end_ms = START_MS + since, START_MS + until
    assert clock.end_ms(begun_ms, lasts_ms) == time.after(begun_ms, lasts_ms)
    assert clock.lived_ms(begun_ms, end_ms) == time.between(begun_ms, end_ms)
    assert clock.at(end_ms) == time.at(end_ms)
    assert clock.speed == time.speed


def test_checks_keep_as_many_changes() -> None:
    time, clock = city_time([(1_000, 2 + n % 2) for n in range(100)])
    for begun_ms in range(START_MS - 5_000, START_MS + 105_000, 500):
        for lasts_ms in (1, 60_000, 150_000):
            assert clock.end_ms(begun_ms, lasts_ms) == time.after(begun_ms, lasts_ms)
        assert clock.at(begun_ms) == time.at(begun_ms)


def test_a_speed_that_is_known_before_log_time_begins_with_it() -> None:
    clock = CityClock()
    for event in (
        {"type": "PolicyActivated", "at_ms": 0, "speed": 10},
        {"type": "BatchClosed", "at_ms": 0},
        {"type": "BatchClosed", "at_ms": START_MS},
    ):
        clock.take(str(event["type"]), event)
    assert clock.end_ms(START_MS - 5, 1_005) == START_MS + 100
    assert clock.lived_ms(START_MS - 5, START_MS + 100) == 1_005
