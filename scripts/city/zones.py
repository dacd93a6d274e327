# SPDX-License-Identifier: Apache-2.0
"""`zones.npz`: where rides begin, in 48 zones, and how long drivers then wait in each.

Made from one half of the pairs (`TripDemand.half(0)`), so that `taxi evaluate` can test on the other. The
zones are k-means of the pickups on the plane, seeded. How long drivers wait is learned by
`python -m scripts.learn_zones` in simulated hours and kept as numbers that one can read (zone_waits.json).
"""

import json
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.cluster.vq import kmeans2

from scripts.city.arrays import write_npz
from taxi.roads.network import RoadNetwork, TripDemand
from taxi.roads.zones import MILLION

ZONES: Final = 48
WAITS: Final = Path(__file__).with_name("zone_waits.json")
_SEED: Final = 5


def write_zones(
    path: Path, network: RoadNetwork, history: TripDemand, zones: int, waits: npt.NDArray[np.uint16]
) -> None:
    """Zone of each node, a node in the middle of each zone, shares of demand, waits.

    Args:
        path: The file to write.
        network: The streets.
        history: The trips whose pickups are clustered.
        zones: How many zones.
        waits: (zones,) seconds that a driver waits in each for the next pickup.
    """
    nodes_m = network.plane.metres(network.nodes)
    pickups = np.repeat(history.from_node, history.count)
    middles, _ = kmeans2(nodes_m[pickups], zones, seed=_SEED, minit="++")
    center, _ = network.nearest_nodes(network.plane.degrees(middles))
    away = ((nodes_m[:, None, :] - nodes_m[center][None, :, :]) ** 2).sum(axis=2)
    zone = away.argmin(axis=1)
    begun = np.bincount(zone[pickups], minlength=zones)
    write_npz(
        path,
        {
            "zone": zone.astype(np.uint8),
            "center": center.astype(np.uint16),
            "share_ppm": (begun * MILLION // begun.sum()).astype(np.uint32),
            "idle_s": waits,
        },
    )


def equal_waits(zones: int) -> npt.NDArray[np.uint16]:
    """The same wait in all zones, as long as none were learned."""
    return np.full(zones, 120, np.uint16)


def learned_waits() -> npt.NDArray[np.uint16]:
    """Manhattan's learned waits; equal for all zones if there are none yet."""
    if not WAITS.is_file():
        return equal_waits(ZONES)
    return np.array(json.loads(WAITS.read_text())["idle_s"], np.uint16)
