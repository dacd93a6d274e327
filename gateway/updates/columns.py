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
    """Device time of the position, low 32 bits of its epoch milliseconds."""
    heading: npt.NDArray[np.uint8]
    """1/256 turn clockwise from north."""
    speed: npt.NDArray[np.uint8]
    """Half metres a second, capped at 255."""
    status: npt.NDArray[np.uint8]
    """`DriverStatus`."""

    def take(self, chosen: npt.NDArray[np.intp]) -> "DriverColumns":
        """These rows of it."""
        return DriverColumns(
            self.driver[chosen],
            self.lng_e5[chosen],
            self.lat_e5[chosen],
            self.at[chosen],
            self.heading[chosen],
            self.speed[chosen],
            self.status[chosen],
        )


def no_drivers() -> DriverColumns:
    """No row at all."""
    words, places, octets = np.zeros(0, np.uint32), np.zeros(0, np.int32), np.zeros(0, np.uint8)
    return DriverColumns(words, places, places, words, octets, octets, octets)
