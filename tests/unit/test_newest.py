# SPDX-License-Identifier: Apache-2.0
"""The newest fix of a driver is a function of the log, and silence is one driver's, never the city's."""

import random
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxi.messages import Fix
from taxi.positions.clock import BACK_MS_MIN, SetBack
from taxi.positions.columns import FixColumns, columns_of
from taxi.positions.fixes import AHEAD_MS_MAX, LOST_MS, OLD_MS_MAX
from taxi.positions.newest import NO_HEADING, SILENCE_MS, NewestFix, NewestFixes

T0 = 1_750_000_000_000
Read = tuple[Fix, int, int]


def read(offset: int, append_ms: int, *, age_ms: int = 0, driver: int = 1) -> Read:
    """A fix as it is in the log."""
    speed, heading = offset % 2 / 2, offset % 3 * 120
    lng = -73.9 - offset / 1e6
    fix = Fix(driver=driver, at_ms=append_ms - age_ms, lng=lng, lat=40.7, speed=speed, heading=heading)
    return fix, offset, append_ms


def columns(records: Sequence[Read]) -> FixColumns:
    fixes, offsets, appends_ms = zip(*records, strict=True) if records else ((), (), ())
    return columns_of(fixes, offsets, appends_ms)


def fold(*records: Read) -> NewestFixes:
    newest = NewestFixes()
    newest.fold(columns(records))
    return newest


@pytest.mark.parametrize(
    ("age_ms", "counts"),
    [
        (OLD_MS_MAX, True),
        (OLD_MS_MAX + 1, False),
        (-AHEAD_MS_MAX, True),
        (-AHEAD_MS_MAX - 1, False),
        (0, True),
    ],
)
def test_a_fix_counts_by_its_age_when_it_was_appended(age_ms: int, counts: bool) -> None:
    assert (1 in fold(read(0, T0, age_ms=age_ms)).drivers) is counts


def test_a_late_fix_changes_nothing() -> None:
    newest = fold(read(0, T0, age_ms=100), read(1, T0 + 500, age_ms=3_000))
    assert newest.drivers[1].offset == 0


def test_of_two_fixes_of_one_moment_the_later_in_the_log_counts() -> None:
    assert fold(read(0, T0), read(1, T0 + 200, age_ms=200)).drivers[1].offset == 1


# In what order times were appended is the log's to say: if they fall, the clock was set back. By less than
# that, the order of positions does not matter.
READS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, BACK_MS_MIN - 500), st.integers(-2_000, 7_000)), max_size=30
).map(
    lambda rows: [
        read(offset, T0 + append_ms, age_ms=age_ms, driver=driver)
        for offset, (driver, append_ms, age_ms) in enumerate(rows)
    ]
)


@given(READS, st.randoms(use_true_random=False))
def test_repeated_and_shuffled_fixes_change_nothing(records: list[Read], rng: random.Random) -> None:
    shuffled = records + rng.choices(records, k=len(records)) if records else []
    rng.shuffle(shuffled)
    assert fold(*shuffled).drivers == fold(*records).drivers


ANY_READS = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from([0, 10_000, 50_000]), st.integers(0, 9_000)), max_size=30
).map(
    lambda rows: [
        read(offset, T0 + jump_ms + append_ms, driver=driver)
        for offset, (driver, jump_ms, append_ms) in enumerate(rows)
    ]
)


