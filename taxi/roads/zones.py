# SPDX-License-Identifier: Apache-2.0
"""Zones of a city: the demand in each, and how long a free driver waits there for the next ride."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from taxi.roads.city import city_dir

Ints: TypeAlias = npt.NDArray[np.int32]
MILLION = 1_000_000


@dataclass(frozen=True, eq=False)
class Zones:
    """A partition of a network's nodes into z zones."""

    zone: Ints
    """(n_nodes,) the zone of each node."""
    center: Ints
    """(z,) a node in the middle of each zone, the destination of repositioned drivers."""
    share_ppm: Ints
    """(z,) the share of all rides that begin in the zone, in parts per million."""
    idle_s: Ints
    """(z,) the mean time from a drop-off in the zone until the driver's next pickup."""

    def __len__(self) -> int:
        return len(self.center)

    @classmethod
    def load(cls, city: str | Path = "manhattan") -> Self | None:
        """Read a city's `zones.npz`; None if it has none. Raises UnknownCityError."""
        path = city_dir(city) / "zones.npz"
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as file:
            names = ("zone", "center", "share_ppm", "idle_s")
            return cls(*(file[name].astype(np.int32) for name in names))

    @classmethod
    def blocks(cls, columns: int, rows: int, *, side: int = 2) -> Self:
        """Zones of `side` × `side` junctions of a grid city, with demand in proportion to their junctions."""
        column, row = np.arange(columns * rows) % columns, np.arange(columns * rows) // columns
        across = -(-columns // side)
        zone = (row // side * across + column // side).astype(np.int32)
        center = np.array([np.flatnonzero(zone == z)[0] for z in range(zone.max() + 1)], np.int32)
        count = np.bincount(zone)
        share = (count * MILLION // count.sum()).astype(np.int32)
        return cls(zone, center, share, np.full(len(center), 60, np.int32))
