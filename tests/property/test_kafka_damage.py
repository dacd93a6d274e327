# SPDX-License-Identifier: Apache-2.0
"""A reader on a log that the disk damaged, and on batches of arbitrary bytes: it always gets to the end.

The broker is a model (testing/kafka_model.py).
"""

import struct
from typing import Final

from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from taxi.bus import Damaged
from testing.kafka_model import FRAME, Placed, Segment, in_order, read_all
from testing.record_batches import COMPRESS, NOW_MS, batch, good, record

# --- the disk ----------------------------------------------------------------------------------------

SPOILS: Final = {
    "payload": (65, 8),
    "anything": (0, 70),
    "base offset": (0, 8),
    "length": (8, 4),
    "magic": (16, 1),
    "header": (21, 40),
}


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=12),
    every=st.integers(1, 6),
    spoilt=st.integers(0, 11),
    spoil=st.sampled_from(sorted(SPOILS)),
    noise=st.binary(min_size=8, max_size=8),
    compression=st.sampled_from(sorted(COMPRESS)),
    bytes_max=st.sampled_from([1, 300, 1 << 20]),
    offset=st.integers(0, 40),
    data=st.data(),
)
def test_damage_costs_the_damaged_batch_and_as_little_else_as_the_broker_lets_one_have(
    sizes: list[int],
    every: int,
    spoilt: int,
    spoil: str,
    noise: bytes,
    compression: int,
    bytes_max: int,
    offset: int,
    data: st.DataObject,
) -> None:
    batches, base = [], 0
    for size in sizes:
        batches.append(good(base, size, compression=compression))
        base += size
    segment = Segment(batches, every)
    offset = min(offset, segment.end)
    victim = segment.placed[spoilt % len(batches)]
    first, size = SPOILS[spoil]
    at = victim.at + first + data.draw(st.integers(0, max(0, size - 8)), label="at")
    before = bytes(segment.data)
    for index in range(min(8, size)):
        if at + index < len(segment.data):
            segment.data[at + index] ^= noise[index]
    assume(segment.data != before)
    records = read_all(segment, offset, bytes_max)
    in_order(records, offset, segment.end)
    read = {one.offset: one.value for one in records if not isinstance(one, Damaged)}
    hidden = _believed_to_be_elsewhere(segment, victim)
    for placed in segment.placed:
        for each in range(max(placed.base, offset), placed.end):
            if placed is victim or hidden:
                assert read.get(each) in {None, b"%d" % each} or hidden
            elif bytes_max == 1 << 20 and offset == 0 and segment.leads_to(placed):
                assert read[each] == b"%d" % each, placed
    event(f"{spoil}: {sum(isinstance(one, Damaged) for one in records)} ranges")


def _believed_to_be_elsewhere(segment: Segment, victim: Placed) -> bool:
    """Its base offset is another one that could be true: nothing but a gap shows it, and gaps are allowed."""
    base, _ = FRAME.unpack_from(segment.data, victim.at)
    return bool(base != victim.base and base < segment.end)


def test_the_last_batch_of_a_log_may_be_the_damaged_one() -> None:
    for at, bits in ((70, 1), (8, 1), (8, 0x80), (2, 1), (26, 0x40), (10, 0xFF), (25, 0x80)):
        segment = Segment([good(0, 10), good(10, 10), good(20, 10)], 1)
        segment.data[segment.placed[2].at + at] ^= bits
        for offset in (0, 15, 20, 25):
            records = read_all(segment, offset)
            assert [one.offset for one in records if not isinstance(one, Damaged)] == list(range(offset, 20))
            assert isinstance(records[-1], Damaged)
            assert (records[-1].offset, records[-1].end) == (max(offset, 20), 30)


