# SPDX-License-Identifier: Apache-2.0
"""Record batches as a broker stores them, with any mistake that a test asks for."""

import gzip
import struct
from collections.abc import Sequence
from typing import Final

from aiokafka import codec
from aiokafka.record.util import calc_crc32c

HEADER: Final = struct.Struct(">qiibIhiqqqhii")
FRAME_BYTES: Final = 12
CRC_AT: Final = 17
ATTRIBUTES_AT: Final = 21
APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20
NOW_MS: Final = 1_750_000_000_000
COMPRESS: Final = {
    0: bytes,
    1: gzip.compress,
    2: codec.snappy_encode,
    3: codec.lz4_encode,
    4: codec.zstd_encode,
}


def varint(value: int) -> bytes:
    """A zigzag varint of protocol buffers."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


def nullable(data: bytes | None) -> bytes:
    """Bytes behind their length."""
    return varint(-1) if data is None else varint(len(data)) + data


def record(
    offset_delta: int,
    value: bytes | None,
    *,
    key: bytes | None = None,
    headers: Sequence[tuple[bytes | None, bytes | None]] = (),
    delta_ms: int = 0,
    header_count: int | None = None,
    tail: bytes = b"",
    size: int | None = None,
) -> bytes:
    """One record. `header_count`, `size` and `tail` are for lies."""
    count = len(headers) if header_count is None else header_count
    named = b"".join(nullable(name) + nullable(value) for name, value in headers)
    body = b"\0" + varint(delta_ms) + varint(offset_delta)
    body += nullable(key) + nullable(value) + varint(count) + named + tail
    return varint(len(body) if size is None else size) + body


def batch(
    base: int,
    payload: bytes | Sequence[bytes],
    *,
    size: int | None = None,
    last_delta: int | None = None,
    compression: int = 0,
    compressed: bytes | None = None,
    flags: int = APPEND_TIME,
    first_ms: int = NOW_MS,
    greatest_ms: int = NOW_MS,
    producer: tuple[int, int, int] = (-1, -1, -1),
    magic: int = 2,
    length: int | None = None,
    crc_off: int = 0,
) -> bytes:
    """A batch of records with a checksum that is right, whatever else it says."""
    count = len(payload) if not isinstance(payload, bytes) else (1 if size is None else size)
    data = payload if isinstance(payload, bytes) else b"".join(payload)
    if compressed is None:
        compressed = COMPRESS[compression](data)
    made = bytearray(HEADER.size) + compressed
    HEADER.pack_into(
        made,
        0,
        base,
        len(made) - FRAME_BYTES if length is None else length,
        0,
        magic,
        0,
        flags | compression,
        (max(count, 1) - 1) if last_delta is None else last_delta,
        first_ms,
        greatest_ms,
        *producer,
        count if size is None else size,
    )
    crc = calc_crc32c(bytes(made[ATTRIBUTES_AT:])) ^ crc_off
    struct.pack_into(">I", made, CRC_AT, crc)
    return bytes(made)


def good(base: int, count: int, *, compression: int = 0, flags: int = APPEND_TIME) -> bytes:
    """A batch of `count` records whose values are their offsets."""
    records = [record(delta, b"%d" % (base + delta), headers=((b"h", b"x"),)) for delta in range(count)]
    return batch(base, records, compression=compression, flags=flags)