def one_by_one(records: list[Read]) -> tuple[NewestFixes, list[SetBack]]:
    """The rule, word for word: a record after the other."""
    newest, appended, set_backs = NewestFixes(), list[int](), list[SetBack]()
    for fix, offset, broker_ms in records:
        appended = [*appended, broker_ms][-5:]
        median_ms = sorted(appended)[(len(appended) - 1) // 2]
        clock = newest.clock
        if median_ms + clock.shift_ms < clock.clock_ms - 5_000:
            clock.shift_ms = clock.clock_ms - median_ms
            set_backs.append(SetBack(offset, clock.shift_ms))
        now_ms, append_ms = median_ms + clock.shift_ms, broker_ms + clock.shift_ms
        clock.clock_ms = max(clock.clock_ms, now_ms)
        heard_ms = max(newest.heard_ms, append_ms if append_ms <= now_ms + 5_000 else now_ms)
        if heard_ms > newest.heard_ms + SILENCE_MS:
            newest.resumed_ms = heard_ms
        newest.heard_ms = heard_ms
        known, at_ms = newest.drivers.get(fix.driver), fix.at_ms + clock.shift_ms
        counts = append_ms - OLD_MS_MAX <= at_ms <= append_ms + AHEAD_MS_MAX
        if abs(append_ms - now_ms) <= 30_000 and counts:
            heading = fix.heading if fix.heading or fix.speed else NO_HEADING
            if known is None or (at_ms, offset) > (known.at_ms, known.offset):
                newest.drivers[fix.driver] = NewestFix(at_ms, offset, append_ms, fix.lng, fix.lat, heading)
    newest.clock.recent_ms = appended[-4:]
    return newest, set_backs


@given(
    st.one_of(READS, ANY_READS), st.lists(st.integers(0, 30), max_size=4), st.randoms(use_true_random=False)
)
def test_however_fixes_are_cut_into_batches_the_same_bytes_are_known(
    records: list[Read], cuts: list[int], rng: random.Random
) -> None:
    rng.shuffle(records)
    (expected, set_backs), newest = one_by_one(records), NewestFixes()
    for first, after in pairwise([0, *sorted(cuts), len(records)]):
        newest.fold(columns(records[first:after]))
    assert msgspec.json.encode(newest) == msgspec.json.encode(expected)
    assert newest.take_set_backs() == set_backs


@given(READS)
def test_the_newest_is_the_greatest_of_time_and_offset_among_those_that_count(records: list[Read]) -> None:
    found = fold(*records).drivers
    for driver in (1, 2, 3):
        valid = [
            (fix.at_ms, offset)
            for fix, offset, append_ms in records
            if fix.driver == driver and append_ms - OLD_MS_MAX <= fix.at_ms <= append_ms + AHEAD_MS_MAX
        ]
        seen = found.get(driver)
        assert (None if seen is None else (seen.at_ms, seen.offset)) == max(valid, default=None)


def heard(*, until_ms: int, but: int) -> NewestFixes:
    """Drivers 1 and 2 each second; of driver `but` nothing after T0."""
    newest = NewestFixes()
    for offset, ms in enumerate(range(0, until_ms + 1, 1_000)):
        for driver in (1, 2):
            if driver != but or ms == 0:
                newest.fold(columns([read(2 * offset + driver, T0 + ms, driver=driver)]))
    return newest


def test_a_driver_is_lost_exactly_when_his_silence_reaches_the_limit() -> None:
    newest = heard(until_ms=LOST_MS, but=1)
    assert not newest.is_lost(1, 0, T0 + LOST_MS - 1, LOST_MS)
    assert newest.is_lost(1, 0, T0 + LOST_MS, LOST_MS)
    assert not newest.is_lost(2, 0, T0 + LOST_MS, LOST_MS)


def test_who_never_sent_a_fix_is_lost_from_the_beginning_of_the_shift_on() -> None:
    newest = heard(until_ms=60_000, but=1)
    assert not newest.is_lost(7, T0 + 50_000, T0 + 50_000 + LOST_MS - 1, LOST_MS)
    newest.fold(columns([read(999, T0 + 65_000, driver=2)]))
    assert newest.is_lost(7, T0 + 50_000, T0 + 65_000, LOST_MS)


def test_while_no_driver_is_heard_none_is_lost() -> None:
    newest = heard(until_ms=LOST_MS, but=1)
    silent_ms = T0 + LOST_MS + SILENCE_MS
    assert newest.is_lost(1, 0, silent_ms, LOST_MS)
    assert not newest.is_lost(1, 0, silent_ms + 1, LOST_MS)
    assert not newest.is_lost(2, 0, silent_ms + 3_600_000, LOST_MS)


def test_when_the_city_is_heard_again_everyone_has_the_whole_time_once_more() -> None:
    newest = heard(until_ms=10_000, but=0)
    again_ms = T0 + 700_000
    for second in range(18):
        newest.fold(columns([read(100 + second, again_ms + second * 1_000, driver=2)]))
    heard_ms = again_ms + 2_000  # the third position after a silence is believed
    assert not newest.is_lost(1, 0, heard_ms + LOST_MS - 1, LOST_MS)
    assert newest.is_lost(1, 0, heard_ms + LOST_MS, LOST_MS)


def test_a_pause_of_everyone_that_is_no_silence_gives_no_grace() -> None:
    newest = fold(read(0, T0, driver=1))
    for step in range(4):
        offset, append_ms = 1 + 5 * step, T0 + step * SILENCE_MS
        newest.fold(columns([read(offset + nth, append_ms, driver=2 + nth) for nth in range(5)]))
    assert newest.resumed_ms == T0
    assert newest.is_lost(1, 0, T0 + LOST_MS, LOST_MS)


def test_a_recreated_topic_is_forgotten_whole() -> None:
    newest = heard(until_ms=3_000, but=0)
    newest.forget_all()
    assert newest == NewestFixes()
