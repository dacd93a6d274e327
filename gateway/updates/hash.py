# SPDX-License-Identifier: Apache-2.0
"""The additive hash over the rows of a cut (docs/protocol.md, "The hash"), whole columns at a time."""

import struct
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gateway.updates.columns import DriverColumns

WORD: Final = 0xFFFFFFFF
_Words = npt.NDArray[np.uint32]


class Lanes(NamedTuple):
    """Two 32-bit sums. Order never matters; a row is taken out by subtracting what it added."""

    a: int = 0
    b: int = 0

    def plus(self, other: "Lanes") -> "Lanes":
        return Lanes(self.a + other.a & WORD, self.b + other.b & WORD)

    def minus(self, other: "Lanes") -> "Lanes":
        return Lanes(self.a - other.a & WORD, self.b - other.b & WORD)


def hash_drivers(rows: DriverColumns) -> tuple[_Words, _Words]:
    """What each driver row adds, lane by lane."""
    x, y = rows.lng_e5.view(np.uint32), rows.lat_e5.view(np.uint32)
    s = rows.status.astype(np.uint32)
    s |= rows.heading.astype(np.uint32) << np.uint32(8)
    s |= rows.speed.astype(np.uint32) << np.uint32(16)
    k = _fmix(
        rows.driver * np.uint32(0x9E3779B1)
        + s * np.uint32(0x27D4EB2F)
        + rows.at * np.uint32(0x165667B1)
        + np.uint32(1)
    )
    a = _fmix((x ^ k) * np.uint32(0x85EBCA77) + y)
    b = _fmix((y ^ k) * np.uint32(0xC2B2AE3D) + x)
    return a, b


def added_up(lanes: tuple[_Words, _Words]) -> Lanes:
    """The sum over rows."""
    a, b = (int(lane.sum(dtype=np.uint64)) & WORD for lane in lanes)
    return Lanes(a, b)


def hash_ride(record: bytes) -> Lanes:
    """What one ride record adds. A ride changes a few times in its life, so plain Python will do."""
    a, b = 0x9747B28C, 0x5BD1E995
    for word in struct.unpack(f"<{len(record) // 4}I", record):
        a = _fmix_word((a ^ word) * 0x85EBCA77 + 0x165667B1)
        b = _fmix_word((b + word) * 0xC2B2AE3D + 0x27D4EB2F)
    return Lanes(a, b)


def _fmix(h: _Words) -> _Words:
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return h


def _fmix_word(h: int) -> int:
    h &= WORD
    h = (h ^ h >> 16) * 0x85EBCA6B & WORD
    h = (h ^ h >> 13) * 0xC2B2AE35 & WORD
    return h ^ h >> 16
