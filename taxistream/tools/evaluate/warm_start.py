# SPDX-License-Identifier: Apache-2.0
"""The warm start of a run: rides of the hour before are under way, as if each was picked up at its request.

From an empty city it takes long until the load is reached. Meanwhile a policy whose queue grows slowly would
look good.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from simulator.opening import BUSY_SHARE_MAX, spot_on_route
from simulator.riders import Riders
from simulator.streets import Spots
from taxi import messages as m
from taxi.roads.network import RoadNetwork
from taxistream.tools.evaluate.scenario import START_MS

_BEFORE_MS: Final = 3_600_000
_NOT_YET_MS: Final = 10_000
"""Requests of the last seconds before the start are left to the simulator."""


class WarmStartTrip(NamedTuple):
    """A trip of driver `row + 1`, whose place is an arc and the share of it that is driven."""

    row: int
    asked: m.RequestRide
    began_ms: int
    arc: int
    share: float


def trips_under_way(roads: RoadNetwork, riders: Riders, drivers: int) -> list[WarmStartTrip]:
    """The trips that began in the hour before the start and end after it, at most 95 % of the drivers.

    If there are more, the latest are returned.
    """
    found: list[tuple[m.RequestRide, int, int, float]] = []
    for asked in riders.requests(START_MS - _BEFORE_MS, START_MS - _NOT_YET_MS):
        began_ms = riders.asked_ms(asked.ride)
        place = _place(roads, asked, (START_MS - began_ms) / 1000)
        if place is not None:
            found.append((asked, began_ms, *place))
    latest = found[-max(int(drivers * BUSY_SHARE_MAX), 1) :]
    return [WarmStartTrip(row, *trip) for row, trip in enumerate(latest)]


def _place(roads: RoadNetwork, asked: m.RequestRide, gone_s: float) -> tuple[int, float] | None:
    """The arc and the driven share of it after `gone_s` of a trip; None if the trip has ended."""
    pickup, dropoff = roads.nearest_node(*asked.pickup)[0], roads.nearest_node(*asked.dropoff)[0]
    if roads.travel_time_s(pickup, dropoff) <= gone_s:
        return None
    return spot_on_route(roads, pickup, dropoff, gone_s)


def spots(homes: Spots, trips: list[WarmStartTrip]) -> Spots:
    """The places of all drivers at the start: on their trip, or at home."""
    arc, share = homes.arc.copy(), homes.share.copy()
    for trip in trips:
        arc[trip.row], share[trip.row] = trip.arc, trip.share
    return Spots(arc, share)


def events(trips: list[WarmStartTrip]) -> Iterator[m.AnyEvent]:
    """The events of these trips before the start."""
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
