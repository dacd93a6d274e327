# SPDX-License-Identifier: Apache-2.0
"""From the city's state to what a policy sees: who waits, who is free, how far they are apart."""

import numpy as np

from dispatcher.policies.market import FAR_S, Market
from taxi.city import CityState
from taxi.newest import NewestFixes
from taxi.roads import RoadNetwork
from taxi.states import DriverStatus, RideState


def open_market(
    city: CityState, newest: NewestFixes, roads: RoadNetwork, now_ms: int, patience_ms: int
) -> Market | None:
    """The market as of `now_ms`; None where nobody waits or nobody is free.

    Whoever has no patience left (an offer was declined in this very batch) is offered nothing more.
    """
    since_ms = now_ms - patience_ms
    waiting = [
        ride
        for ride in city.rides.values()
        if ride.state is RideState.REQUESTED and ride.requested_ms > since_ms
    ]
    free = sorted(number for number in newest.drivers if city.status(number) is DriverStatus.IDLE)
    if not waiting or not free:
        return None
    waiting.sort(key=lambda ride: (ride.requested_ms, ride.ride))
    places = [(newest.drivers[number].lng, newest.drivers[number].lat) for number in free]
    from_nodes, _ = roads.nearest_nodes(np.array(places))
    to_nodes, _ = roads.nearest_nodes(np.array([ride.pickup for ride in waiting]))
    eta_s = roads.travel_time_s(from_nodes[None, :], to_nodes[:, None])
    column = {number: i for i, number in enumerate(free)}
    for row, ride in enumerate(waiting):
        for number in ride.refused:
            if number in column:
                eta_s[row, column[number]] = FAR_S
    return Market(
        rides=tuple(ride.ride for ride in waiting),
        waited_s=np.array([(now_ms - ride.requested_ms) // 1000 for ride in waiting], np.int32),
        drivers=np.array(free, np.int64),
        eta_s=eta_s,
    )
