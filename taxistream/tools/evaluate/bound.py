# SPDX-License-Identifier: Apache-2.0
"""A lower bound of the mean wait for policies that move a driver only after a request.

In the bound, each ride is served by a driver who was free at the start, or by the driver of an earlier ride.
All requests are known in advance, and the earlier ride counts as if it was picked up at its request. Each
ride frees one driver, for at most one later ride, so the cheapest choice is an assignment: rides × (drivers +
rides). A real policy also waits for answers and does not know later requests, which only makes its waits
longer.

The rides are those of the first hour and the drivers those at the start of the run. So the bound is the same
for all policies. A bound from a later state of the city would be better for a policy that has performed
worse.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from taxi.messages.states import RideState
from taxi.roads.network import RoadNetwork
from taxi.state import Ride
from taxistream.tools.evaluate.city import VirtualCity
from taxistream.tools.evaluate.scenario import START_MS

Floats: TypeAlias = npt.NDArray[np.float64]
Nodes: TypeAlias = npt.NDArray[np.intp]

SPAN_S: Final = 3_600
"""The rides of this time are used; the assignment grows with the square of their number."""
_NEVER_S: Final = 1e6
"""The cost of a forbidden pair."""
_DWELL_S: Final = 60.0
"""Getting in and out together, on average."""


@dataclass(frozen=True, eq=False)
class Free:
    """When and where each driver is free next."""

    at_s: Floats
    """(n_drivers,) seconds since the start of the run."""
    node: Nodes
    """(n_drivers,)."""


def free_at(city: VirtualCity, second: int) -> Free:
    """When and where each driver is free: now if idle, otherwise after the current ride."""
    at_s, node = np.full(city.setting.drivers, float(second)), np.zeros(city.setting.drivers, np.intp)
    roads, state = city.roads, city.city
    rows = np.arange(city.setting.drivers)
    here, _ = roads.nearest_nodes(city.fleet.see(rows).points)
    for row in rows.tolist():
        node[row] = here[row]
        ride = state.ride_of(row + 1)
        if ride is not None and ride.state is not RideState.OFFERED:
            at_s[row] += _left_s(roads, ride, int(here[row]), second)
            node[row] = roads.nearest_node(*ride.dropoff)[0]
    return Free(at_s, node)


def _left_s(roads: RoadNetwork, ride: Ride, here: int, second: int) -> float:
    """A lower estimate of the time until the drop-off is complete."""
    pickup, dropoff = roads.nearest_node(*ride.pickup)[0], roads.nearest_node(*ride.dropoff)[0]
    trip_s = float(roads.travel_time_s(pickup, dropoff))
    if ride.state is RideState.ASSIGNED:
        return float(roads.travel_time_s(here, pickup)) + trip_s + _DWELL_S
    begun_s = (max(ride.started_ms, ride.arrived_ms) - START_MS) / 1000
    return max(trip_s - (second - begun_s), 0.0)


def hindsight_s(roads: RoadNetwork, free: Free, asked_s: Floats, pickup: Nodes, dropoff: Nodes) -> Floats:
    """The waits of n rides in the cheapest assignment.

    Args:
        roads: The street network.
        free: When and where drivers are free at the start.
        asked_s: (n,) times of the requests, seconds since the start of the run.
        pickup: (n,) nodes.
        dropoff: (n,) nodes.

    Returns:
        (n,) waits in seconds, in the order of the rides.
    """
    n, drivers = len(asked_s), len(free.at_s)
    done_s = asked_s + roads.travel_time_s(pickup, dropoff) + _DWELL_S
    # Columns: the drivers of the start, then the driver of each ride after its drop-off.
    at_s, node = np.concatenate((free.at_s, done_s)), np.concatenate((free.node, dropoff))
    wait_s = np.empty((n, drivers + n), np.float32)  # (rides, columns)
    for ride in range(n):
        wait_s[ride] = np.maximum(at_s - asked_s[ride], 0) + roads.travel_time_s(node, pickup[ride])
    wait_s[np.arange(n), drivers + np.arange(n)] = _NEVER_S  # a ride can't wait for its own end
    rows, columns = linear_sum_assignment(wait_s)
    best: Floats = wait_s[rows, columns].astype(np.float64)
    return best


def regret(bound_s: float, wait_s: float) -> dict[str, Any]:
    """The bound, a mean wait, and by which share the wait exceeds the bound."""
    return {
        "bound_s": round(bound_s, 2),
        "wait_s": round(wait_s, 2),
        "regret": round(wait_s / max(bound_s, 1e-9) - 1, 4),
    }
