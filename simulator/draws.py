# SPDX-License-Identifier: Apache-2.0
"""Random numbers as keyed hashes, never as a sequence: who asks when, or how often, changes nothing.

One draw names what it is for: `draw(seed, "answer", ride, attempt)`. A restarted simulator asks again and
hears the same. The vectorised form is the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
"""

from hashlib import blake2b
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_UNIT = 2.0**-53


def key(*name: int | str) -> int:
    """64 bits that stand for a name."""
    text = "\x1f".join(map(str, name)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def draw(*name: int | str) -> float:
    """A number in [0, 1) that belongs to a name."""
    return (key(*name) >> 11) * _UNIT


def between(low: float, high: float, *name: int | str) -> float:
    """A number in [low, high) that belongs to a name."""
    return low + (high - low) * draw(*name)


def draws(base: int, *numbers: npt.ArrayLike) -> Floats:
    """Numbers in [0, 1), one for each tuple of `numbers` (they broadcast; 1-d) under the key `base`."""
    mixed = np.full(1, base, np.uint64)
    for part in numbers:
        mixed = _mix(mixed + (np.atleast_1d(part).astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    return (mixed >> np.uint64(11)).astype(np.float64) * _UNIT


def _mix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX_1
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX_2
    return bits ^ (bits >> np.uint64(31))
