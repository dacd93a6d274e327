# SPDX-License-Identifier: Apache-2.0
"""Whatever bytes a batch holds, its good records are read, the others are `Damaged`, and reading goes on."""

import random
import struct
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.util import calc_crc32c_py, decode_varint_py

from taxi.bus import NO_TIME, RAW_BYTES_MAX, Damaged, Record
from taxi.bus.kafka import batches
from taxi.bus.kafka.codecs import INFLATED_BYTES_MAX
from taxi.bus.kafka.fetched import InHand
from testing.record_batches import (
    APPEND_TIME,
    COMPRESS,
    CONTROL,
    HEADER,
    NOW_MS,
    TRANSACTIONAL,
    batch,
    good,
    record,
    varint,
)

BAD_NAME = ((b"\xff\xfe", b"x"),)


@pytest.fixture(params=["in C", "in Python"], autouse=True)
def aiokafka(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both implementations of aiokafka's records."""
    if request.param == "in C":
        yield
        return
    with (
        patch.object(batches, "DefaultRecordBatch", _DefaultRecordBatchPy),
        patch.object(_DefaultRecordBatchPy._read_msg, "__defaults__", (decode_varint_py,)),
        patch.object(batches, "calc_crc32c", calc_crc32c_py),
    ):
        yield


def taken(
    data: bytes, offset: int = 0, *, confirmed: int = -1, limit: int = 10**6
) -> tuple[list[Record], InHand]:
    """Everything that the data holds, three at a time."""
    in_hand = InHand(data, None, offset, committed=True, limit=limit, confirmed=confirmed)
    found: list[Record] = []
    while more := in_hand.take(3):
        found += more
    return found, in_hand


def described(records: list[Record]) -> list[str]:
    """Each as text: its offset and value, or the range and why it could not be read."""
    return [
        f"{one.offset}-{one.end - 1}: {one.reason}"
        if isinstance(one, Damaged)
        else f"{one.offset}={(one.value or b'').decode()}"
        for one in records
    ]


def between(middle: bytes, base: int = 2, size: int = 1) -> bytes:
    """Two good batches around a batch."""
    return good(0, base) + middle + good(base + size, 2)


GOOD = record(0, b"value", key=b"key", headers=((b"h", b"x"),))

PAYLOADS = [
    (record(0, b"{}", headers=BAD_NAME), "a header's name is not UTF-8"),
    (record(0, b"{}", headers=((None, b"x"),)), "a header without a name"),
    (record(0, b"{}", header_count=-1), "-1 headers"),
    (record(0, b"{}", header_count=2**31 - 1), "2147483647 headers"),
    (record(0, b"{}", header_count=3), "it ends within a number"),
    (record(0, b"{}", tail=b"\0\0"), "2 bytes behind the record's end"),
    (record(-1, b"{}"), "offset 1 is not within 2 … 2"),
    (record(1, b"{}"), "offset 3 is not within 2 … 2"),
    (record(2**40, b"{}"), "offset 1099511627778 is not within 2 … 2"),
    (record(0, b"{}", size=2**31 - 1), "a record of 2147483647 bytes"),
    (record(0, b"{}", size=-5), "a record of -5 bytes"),
    (record(0, b"{}", size=0), "a record of 0 bytes"),
    (varint(9) + b"\0\0\0" + varint(2**62) + b"xxx", "it ends within a number"),
    (b"\x16\0\0\0" + varint(2**31) + b"xxxxx", "key of 2147483648 bytes where 3 are left"),
    (b"\x18\0\0\0" + varint(2**63 - 1) + b"xx", "it ends within a number"),
    (b"\x1a\0\0\0" + varint(2**63 - 1) + b"", "key of 9223372036854775807 bytes"),
    (b"\xff" * 12, "a number of more than 64 bits"),
    (b"\0", "a record of 0 bytes"),
    (b"\x80", "it ends within a number"),
    (b"", "the batch says 1 records and has 0"),
    (random.Random(1).randbytes(300), ""),
]


@pytest.mark.parametrize(("payload", "reason"), PAYLOADS, ids=range(len(PAYLOADS)))
@pytest.mark.parametrize("compression", COMPRESS)
def test_one_record_that_is_none_of_those_around_it(payload: bytes, reason: str, compression: int) -> None:
    records, in_hand = taken(between(batch(2, payload, compression=compression)))
    before, bad, *after = described(records)[1:]
    assert (before, after) == ("1=1", ["3=3", "4=4"])
    assert bad.startswith(f"2-2: {reason}")
    assert in_hand.next_offset == 5
    assert records[2].timestamp_ms == NOW_MS


def test_a_bad_header_costs_no_other_record_of_its_batch() -> None:
    middle = [record(0, b"2"), record(1, b"{}", key=b"k", headers=BAD_NAME), record(2, b"4")]
    records, _ = taken(between(batch(2, middle), size=3))
    assert [text.split(":")[0] for text in described(records)] == [
        "0=0",
        "1=1",
        "2=2",
        "3-3",
        "4=4",
        "5=5",
        "6=6",
    ]
    bad = records[3]
    assert isinstance(bad, Damaged)
    assert (bad.key, bad.value, bad.is_on_disk) == (b"k", None, False)
    assert bad.raw in middle[1]


def test_a_length_that_lies_costs_the_rest_of_its_batch_and_no_more() -> None:
    middle = [record(0, b"2"), record(1, b"3", size=200), record(2, b"4"), record(3, b"5")]
    records, _ = taken(between(batch(2, middle), size=4))
    assert [text.split(":")[0] for text in described(records)] == ["0=0", "1=1", "2=2", "3-5", "6=6", "7=7"]


@pytest.mark.parametrize("size", [1, -1, -(2**31)])
def test_a_batch_without_records_that_says_otherwise_is_damage(size: int) -> None:
    [_, _, bad, *_], _ = taken(between(batch(2, b"", size=size, last_delta=0)))
    assert isinstance(bad, Damaged)
    assert (bad.offset, bad.end) == (2, 3)
    assert bad.reason == f"the batch says {size} records and has 0"


@pytest.mark.parametrize("size", [0, 1, 2, 4, 2**31 - 1, -1])
def test_a_count_that_lies_costs_no_record(size: int) -> None:
    records, _ = taken(
        between(batch(2, [record(n, b"x") for n in range(3)], size=size, last_delta=2), size=3)
    )
    assert described(records)[2:5] == ["2=x", "3=x", "4=x"]
    assert not [one for one in records if isinstance(one, Damaged)]


def test_records_that_are_missing_are_reported() -> None:
    records, _ = taken(between(batch(2, [record(0, b"x")], size=4, last_delta=3), size=4))
    assert described(records)[2:4] == ["2=x", "3-5: the batch says 4 records and has 1"]


@pytest.mark.parametrize(
    ("deltas", "read"),
    [
        ((0, 0, 2), ["2=x", "3-3", "4=x"]),
        ((2, 1, 0), ["2-4"]),
        ((0, 2, 2), ["2-4"]),
        ((0, 1, 2**31), ["2=x", "3=x", "4-4"]),
        ((-5, 1, 2), ["2-2", "3=x", "4=x"]),
    ],
)
def test_offsets_within_a_batch_ascend(deltas: tuple[int, ...], read: list[str]) -> None:
    middle = batch(2, [record(delta, b"x") for delta in deltas], last_delta=2)
    records, in_hand = taken(between(middle, size=3))
    assert [text.split(":")[0] for text in described(records)[2:-2]] == read
    assert in_hand.next_offset == 7


def test_gaps_that_compaction_left_are_no_damage() -> None:
    middle = batch(2, [record(1, b"x"), record(4, b"y")], last_delta=6)
    records, in_hand = taken(between(middle, size=7))
    assert described(records)[2:4] == ["3=x", "6=y"]
    assert in_hand.next_offset == 11
    records, in_hand = taken(between(batch(2, [], last_delta=6), size=7))
    assert described(records)[2:] == ["9=9", "10=10"]


def test_a_control_batch_without_a_record_ends_its_transaction() -> None:
    """As compaction may leave it: 61 bytes."""
    who = (7, 0, 0)
    empty = batch(1, [], flags=CONTROL | TRANSACTIONAL, producer=who)
    assert len(empty) == HEADER.size
    aborted = batch(0, [record(0, b"no")], flags=TRANSACTIONAL, producer=who)
    later = batch(2, [record(0, b"yes")], flags=TRANSACTIONAL, producer=who)
    in_hand = InHand(aborted + empty + later, [(7, 0)], 0, committed=True)
    assert described(in_hand.take(9)) == ["2=yes"]
    assert in_hand.next_offset == 3
    marker = batch(1, [record(0, b"\xff", key=b"\xff")], flags=CONTROL | TRANSACTIONAL, producer=who)
    assert described(InHand(aborted + marker + later, [(7, 0)], 0, committed=True).take(9)) == ["2=yes"]
    assert described(InHand(aborted + marker + later, None, 0, committed=False).take(9)) == ["0=no", "2=yes"]


@pytest.mark.parametrize("bit", range(16))
def test_each_attribute_bit(bit: int) -> None:
    middle = batch(
        2, [record(0, b"x")], flags=(1 << bit) - (bit == 15) * (1 << 16), compressed=record(0, b"x")
    )
    records, in_hand = taken(between(middle))
    assert in_hand.next_offset == 5
    shown = described(records)[2:-2]
    if bit < 3:
        assert shown[0].startswith("2-2: damaged ")
    elif 1 << bit == CONTROL:
        assert shown == []
    else:
        assert shown == ["2=x"]


@pytest.mark.parametrize("compression", [5, 6, 7])
def test_an_unknown_codec_costs_its_batch_alone(compression: int) -> None:
    middle = batch(2, [record(n, b"x") for n in range(3)], compression=compression, compressed=b"xyz")
    records, _ = taken(between(middle, size=3))
    assert described(records)[2:3] == [f"2-4: unknown compression codec {compression}"]
    assert [one.offset for one in records[3:]] == [5, 6]


@pytest.mark.parametrize("compression", [1, 2, 3, 4])
def test_damaged_compressed_data_costs_its_batch_alone(compression: int) -> None:
    whole = COMPRESS[compression](b"".join(record(n, b"x" * 50) for n in range(30)))
    for spoilt in (b"", b"\0", whole[:-6], b"\xff" + whole[1:], whole[:25] + b"\xee" * 6 + whole[31:]):
        middle = batch(2, [b""] * 30, compression=compression, compressed=spoilt)
        records, _ = taken(between(middle, size=30))
        assert [one.offset for one in records if not isinstance(one, Damaged)][-2:] == [32, 33]
        assert any(isinstance(one, Damaged) for one in records), (compression, spoilt)


@pytest.mark.parametrize("compression", [1, 2, 3, 4])
def test_a_decompression_bomb_costs_its_batch_alone(compression: int) -> None:
    bomb = COMPRESS[compression](bytes(INFLATED_BYTES_MAX + 1))
    records, _ = taken(between(batch(2, [b""] * 3, compression=compression, compressed=bomb), size=3))
    assert described(records)[2:3] == ["2-4: more than 32 MiB when decompressed"]
    assert isinstance(records[2], Damaged)
    assert len(records[2].raw) == min(RAW_BYTES_MAX, HEADER.size + len(bomb))


def test_a_batch_of_zeros_is_one_dead_letter_not_millions() -> None:
    zeros = COMPRESS[4](bytes(1 << 20))
    records, _ = taken(between(batch(2, [b""] * 1000, compression=4, compressed=zeros), size=1000))
    assert len(records) == 5


def test_very_many_damaged_records_are_handed_out_as_ranges() -> None:
    bad = [record(n, b"{}", headers=BAD_NAME if n != 1500 else ()) for n in range(3000)]
    records, _ = taken(between(batch(2, bad), size=3000))
    assert [text.split(":")[0] for text in described(records)[2:-2]] == ["2-1501", "1502={}", "1503-3001"]


@pytest.mark.parametrize(
    ("flags", "first_ms", "greatest_ms", "delta_ms"),
    [
        (0, NOW_MS, NOW_MS, 2**62),
        (0, 2**63 - 1, NOW_MS, 1),
        (0, -(2**63), NOW_MS, -1),
        (0, NOW_MS, NOW_MS, -NOW_MS - 2),
        (APPEND_TIME, NOW_MS, 2**63 - 1, 0),
        (APPEND_TIME, NOW_MS, -(2**63), 0),
        (APPEND_TIME, NOW_MS, -1, 0),
    ],
)
def test_a_time_that_makes_no_sense_costs_its_record(
    flags: int, first_ms: int, greatest_ms: int, delta_ms: int
) -> None:
    made = [record(0, b"x", delta_ms=delta_ms)]
    middle = batch(2, made, flags=flags, first_ms=first_ms, greatest_ms=greatest_ms)
    records, _ = taken(between(middle))
    assert isinstance(records[2], Damaged)
    assert "time" in records[2].reason
    assert records[2].timestamp_ms == (NOW_MS if flags == 0 else NO_TIME)


def test_a_record_without_a_time_has_none() -> None:
    records, _ = taken(batch(0, [record(0, b"x")], flags=0, first_ms=-1, greatest_ms=-1))
    assert records == [Record(0, NO_TIME, None, b"x")]


def test_null_keys_values_and_header_values_are_read() -> None:
    made = [record(0, None), record(1, b"", key=b""), record(2, b"x", headers=((b"", None), (b"a", b"")))]
    records, _ = taken(batch(0, made))
    assert [(one.key, one.value) for one in records] == [(None, None), (b"", b""), (None, b"x")]
    assert [name for name, _ in records[2].headers] == ["", "a"]


# --- what the checksum does not cover, and the disk --------------------------------------------------


def test_the_end_of_a_fetch_may_cut_a_batch_off() -> None:
    data = good(0, 2) + good(2, 2)
    for end in range(len(good(0, 2)), len(data)):
        records, in_hand = taken(data[:end])
        assert [one.offset for one in records] == [0, 1]
        assert in_hand.next_offset == 2
        assert in_hand.unreadable is None


DAMAGE = {
    "payload": (70, 0xFF),
    "checksum": (17, 0xFF),
    "attributes": (22, 0x07),
    "magic": (16, 0x0B),
    "older format": (16, 0x03),
    "offsets": (26, 0x40),
    "base offset, too high": (2, 0x40),
    "base offset, beyond the next": (7, 0x04),
    "length, too high": (8, 0x01),
    "length, negative": (8, 0x80),
    "length, too low": (11, 0x0F),
    "length, next to nothing": (10, 0x00),
    "size": (60, 0xFF),
}


@pytest.mark.parametrize(("at", "bits"), DAMAGE.values(), ids=DAMAGE)
def test_damage_on_the_disk_costs_its_batch_alone_once_it_is_confirmed(at: int, bits: int) -> None:
    middle = bytearray(good(2, 3))
    middle[at] ^= bits
    if at == 10:
        struct.pack_into(">i", middle, 8, 3)
    data = good(0, 2) + bytes(middle) + good(5, 2) + good(7, 1)
    records, in_hand = taken(data)
    assert described(records) == ["0=0", "1=1"]
    assert in_hand.next_offset == 2  # a length that is too high looks like the end of the fetch
    assert in_hand.unreadable is not None or bits == DAMAGE["length, too high"][1]
    records, in_hand = taken(data[len(good(0, 2)) :], 2, confirmed=2)
    [bad] = records
    assert isinstance(bad, Damaged)
    assert (bad.offset, bad.end, bad.is_on_disk, bad.timestamp_ms) == (2, 5, True, NO_TIME)
    assert bad.raw.startswith(bytes(middle))
    assert (in_hand.next_offset, in_hand.has_gap) == (5, True)


def test_damage_with_nothing_whole_behind_it_is_left_to_a_fetch_elsewhere() -> None:
    middle = bytearray(good(2, 3))
    middle[70] ^= 1
    records, in_hand = taken(bytes(middle), 2, confirmed=2)
    assert records == []
    assert in_hand.unreadable == "the checksum is wrong"
    assert in_hand.next_offset == 2


def test_a_whole_batch_may_lie_anywhere_behind_lost_framing() -> None:
    noise = b"\x02" * 200 + random.Random(2).randbytes(5_000)
    records, in_hand = taken(noise + good(9, 2), 2, confirmed=2)
    assert described(records) == ["2-8: the checksum is wrong"] or described(records)[0].startswith("2-8: ")
    assert in_hand.next_offset == 9


def test_a_batch_beyond_the_end_of_the_log_is_not_believed() -> None:
    records, in_hand = taken(good(0, 2) + good(50, 2), limit=10)
    assert described(records) == ["0=0", "1=1"]
    assert in_hand.next_offset == 2
    assert in_hand.unreadable is not None


def test_what_lies_before_the_position_is_passed_over() -> None:
    records, _ = taken(good(0, 2) + good(2, 2) + good(4, 1), 3)
    assert described(records) == ["3=3", "4=4"]
    bad = batch(0, [record(0, b"x", size=200), record(1, b"x"), record(2, b"x")])
    records, _ = taken(bad + good(3, 1), 1)
    assert [text.split(":")[0] for text in described(records)] == ["1-2", "3=3"]


def test_a_fetch_that_begins_within_a_damaged_range_returns_the_rest_of_it() -> None:
    data = batch(0, [b""] * 9, compression=6, compressed=b"x") + good(9, 1)
    for offset in range(9):
        records, _ = taken(data, offset)
        assert described(records) == [f"{offset}-8: unknown compression codec 6", "9=9"]
