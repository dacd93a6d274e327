# SPDX-License-Identifier: Apache-2.0
"""Decoding many fixes at once finds, value for value, what decoding each of them alone finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxi.bus import Record
from taxi.messages import Fix, codec
from taxi.messages.codec import DecodeError
from taxi.positions.columns import FixColumns, read_fixes
from taxi.topics import LOCATIONS

GOOD = b'{"type":"Fix","driver":7,"at_ms":5,"lng":-73.9,"lat":40.7}'
HOSTILE = (
    None,
    b"",
    b" \n ",
    b"\n" + GOOD,
    GOOD + b"\n",
    GOOD + GOOD,  # two of them in one value
    GOOD + b"\n" + GOOD,
    GOOD[:30],  # together with the next they are one
    GOOD[30:],
    b"[" + GOOD,
    GOOD + b"]",
    GOOD + b",",
    b"[" + GOOD + b"]",
    b"null",
    b'"Fix"',
    b"{}",
    GOOD.replace(b"Fix", b"Fax"),
    GOOD.replace(b'"type":"Fix",', b""),
    GOOD.replace(b"7", b'"7"'),
    GOOD.replace(b"7", b"0"),
    GOOD.replace(b"7", b"7.5"),
    GOOD.replace(b"7", b"7.0"),
    GOOD.replace(b"7", b"4294967296"),
    GOOD.replace(b"7", b"9" * 400),
    GOOD.replace(b"5", b"-1"),
    GOOD.replace(b"40.7", b"NaN"),
    GOOD.replace(b"40.7", b"1e999"),
    GOOD.replace(b"40.7", b"-90"),
    GOOD.replace(b"40.7", b'40.7,"lat":41'),
    GOOD.replace(b"}", b',"speed":1e308,"heading":360}'),
    GOOD.replace(b"}", b',"speed":-0.0}'),
    GOOD.replace(b"}", b',"speed":Infinity}'),
    GOOD.replace(b"}", b',"more":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
    GOOD.replace(b"}", b',"more":"\xff"}'),
    b"\xff" + GOOD,
    b"\xef\xbb\xbf" + GOOD,
    b"\x00",
)

FIXES = st.builds(
    Fix,
    driver=st.integers(1, 2**32 - 1),
    at_ms=st.integers(0, 2**53),
    lng=st.floats(-180, 180),
    lat=st.floats(-90, 90),
    heading=st.integers(0, 360),
    speed=st.floats(0, allow_infinity=False),
).map(codec.encode)
RECORDS = st.lists(
    st.tuples(
        st.integers(1, 3),  # offsets have gaps
        st.integers(0, 2**50),
        st.one_of(FIXES, st.sampled_from(HOSTILE), st.binary(max_size=40)),
    ),
    max_size=12,
).map(
    lambda rows: [
        Record(sum(gap for gap, _, _ in rows[: index + 1]), append_ms, b"key", value)
        for index, (_, append_ms, value) in enumerate(rows)
    ]
)


def singly(records: list[Record]) -> tuple[list[tuple[Fix, int, int]], list[tuple[int, str]]]:
    """Each record alone."""
    good: list[tuple[Fix, int, int]] = []
    bad: list[tuple[int, str]] = []
    for record in records:
        try:
            good.append((codec.decode(LOCATIONS, record), record.offset, record.timestamp_ms))
        except DecodeError as error:
            bad.append((record.offset, str(error)))
    return good, bad


def rows(fixes: FixColumns) -> list[tuple[Fix, int, int]]:
    """As `singly` has them."""
    columns = [column.tolist() for column in fixes]
    assert {len(column) for column in columns} <= {len(columns[0])}
    return [
        (Fix(driver=driver, at_ms=at_ms, lng=lng, lat=lat, heading=heading, speed=speed), offset, append_ms)
        for driver, at_ms, offset, append_ms, lng, lat, heading, speed in zip(*columns, strict=True)
    ]


@given(RECORDS)
def test_together_and_alone_agree(records: list[Record]) -> None:
    fixes, unreadable = read_fixes(records)
    assert (rows(fixes), [(error.record.offset, str(error)) for error in unreadable]) == singly(records)
    assert all(error.topic == LOCATIONS for error in unreadable)


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("other", [GOOD, GOOD[30:], b""])
def test_what_is_beside_a_hostile_value_changes_nothing(value: bytes | None, other: bytes) -> None:
    records = [Record(offset, 5, None, each) for offset, each in enumerate([GOOD, value, other, GOOD + GOOD])]
    fixes, unreadable = read_fixes(records)
    assert (rows(fixes), [(error.record.offset, str(error)) for error in unreadable]) == singly(records)


def test_columns_keep_their_types_when_there_is_nothing() -> None:
    fixes, unreadable = read_fixes([])
    assert not unreadable
    assert [column.dtype for column in fixes] == [np.int64] * 4 + [np.float64] * 2 + [np.int64, np.float64]


def test_columns_can_be_chosen_from() -> None:
    fixes, _ = read_fixes([Record(offset, 5, None, GOOD) for offset in range(4)])
    chosen = fixes.take(fixes.offset >= 2)
    assert chosen.offset.tolist() == [2, 3]
    assert {len(column) for column in chosen} == {2}
