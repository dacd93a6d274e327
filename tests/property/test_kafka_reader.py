# SPDX-License-Identifier: Apache-2.0
"""However a fetch is taken, its records and positions are those of aiokafka's own walk over the batches."""

import struct
from itertools import accumulate
from typing import Any, Final, NamedTuple

from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taxi.bus import Outgoing, Record
from taxi.bus.kafka.fetched import InHand
from taxi.bus.kafka.producer import Identity, build

CRC_AT, ATTRIBUTES_AT, LAST_DELTA_AT = 17, 21, 23
"""In a record batch, version 2 (Kafka documentation, "Message Format")."""
CONTROL: Final = 0x20
LZ4: Final = 3


class Piece(NamedTuple):
    """A batch of the log to be."""

    producer: int
    records: int
    gap: int
    """Offsets behind its records that compaction took."""
    kind: str
    """plain, transaction, commit or abort."""
    compressed: bool


PIECES = st.lists(
    st.builds(
        Piece,
        producer=st.integers(1, 2),
        records=st.integers(1, 4),
        gap=st.integers(0, 2),
        kind=st.sampled_from(["plain", "transaction", "transaction", "commit", "abort"]),
        compressed=st.booleans(),
    ),
    max_size=8,
)


def batch(piece: Piece, base: int) -> bytes:
    """As the broker stores it."""
    is_marker = piece.kind in {"commit", "abort"}
    value = [
        Outgoing(b"k%d" % n, b"v%d" % (base + n), (("h", b"x"),) * (n % 2)) for n in range(piece.records)
    ]
    if is_marker:
        value = [Outgoing(struct.pack(">hh", 0, int(piece.kind == "commit")), b"\0" * 6)]
    who = Identity() if piece.kind == "plain" else Identity(piece.producer, 0)
    codec = LZ4 if piece.compressed and not is_marker else 0
    built = build(value, 0, who, 0, transactional=piece.kind != "plain", codec=codec)
    data = bytearray(built.data)
    struct.pack_into(">q", data, 0, base)
    struct.pack_into(">i", data, LAST_DELTA_AT, built.size - 1 + piece.gap)
    attributes = struct.unpack_from(">h", data, ATTRIBUTES_AT)[0] | (CONTROL if is_marker else 0)
    struct.pack_into(">h", data, ATTRIBUTES_AT, attributes)
    struct.pack_into(">I", data, CRC_AT, calc_crc32c(bytes(data[ATTRIBUTES_AT:])))
    return bytes(data)


def size(piece: Piece) -> int:
    """How many offsets it takes."""
    return (1 if piece.kind in {"commit", "abort"} else piece.records) + piece.gap


def aborted(pieces: list[Piece], bases: list[int]) -> list[tuple[int, int]]:
    """(producer, first offset) of each transaction that an abort ends, as a broker tells them."""
    begun: dict[int, int] = {}
    found = []
    for piece, base in zip(pieces, bases, strict=True):
        if piece.kind == "transaction":
            begun.setdefault(piece.producer, base)
        elif piece.kind in {"commit", "abort"} and piece.producer in begun:
            first = begun.pop(piece.producer)
            found += [(piece.producer, first)] if piece.kind == "abort" else []
    return found


class Walk(PartitionRecords):  # type: ignore[misc] # aiokafka ships no types
    """The reference, into records of ours."""

    def _consumer_record(self, _tp: TopicPartition, record: Any) -> Record:
        return Record(record.offset, record.timestamp, record.key, record.value, tuple(record.headers))


@given(PIECES, st.integers(0, 12), st.lists(st.integers(1, 6), min_size=1), st.booleans())
def test_records_and_positions_are_those_of_the_reference(
    pieces: list[Piece], offset: int, takes: list[int], committed: bool
) -> None:
    bases = list(accumulate((size(piece) for piece in pieces), initial=0))[:-1]
    data = b"".join(batch(piece, base) for piece, base in zip(pieces, bases, strict=True))
    listed = aborted(pieces, bases)
    offset = min(offset, size(pieces[0]) - 1) if pieces else offset  # a broker begins at its batch
    walk = Walk(TopicPartition("t", 0), MemoryRecords(data), listed, offset, None, None, True, int(committed))
    expected = list(walk)
    in_hand = InHand(data, listed, offset, committed=committed)
    found: list[Record] = []
    for index in range(len(expected) + len(takes) + 1):
        at_most = takes[index % len(takes)]
        more = in_hand.take(at_most)
        found += more
        if more:
            assert more[-1].offset < in_hand.next_offset
        if len(more) < at_most:
            break
    assert [replace(record, writer=None) for record in found] == expected
    for record in found:
        [piece] = [
            piece
            for piece, base in zip(pieces, bases, strict=True)
            if 0 <= record.offset - base < size(piece)
        ]
        assert record.writer == ((piece.producer, 0) if piece.kind == "transaction" else None)
    assert in_hand.next_offset == walk.next_fetch_offset
