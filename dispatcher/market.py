# SPDX-License-Identifier: Apache-2.0
"""From the city's state to what a policy sees: who waits, who is free, how far they are apart."""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from dispatcher.batch import BatchInProgress
from dispatcher.policies.market import Cars, Fetching, Ints, Market, Rides, Riding, Times, rows_of
from dispatcher.policies.tuning import Tuning
from dispatcher.trips import Trips
from taxi.messages import Place
from taxi.messages.states import RideState
from taxi.roads.network import RoadNetwork
from taxi.state import Driver, Ride

Bools: TypeAlias = npt.NDArray[np.bool_]


class OffMap(NamedTuple):
    """Idle drivers who were left out of the last market, because no street is near. Kept to be counted."""

    drivers: tuple[int, ...] = ()


def open_market(batch: BatchInProgress, before_ms: int, tuning: Tuning) -> Market:
    """The market as of the batch's time. All times in it are city time.

    If very many rides wait, those that have waited longest take part; the others come up as these are given
    to drivers, or expire. So the cost of a batch does not grow with how many wait.

    A ride without patience left (an offer was declined in this very batch) is offered nothing more.
    """
    city, time = batch.city, batch.city.time
    since_ms = time.before(batch.now_ms, batch.limits.patience_ms)
    waiting = [ride for ride in city.by_state[RideState.REQUESTED].values() if ride.requested_ms > since_ms]
    if len(waiting) > tuning.waiting_max:
        waiting = sorted(waiting, key=_by_age)[: tuning.waiting_max]
    idle = sorted([number for number in city.idle() if number in batch.newest.drivers])
    cars, is_on_map = cars_of(batch, idle)
    if not is_on_map.all():
        cars = rows_of(cars, np.flatnonzero(is_on_map))
    city.derived[OffMap] = OffMap(tuple(np.array(idle)[~is_on_map].tolist()))
    return Market(
        rides=_rides(batch, waiting),
        cars=cars,
        times=_times(batch),
        now_ms=time.at(batch.now_ms),
        before_ms=time.at(before_ms),
        pickup_m=lambda nodes: batch.roads.plane.metres(batch.roads.nodes[nodes]),
        tuning=tuning,
        zones=batch.roads.zones,
        find_fetching=lambda: _fetching(batch),
        find_riding=lambda within_ms: _riding(batch, within_ms),
    )


class TimesNow:
    """The network's driving times, as long as they are at this hour."""

    def __init__(self, roads: RoadNetwork, percent: int) -> None:
        self._roads, self._percent = roads, percent

    def travel_time_s(self, from_nodes: npt.ArrayLike, to_nodes: npt.ArrayLike) -> Ints:
        """As RoadNetwork has it."""
        return self._roads.travel_time_s(from_nodes, to_nodes) * np.int32(self._percent) // np.int32(100)


def _percent(batch: BatchInProgress) -> int:
    return batch.roads.city.drive_percent_at(batch.city.time.at(batch.now_ms))


def _times(batch: BatchInProgress) -> Times:
    percent = _percent(batch)
    return batch.roads if percent == 100 else TimesNow(batch.roads, percent)


def _rides(batch: BatchInProgress, rides: list[Ride]) -> Rides:
    rides.sort(key=_by_age)
    time = batch.city.time
    return Rides(
        names=tuple(ride.ride for ride in rides),
        waited_s=np.array(
            [time.between(ride.requested_ms, batch.now_ms) // 1000 for ride in rides], np.int32
        ),
        pickup=_nodes(batch, (ride.pickup for ride in rides)),
        dropoff=_nodes(batch, (ride.dropoff for ride in rides)),
        refused=tuple(ride.refused for ride in rides),
        swaps=np.array([ride.swaps for ride in rides], np.int32),
    )


def _by_age(ride: Ride) -> tuple[int, str]:
    """Oldest first."""
    return ride.requested_ms, ride.ride


def _nodes(batch: BatchInProgress, places: Iterable[Place]) -> Ints:
    return batch.roads.nodes_of([*places])


def cars_of(batch: BatchInProgress, numbers: list[int]) -> tuple[Cars, Bools]:
    """The cars of drivers, and which are on the map: no farther from a street than a ride may begin."""
    seen, n = [batch.newest.drivers[number] for number in numbers], len(numbers)
    points = np.empty((n, 2))
    points[:, 0] = np.fromiter([fix.lng for fix in seen], np.float64, n)
    points[:, 1] = np.fromiter([fix.lat for fix in seen], np.float64, n)
    turning = batch.roads.places.turning(points, np.fromiter([fix.heading for fix in seen], np.int32, n))
    cars = Cars(
        numbers=np.array(numbers, np.int64),
        node=turning.node,
        rest_s=turning.rest_s * np.int32(_percent(batch)) // np.int32(100),
        points_m=batch.roads.plane.metres(batch.roads.nodes[turning.node]),
        bound=_bound(batch, [batch.city.drivers[number] for number in numbers]),
    )
    return cars, turning.off_m <= batch.roads.city.snap_m_max


def _bound(batch: BatchInProgress, drivers: list[Driver]) -> Ints:
    node = np.full(len(drivers), -1, np.int32)
    going = [
        i for i, driver in enumerate(drivers) if driver.bound_for and driver.bound_until_ms > batch.now_ms
    ]
    node[going] = _nodes(batch, (place for i in going if (place := drivers[i].bound_for)))
    return node


def _fetching(batch: BatchInProgress) -> Fetching:
    """A driver whose shift ends with the ride keeps it; one who is not on the map can't be compared."""
    city = batch.city
    rides = [
        ride
        for ride in city.by_state[RideState.ASSIGNED].values()
        if ride.driver in batch.newest.drivers and not city.drivers[ride.driver].leaving
    ]
    columns = _rides(batch, rides)
    cars, is_on_map = cars_of(batch, [ride.driver for ride in rides if ride.driver is not None])
    if is_on_map.all():
        return Fetching(columns, cars)
    rows = np.flatnonzero(is_on_map)
    return Fetching(rows_of(columns, rows), rows_of(cars, rows))


def _riding(batch: BatchInProgress, within_ms: int) -> Riding:
    """By the time that the whole way takes. Not of who is lost or leaves then."""
    drivers, now_ms = batch.city.drivers, batch.city.time.at(batch.now_ms)
    due = Trips.of(batch.city).due(batch.city, batch.roads, _percent(batch), now_ms + within_ms)
    trips = [
        (number, trip.dropoff, -((now_ms - trip.due_ms) // 1000))
        for trip in due
        if (number := trip.ride.driver) and not ((driver := drivers[number]).leaving or driver.lost_ms)
    ]
    columns = np.array(sorted(trips), np.int64).reshape(-1, 3)
    return Riding(columns[:, 0].copy(), columns[:, 1].astype(np.int32), columns[:, 2].astype(np.int32))
