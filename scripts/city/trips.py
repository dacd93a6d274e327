# SPDX-License-Identifier: Apache-2.0
"""`trips.npz`: how often each pair of junctions was driven. No points, no times, no order."""

import csv
import io
from pathlib import Path

import numpy as np

from scripts.city.arrays import write_npz
from taxi.roads.network import RoadNetwork

REQUESTS = "nrel/hive/resources/scenarios/manhattan/requests/nyc_20k.csv"
SNAP_M_MAX = 200.0
TRIP_S_MIN = 120


def write_trips(path: Path, requests: bytes, network: RoadNetwork) -> None:
    """Snap both ends, drop what lies too far off or is too short, count the pairs, sort them."""
    rows = list(csv.DictReader(io.StringIO(requests.decode())))
    origin, origin_m = network.nearest_nodes([(float(r["o_lon"]), float(r["o_lat"])) for r in rows])
    target, target_m = network.nearest_nodes([(float(r["d_lon"]), float(r["d_lat"])) for r in rows])
    near = (origin_m < SNAP_M_MAX) & (target_m < SNAP_M_MAX)
    kept = near & (network.travel_time_s(origin, target) >= TRIP_S_MIN)
    pairs, count = np.unique(np.stack([origin[kept], target[kept]], axis=1), axis=0, return_counts=True)
    write_npz(
        path,
        {
            "from_node": pairs[:, 0].astype(np.uint16),
            "to_node": pairs[:, 1].astype(np.uint16),
            "count": count.astype(np.uint16),
        },
    )
