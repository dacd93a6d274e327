# SPDX-License-Identifier: Apache-2.0
"""Zones of a city: where rides begin, and how good a place is for a driver who has just become free."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from taxi.roads_city import city_dir

Ints: TypeAlias = npt.NDArray[np.int32]
MILLION = 1_000_000


@dataclass(frozen=True, eq=False)
class Zones:
    """z zones over the nodes of a network."""

    zone: Ints
    """(n_nodes,) the zone of each node."""
    center: Ints
    """(z,) a node in the middle of each zone: where repositioned drivers go."""
    share_ppm: Ints
    """(z,) of all rides, how many begin here; parts of a million."""
    idle_s: Ints
    """(z,) how long a driver who drops a rider off here waits for the next pickup, on average."""

    def __len__(self) -> int:
        return len(self.center)

    @classmethod
    def load(cls, city: str | Path = "manhattan") -> Self | None:
        """Read a city's `zones.npz`; None if it has none."""
        path = city_dir(city) / "zones.npz"
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as file:
            names = ("zone", "center", "share_ppm", "idle_s")
            return cls(*(file[name].astype(np.int32) for name in names))

    @classmethod
    def blocks(cls, columns: int, rows: int, *, side: int = 2) -> Self:
        """Squares of `side` × `side` junctions over a grid city, all alike."""
        column, row = np.arange(columns * rows) % columns, np.arange(columns * rows) // columns
        across = -(-columns // side)
        zone = (row // side * across + column // side).astype(np.int32)
        center = np.array([np.flatnonzero(zone == z)[0] for z in range(zone.max() + 1)], np.int32)
        count = np.bincount(zone)
        share = (count * MILLION // count.sum()).astype(np.int32)
        return cls(zone, center, share, np.full(len(center), 60, np.int32))
