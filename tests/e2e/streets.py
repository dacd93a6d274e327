# SPDX-License-Identifier: Apache-2.0
"""What the tests of the page know of the streets: how far a taxi is from one, and where a ride is short."""

from typing import Any, NamedTuple

import numpy as np

from simulator.streets import Streets
from taxi.messages import Place
from taxi.roads.network import RoadNetwork, TripDemand

AHEAD_M = (50.0, 130.0)
"""So far a taxi still has to drive to the corner at which it is hailed: it is taken before it gets there."""
TRIP_S = (20.0, 45.0)
NO_OTHER_WITHIN_S = 25.0


class Seen(NamedTuple):
    """Where taxis were seen, twice."""

    before: dict[int, Place]
    now: dict[int, Place]


def metres_from_street(roads: RoadNetwork, places: list[Place]) -> np.ndarray[Any, Any]:
    """How far each place is from the nearest piece of any street."""
    points = roads.plane.metres(np.array(places))
    shape = roads.plane.metres(roads.shape)
    inside = np.ones(len(shape) - 1, bool)
    inside[roads.shape_start[1:-1] - 1] = False
    start, step = shape[:-1][inside], np.diff(shape, axis=0)[inside]
    length2 = np.maximum((step**2).sum(axis=1), 1e-9)
    nearest = []
    for point in points:
        along = np.clip(((point - start) * step).sum(axis=1) / length2, 0, 1)
        nearest.append(np.hypot(*(start + along[:, None] * step - point).T).min())
    return np.array(nearest)


def metres_apart(roads: RoadNetwork, one: Place, other: Place) -> float:
    """As the crow flies."""
    first, second = roads.plane.metres(np.array([one, other]))
    return float(np.hypot(*(first - second)))


def short_ride(roads: RoadNetwork, vacant: Seen) -> tuple[Place, Place] | None:
    """From the corner that a vacant taxi drives towards to one nearby; None where no taxi suits just now.

    A taxi that has passed the corner would have to drive round the block: minutes, in real time.
    """
    streets = Streets(roads, TripDemand.load("manhattan"))
    drivers = sorted(vacant.before.keys() & vacant.now.keys())
    points = np.array([vacant.now[driver] for driver in drivers])
    moved = roads.plane.metres(points) - roads.plane.metres(np.array([vacant.before[d] for d in drivers]))
    heading = np.degrees(np.arctan2(moved[:, 0], moved[:, 1])) % 360
    arc, share = streets.locate(points, heading)
    left_m = streets.length_m[arc] - streets.metres(arc, share)
    nearest, _ = roads.nearest_nodes(points)
    for row in np.flatnonzero((np.hypot(*moved.T) > 2) & (left_m > AHEAD_M[0]) & (left_m < AHEAD_M[1])):
        corner = roads.arc_to[arc[row]]
        others_s = np.delete(roads.travel_time_s(nearest, corner), row)
        if nearest[row] == corner and others_s.min() > NO_OTHER_WITHIN_S:
            trip_s = roads.travel_time_s(corner, np.arange(roads.n_nodes))
            ends = np.flatnonzero((trip_s > TRIP_S[0]) & (trip_s < TRIP_S[1]))
            if len(ends):  # none from the ramps of a motorway, for example
                return _place(roads, int(corner)), _place(roads, int(ends[0]))
    return None


def _place(roads: RoadNetwork, node: int) -> Place:
    lng, lat = roads.nodes[node].tolist()
    return lng, lat
