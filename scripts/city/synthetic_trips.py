# SPDX-License-Identifier: Apache-2.0
"""`trips.npz` of a city without recorded trips: synthetic, drawn from a gravity model.

A trip from o to d has the weight v(o) · v(d) · t · exp(−t / τ). v is how many shops, offices, stations and
buildings lie within a short walk of a junction, and one more; t is the driving time. So trips go between
busy places, few are very short, and long ones are rare. No car drove any of them.
"""

from pathlib import Path
from typing import Final

import numpy as np
from scipy.spatial import cKDTree

from scripts.city.arrays import write_npz
from scripts.city.extract import ExtractError
from scripts.city.trips import TRIP_S_MIN
from taxi.roads.network import RoadNetwork

WALK_M: Final = 150.0
TYPICAL_S: Final = 600.0
"""τ: trips that take longer become rare."""
TRIPS_MAX: Final = 20_000
TRIPS_PER_NODE: Final = 20
_SEED: Final = 11
_ORIGINS_AT_ONCE: Final = 256


def write_synthetic_trips(path: Path, network: RoadNetwork, visited: list[tuple[float, float]]) -> None:
    """Draw trips and count the pairs.

    Args:
        path: The file to write.
        network: The streets.
        visited: Points (longitude, latitude) where people come to and leave from.

    Raises:
        ExtractError: No two junctions are as far apart as the shortest trip.
    """
    n = network.n_nodes
    trips = min(TRIPS_MAX, TRIPS_PER_NODE * n)
    pull = _pull(network, visited)
    everywhere = np.arange(n)
    leaving = np.zeros(n)
    for first in range(0, n, _ORIGINS_AT_ONCE):
        origins = everywhere[first : first + _ORIGINS_AT_ONCE]
        leaving[origins] = _weights(network, pull, origins).sum(axis=1)
    if not leaving.any():
        raise ExtractError(f"no two junctions are {TRIP_S_MIN} s apart. A larger extract is wanted.")
    generator = np.random.default_rng(_SEED)
    begun = generator.multinomial(trips, leaving / leaving.sum())
    pairs: dict[tuple[int, int], int] = {}
    for origin in np.flatnonzero(begun).tolist():
        weight = _weights(network, pull, np.array([origin]))[0]
        ended = generator.multinomial(begun[origin], weight / weight.sum())
        pairs.update({(origin, target): int(ended[target]) for target in np.flatnonzero(ended).tolist()})
    ordered = sorted(pairs)
    write_npz(
        path,
        {
            "from_node": np.array([origin for origin, _ in ordered], np.uint16),
            "to_node": np.array([target for _, target in ordered], np.uint16),
            "count": np.array([pairs[pair] for pair in ordered], np.uint16),
        },
    )


def _pull(network: RoadNetwork, visited: list[tuple[float, float]]) -> np.ndarray:
    """(n,) how much goes on around each node."""
    if not visited:
        return np.ones(network.n_nodes)
    points = cKDTree(network.plane.metres(visited))
    around = points.query_ball_point(network.plane.metres(network.nodes), WALK_M, return_length=True)
    return 1.0 + np.asarray(around, np.float64)


def _weights(network: RoadNetwork, pull: np.ndarray, origins: np.ndarray) -> np.ndarray:
    """(k, n) the weight of a trip from each of k origins to each node."""
    time_s = network.travel_time_s(origins[:, None], np.arange(network.n_nodes)).astype(np.float64)
    weight = pull[origins][:, None] * pull * time_s * np.exp(-time_s / TYPICAL_S)
    return np.where(time_s >= TRIP_S_MIN, weight, 0.0)
