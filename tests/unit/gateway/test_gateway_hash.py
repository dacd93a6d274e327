# SPDX-License-Identifier: Apache-2.0
"""The gateway's hash over columns equals the reference over rows, whatever the values."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.updates.columns import DriverColumns
from gateway.updates.hash import WORD, Lanes, added_up, hash_drivers, hash_ride
from taxi.client.hashing import driver_hash, ride_hash
from taxi.client.rows import DriverRow

u32 = st.integers(0, 2**32 - 1)
i32 = st.integers(-(2**31), 2**31 - 1)
u8 = st.integers(0, 255)
rows = st.lists(st.builds(DriverRow, u32, i32, i32, u32, u8, u8, u8), max_size=30)


def as_columns(rows: list[DriverRow]) -> DriverColumns:
    kinds = (np.uint32, np.int32, np.int32, np.uint32, np.uint8, np.uint8, np.uint8)
    return DriverColumns(*(np.array([row[i] for row in rows], kind) for i, kind in enumerate(kinds)))


def total(parts: list[tuple[int, int]]) -> tuple[int, int]:
    return sum(a for a, _ in parts) & WORD, sum(b for _, b in parts) & WORD


@given(rows)
def test_columns_hash_as_their_rows_do(rows: list[DriverRow]) -> None:
    assert added_up(hash_drivers(as_columns(rows))) == total([driver_hash(row) for row in rows])


@given(st.lists(u32, min_size=12, max_size=21))
def test_ride_records_hash_as_the_reference_says(words: list[int]) -> None:
    record = np.array(words, "<u4").tobytes()
    assert hash_ride(record) == ride_hash(record)


@given(rows, st.randoms(use_true_random=False))
def test_order_never_matters(rows: list[DriverRow], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert added_up(hash_drivers(as_columns(rows))) == added_up(hash_drivers(as_columns(shuffled)))


@given(u32, u32, u32, u32)
def test_what_is_added_can_be_taken_out(a: int, b: int, c: int, d: int) -> None:
    assert Lanes(a, b).plus(Lanes(c, d)).minus(Lanes(c, d)) == Lanes(a, b)
