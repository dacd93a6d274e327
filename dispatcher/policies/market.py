# SPDX-License-Identifier: Apache-2.0
"""What a policy sees of the city, and what it answers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from taxi.messages import Candidate

FAR_S = np.int32(1 << 30)
"""The travel time of a pair that must not be: the driver refused this ride before."""
CANDIDATES_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Market:
    """Rides that wait and drivers who are free, n_rides × n_drivers."""

    rides: tuple[str, ...]
    """Oldest request first, ties by id."""
    waited_s: npt.NDArray[np.int32]
    """(n_rides,) since the request."""
    drivers: npt.NDArray[np.int64]
    """(n_drivers,) ascending."""
    eta_s: npt.NDArray[np.int32]
    """(n_rides, n_drivers) driving time to the pickup; FAR_S for a pair that must not be."""

    def candidates(self, ride: int) -> tuple[Candidate, ...]:
        """The drivers nearest to a ride (its row), nearest first, ties by number."""
        row = self.eta_s[ride]
        few = np.argsort(row, kind="stable")[:CANDIDATES_SHOWN]
        return tuple(
            Candidate(driver=int(self.drivers[i]), eta_s=int(row[i]), cost=int(row[i]))
            for i in few
            if row[i] < FAR_S
        )


@dataclass(frozen=True, slots=True)
class Match:
    """An offer to make."""

    ride: str
    driver: int
    eta_s: int
    candidates: tuple[Candidate, ...]
