# SPDX-License-Identifier: Apache-2.0
"""Positions as they are sent and hashed: whole numbers, so that Python and a browser have the same."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from taxi.positions.columns import Floats
from taxi.positions.fixes import Longs


class Shown(NamedTuple):
    """What of a position is drawn; one array a field."""

    lng_e5: npt.NDArray[np.int32]
    lat_e5: npt.NDArray[np.int32]
    heading: npt.NDArray[np.uint8]
    """1/256 turn clockwise from north."""
    speed: npt.NDArray[np.uint8]
    """Half metres a second, capped at 255."""


def quantised(lng: Floats, lat: Floats, heading: Longs, speed: Floats) -> Shown:
    """From degrees and metres a second. Halves go to the even neighbour."""
    return Shown(
        np.rint(lng * 1e5).astype(np.int32),
        np.rint(lat * 1e5).astype(np.int32),
        # As unsigned bytes a whole turn is none: 256 is 0.
        np.rint(heading * (256 / 360)).astype(np.int64).astype(np.uint8),
        np.minimum(np.rint(speed * 2), 255).astype(np.uint8),
    )
