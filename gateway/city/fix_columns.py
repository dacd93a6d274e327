# SPDX-License-Identifier: Apache-2.0
"""Fixes as columns, quantised as they are shown and hashed."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from taxi.messages import Fix

_DRIVER: Final = attrgetter("driver")
_AT_MS: Final = attrgetter("at_ms")
_LNG: Final = attrgetter("lng")
_LAT: Final = attrgetter("lat")
_HEADING: Final = attrgetter("heading")
_SPEED: Final = attrgetter("speed")
_Longs = npt.NDArray[np.int64]


class FixColumns(NamedTuple):
    """One array a field, in the order of the log."""

    driver: _Longs
    at_ms: _Longs
    offset: _Longs
    append_ms: _Longs
    lng_e5: npt.NDArray[np.int32]
    lat_e5: npt.NDArray[np.int32]
    heading: npt.NDArray[np.uint8]
    """1/256 turn clockwise from north."""
    speed: npt.NDArray[np.uint8]
    """Half metres a second, capped at 255."""

    def take(self, chosen: npt.NDArray[Any]) -> "FixColumns":
        """These of them, by mask or by index."""
        return FixColumns(
            self.driver[chosen],
            self.at_ms[chosen],
            self.offset[chosen],
            self.append_ms[chosen],
            self.lng_e5[chosen],
            self.lat_e5[chosen],
            self.heading[chosen],
            self.speed[chosen],
        )


def columns_of(fixes: Sequence[Fix], offsets: Sequence[int], appends_ms: Sequence[int]) -> FixColumns:
    """The columns of decoded fixes, and where and when each stands in the log."""
    n = len(fixes)
    turns = _rounded(map(_HEADING, fixes), n, 256 / 360).astype(np.int64) & 0xFF
    return FixColumns(
        np.fromiter(map(_DRIVER, fixes), np.int64, n),
        np.fromiter(map(_AT_MS, fixes), np.int64, n),
        np.array(offsets, np.int64),
        np.array(appends_ms, np.int64),
        _rounded(map(_LNG, fixes), n, 1e5).astype(np.int32),
        _rounded(map(_LAT, fixes), n, 1e5).astype(np.int32),
        turns.astype(np.uint8),
        np.minimum(_rounded(map(_SPEED, fixes), n, 2), 255).astype(np.uint8),
    )


def _rounded(values: Iterable[float], n: int, scale: float) -> npt.NDArray[np.float64]:
    rounded: npt.NDArray[np.float64] = np.rint(np.fromiter(values, np.float64, n) * scale)
    return rounded
