# SPDX-License-Identifier: Apache-2.0
"""The state hash of docs/protocol.md ("The hash"), for many rows at once."""

import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

U32 = npt.NDArray[np.uint32]
Lanes = tuple[int, int]
WORD: Final = 0xFFFFFFFF


def _fmix(h: U32) -> U32:
    h = h ^ (h >> np.uint32(16))
    h = h * np.uint32(0x85EBCA6B)
    h = h ^ (h >> np.uint32(13))
    h = h * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def driver_lanes(number: U32, x: Any, y: Any, at: U32, s: U32) -> tuple[U32, U32]:
    """(n,) each driver row's summands of both sums. `s` is status | heading << 8 | speed << 16."""
    x, y = x.astype(np.int32).view(np.uint32), y.astype(np.int32).view(np.uint32)
    one, k1, k2, k3 = (np.uint32(n) for n in (1, 0x9E3779B1, 0x27D4EB2F, 0x165667B1))
    k = _fmix(number * k1 + s * k2 + at * k3 + one)
    return _fmix((x ^ k) * np.uint32(0x85EBCA77) + y), _fmix((y ^ k) * np.uint32(0xC2B2AE3D) + x)


def _fmix_one(h: int) -> int:
    h ^= h >> 16
    h = h * 0x85EBCA6B & WORD
    h ^= h >> 13
    h = h * 0xC2B2AE35 & WORD
    return h ^ h >> 16


def ride_lanes(record: bytes) -> Lanes:
    """A ride row's summands of both sums, computed over the words of its record."""
    a, b = 0x9747B28C, 0x5BD1E995
    for (word,) in struct.iter_unpack("<I", record):
        a = _fmix_one((a ^ word) * 0x85EBCA77 + 0x165667B1 & WORD)
        b = _fmix_one((b + word & WORD) * 0xC2B2AE3D + 0x27D4EB2F & WORD)
    return a, b


def total(lanes: tuple[U32, U32], mask: npt.NDArray[np.bool_]) -> Lanes:
    """Both sums over the rows of a mask, modulo 2³²."""
    return tuple(int(lane[mask].sum(dtype=np.uint64)) & WORD for lane in lanes)  # type: ignore[return-value]
