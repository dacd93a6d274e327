# SPDX-License-Identifier: Apache-2.0
"""How a run opens: the rides of the hour before are under way, as if each had been picked up at once.

From an empty city it takes long until that is as busy as its load says, and a policy that lets its queue
grow slowly would look good meanwhile.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from evaluate.setting import START_MS
from simulator.riders import Riders
from simulator.streets import Spots
from taxi import messages as m
from taxi.roads import RoadNetwork

_BEFORE_MS: Final = 3_600_000
_NOT_YET_MS: Final = 10_000
"""The simulator's first riders are those of the last seconds."""
_BUSY_MOST: Final = 0.95


class Trip(NamedTuple):
    """Driver `row + 1` has a rider; where on the way, as an arc and a share of its time."""

    row: int
    asked: m.RequestRide
    began_ms: int
    arc: int
    share: float


def trips_under_way(roads: RoadNetwork, riders: Riders, drivers: int) -> list[Trip]:
    """Those that began in the hour before the start and end after it; if they are too many, the latest."""
    found: list[tuple[m.RequestRide, int, int, float]] = []
    for asked in riders.requests(START_MS - _BEFORE_MS, START_MS - _NOT_YET_MS):
        began_ms = riders.asked_ms(asked.ride)
        place = _place(roads, asked, (START_MS - began_ms) / 1000)
        if place is not None:
            found.append((asked, began_ms, *place))
    latest = found[-max(int(drivers * _BUSY_MOST), 1) :]
    return [Trip(row, *trip) for row, trip in enumerate(latest)]


def _place(roads: RoadNetwork, asked: m.RequestRide, gone_s: float) -> tuple[int, float] | None:
    """How far one has come after so long; None: there."""
    pickup, dropoff = roads.nearest_node(*asked.pickup)[0], roads.nearest_node(*asked.dropoff)[0]
    if roads.travel_time_s(pickup, dropoff) <= gone_s:
        return None
    arcs = roads.route(pickup, dropoff)
    ends_s = np.cumsum(roads.arc_time_s[arcs])
    nth = min(int(np.searchsorted(ends_s, gone_s, side="right")), len(arcs) - 1)
    rest_s = max(float(ends_s[nth]) - gone_s, 0.0)
    return int(arcs[nth]), 1 - min(rest_s / max(float(roads.arc_time_s[arcs[nth]]), 0.1), 1.0)


def spots(homes: Spots, trips: list[Trip]) -> Spots:
    """Where everybody is: on the way, or at home."""
    arc, share = homes.arc.copy(), homes.share.copy()
    for trip in trips:
        arc[trip.row], share[trip.row] = trip.arc, trip.share
    return Spots(arc, share)


def events(trips: list[Trip]) -> Iterator[m.AnyEvent]:
    """What the log says of them."""
    for row, asked, began_ms, _, _ in trips:
        about: dict[str, Any] = {"batch": 0, "at_ms": began_ms}
        whose: dict[str, Any] = {**about, "ride": asked.ride, "driver": row + 1, "attempt": 1}
        yield m.DriverCameOnline(driver=row + 1, **about)
        yield m.RideRequested(
            ride=asked.ride, rider=asked.rider, pickup=asked.pickup, dropoff=asked.dropoff, **about
        )
        yield m.RideOffered(eta_s=0, expires_ms=began_ms, **whose)
        yield m.RideAssigned(eta_s=0, **whose)
        yield m.DriverArrived(**whose)
        yield m.TripStarted(**whose)
