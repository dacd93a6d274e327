# SPDX-License-Identifier: Apache-2.0
"""Rows as columns: what a cut is encoded from and hashed over. Nothing here knows of slots."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class DriverColumns(NamedTuple):
    """Driver rows, one array a field, ascending by driver number."""

    driver: npt.NDArray[np.uint32]
    lng_e5: npt.NDArray[np.int32]
    lat_e5: npt.NDArray[np.int32]
    at: npt.NDArray[np.uint32]
    """Device time of the fix, low 32 bits of its epoch milliseconds."""
    heading: npt.NDArray[np.uint8]
    """1/256 turn clockwise from north."""
    speed: npt.NDArray[np.uint8]
    """Half metres a second, capped at 255."""
    status: npt.NDArray[np.uint8]
    """`DriverStatus`."""
