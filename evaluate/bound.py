# SPDX-License-Identifier: Apache-2.0
"""Hindsight: a mean wait that no policy can beat which moves only after a request.

Every ride takes the driver who was free at first, or whoever an earlier ride set free, as if each ride had
been picked up the moment it was asked for, and all requests had been known. Each ride sets at most one
ride's driver free, so the cheapest choice of all is an assignment (rides × drivers and rides). What a real
policy must do beside (wait for answers, serve those who ask later) only makes its waits longer.

The rides are those of the first hour, the drivers as the run opens: one bound for all policies. From where
a policy has brought its city later, one that has done badly until then would look better.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from evaluate.city import VirtualCity
from evaluate.setting import START_MS
from taxi.city import Ride
from taxi.roads import RoadNetwork
from taxi.states import RideState

Floats: TypeAlias = npt.NDArray[np.float64]
Nodes: TypeAlias = npt.NDArray[np.intp]

SPAN_S: Final = 3_600
"""Rides of one hour: the assignment grows with their square."""
_NEVER_S: Final = 1e6
_DWELL_S: Final = 60.0
"""In and out, on average."""


@dataclass(frozen=True, eq=False)
class Free:
    """When and where each driver is first free, at some moment."""

    at_s: Floats
    node: Nodes


def free_at(city: VirtualCity, second: int) -> Free:
    """As the city stands: idle now, or after the ride that each driver has."""
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
    """Until the drop-off is over; never too long, for this is a bound."""
    pickup, dropoff = roads.nearest_node(*ride.pickup)[0], roads.nearest_node(*ride.dropoff)[0]
    trip_s = float(roads.travel_time_s(pickup, dropoff))
    if ride.state is RideState.ASSIGNED:
        return float(roads.travel_time_s(here, pickup)) + trip_s + _DWELL_S
    begun_s = (max(ride.started_ms, ride.arrived_ms) - START_MS) / 1000
    return max(trip_s - (second - begun_s), 0.0)


def hindsight_s(roads: RoadNetwork, free: Free, asked_s: Floats, pickup: Nodes, dropoff: Nodes) -> Floats:
    """(n,) the wait of each ride in the cheapest of all choices; rides in the order of their requests."""
    n, drivers = len(asked_s), len(free.at_s)
    done_s = asked_s + roads.travel_time_s(pickup, dropoff) + _DWELL_S
    at_s, node = np.concatenate((free.at_s, done_s)), np.concatenate((free.node, dropoff))
    wait_s = np.empty((n, drivers + n), np.float32)
    for ride in range(n):
        wait_s[ride] = np.maximum(at_s - asked_s[ride], 0) + roads.travel_time_s(node, pickup[ride])
    wait_s[np.arange(n), drivers + np.arange(n)] = _NEVER_S  # nobody waits for the end of the own ride
    rows, columns = linear_sum_assignment(wait_s)
    best: Floats = wait_s[rows, columns].astype(np.float64)
    return best


def regret(bound_s: float, wait_s: float) -> dict[str, Any]:
    """How far above the bound a mean wait stands."""
    return {
        "bound_s": round(bound_s, 2),
        "wait_s": round(wait_s, 2),
        "regret": round(wait_s / max(bound_s, 1e-9) - 1, 4),
    }
