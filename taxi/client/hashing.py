# SPDX-License-Identifier: Apache-2.0
"""The state hash of docs/protocol.md ("The hash"), a row at a time."""

import struct
from typing import Final

from taxi.client.rows import DriverRow

_WORD: Final = 0xFFFFFFFF


def _fmix(h: int) -> int:
    h ^= h >> 16
    h = h * 0x85EBCA6B & _WORD
    h ^= h >> 13
    h = h * 0xC2B2AE35 & _WORD
    return h ^ h >> 16


def driver_hash(row: DriverRow) -> tuple[int, int]:
    """The two lanes that a driver row adds to the state hash, 32 bits each. A row that goes is subtracted."""
    x, y, t = row.lng_e5 & _WORD, row.lat_e5 & _WORD, row.at_ms & _WORD
    s = row.status | row.heading << 8 | row.speed << 16
    k = _fmix(row.driver * 0x9E3779B1 + s * 0x27D4EB2F + t * 0x165667B1 + 1 & _WORD)
    return _fmix((x ^ k) * 0x85EBCA77 + y & _WORD), _fmix((y ^ k) * 0xC2B2AE3D + x & _WORD)


def ride_hash(record: bytes) -> tuple[int, int]:
    """The two lanes that a ride row adds to the state hash.

    Args:
        record: the ride's record as it was received, its padding included: a multiple of four bytes.
    """
    a, b = 0x9747B28C, 0x5BD1E995
    for (word,) in struct.iter_unpack("<I", record):
        a = _fmix((a ^ word) * 0x85EBCA77 + 0x165667B1 & _WORD)
        b = _fmix((b + word & _WORD) * 0xC2B2AE3D + 0x27D4EB2F & _WORD)
    return a, b