def test_the_way_round_a_large_range_takes_few_requests() -> None:
    """Nothing before it can be fetched, because the log begins there."""
    batches = [good(base, 100) for base in range(0, 20_000, 100)]
    segment = Segment(batches, 1_000)
    struct.pack_into(">i", segment.data, 8, -1)
    segment.index += segment.placed[150:]
    records = read_all(segment)
    ranges = [one for one in records if isinstance(one, Damaged)]
    assert [(one.offset, one.end) for one in ranges] == [(0, 15_000)]
    assert len(records) == 5_001
    assert segment.fetches < 80


# --- any bytes ---------------------------------------------------------------------------------------

JUNK: Final = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.builds(
            record,
            st.integers(-3, 12),
            st.none() | st.binary(max_size=20),
            key=st.none() | st.binary(max_size=5),
            headers=st.lists(
                st.tuples(st.none() | st.binary(max_size=4), st.none() | st.binary(max_size=4)), max_size=3
            ),
            delta_ms=st.integers(-(2**63), 2**63 - 1),
            header_count=st.none() | st.integers(-(2**31), 2**31 - 1),
            tail=st.binary(max_size=3),
            size=st.none() | st.integers(-(2**40), 2**40),
        ),
        max_size=6,
    ).map(b"".join),
)


@settings(max_examples=250, deadline=None)
@given(
    payload=JUNK,
    last_delta=st.integers(0, 8),
    size=st.integers(-(2**31), 2**31 - 1) | st.integers(0, 9),
    compression=st.integers(0, 7),
    is_compressed=st.booleans(),
    flags=st.integers(0, 2**12 - 1).map(lambda bits: bits << 3),
    first_ms=st.integers(-(2**63), 2**63 - 1) | st.just(NOW_MS),
    greatest_ms=st.integers(-(2**63), 2**63 - 1) | st.just(NOW_MS),
    producer=st.tuples(
        st.integers(-(2**63), 2**63 - 1), st.integers(-(2**15), 2**15 - 1), st.integers(-(2**31), 2**31 - 1)
    ),
)
@example(b"", 3, 2**31 - 1, 0, False, 0x08, NOW_MS, NOW_MS, (-1, -1, -1))
@example(b"\x16\0\0\0\xfe" + b"\xff" * 8 + b"\1", 0, 1, 0, False, 8, NOW_MS, NOW_MS, (-1, -1, -1))
def test_a_batch_of_arbitrary_bytes_costs_no_batch_beside_it(
    payload: bytes,
    last_delta: int,
    size: int,
    compression: int,
    is_compressed: bool,
    flags: int,
    first_ms: int,
    greatest_ms: int,
    producer: tuple[int, int, int],
) -> None:
    junk = batch(
        3,
        payload,
        size=size,
        last_delta=last_delta,
        compression=compression,
        compressed=COMPRESS[compression](payload) if is_compressed and compression in COMPRESS else payload,
        flags=flags - (flags & 0x8000) * 2,
        first_ms=first_ms,
        greatest_ms=greatest_ms,
        producer=producer,
    )
    after = 3 + last_delta + 1
    segment = Segment([good(0, 3), junk, good(after, 2)], 1)
    records = read_all(segment)
    in_order(records, 0, segment.end)
    outside = [one for one in records if not 3 <= one.offset < after]
    assert [one.value for one in outside] == [b"%d" % n for n in (0, 1, 2, after, after + 1)]
    assert not any(isinstance(one, Damaged) and one.is_on_disk for one in records)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 3))
def test_a_file_of_arbitrary_bytes_is_passed_over(noise: bytes, every: int) -> None:
    segment = Segment([good(0, 3), good(3, 3), good(6, 2)], every + 1)
    middle = segment.placed[1]
    segment.data[middle.at : segment.placed[2].at] = noise[: segment.placed[2].at - middle.at].ljust(
        segment.placed[2].at - middle.at, b"\xaa"
    )
    records = read_all(segment)
    in_order(records, 0, segment.end)
    values = [one.value for one in records if not isinstance(one, Damaged)]
    assert values[:3] == [b"0", b"1", b"2"]
    assert values[-2:] == [b"6", b"7"]
