# SPDX-License-Identifier: Apache-2.0
"""The opening of a new city: it begins as it would be after some hours, with rides under way.

A log begins empty, and an empty city needs half an hour until as many rides end as begin. So taxis start
where rides of the hour before would have brought them, and a rider beside each asks for the rest of such a
ride. The log holds what happens from then on and nothing else: the requests are ordinary commands, the
dispatcher matches them as ever, and all drives are driven.

Which rides these are follows from the seed alone, so a simulator that is killed in the first seconds asks
for the same rides with the same ids.
"""

from collections.abc import Iterable
from math import sqrt
from typing import Final, NamedTuple

import numpy as np

from simulator.draws import between, draws, key
from simulator.drivers import OfferAnswer
from simulator.riders import EPOCH_MS, Riders, ride_request
from simulator.settings import CityBehavior
from simulator.streets import Spots, Streets
from taxi.messages import RequestRide
from taxi.roads.network import RoadNetwork
from taxi.state import CityState

_HOUR_MS: Final = 3_600_000
BUSY_SHARE_MAX: Final = 0.95
"""The largest share of the drivers that have a ride when a city opens."""
_VACANT_LEAST: Final = 0.03
_ANSWERS_S: Final = 12.0
_DRIVE_SHARE: Final = 1.64
"""From request to arrival at the pickup it takes `_ANSWERS_S`, and the mean trip times this, divided by the
square root of the number of vacant taxis. Fitted to 300, 1,000 and 3,000 drivers at loads 0.5 to 0.95, where
it is right to 12 % (`python bench/city_opening.py`)."""
_SPREAD: Final = 0.6
"""How far the time from request to arrival may lie from its mean, as a share of it."""
_FARTHER: Final = 1.6
"""How much farther away taxis on their way to a pickup start, as a nearer vacant one may get the ride."""
_ANSWER_MS: Final = 500
_KERB_M: Final = 15.0
_BOARDS_S: Final = (1.0, 3.0)
"""A rider whose trip is under way gets in at once."""


class OpeningRide(NamedTuple):
    """A ride under way, and the taxi that has it: driver `row + 1`."""

    ride: str
    row: int
    spot: tuple[int, float]
    """Where the taxi starts: an arc and the share of its driving time."""
    pickup: int | None
    """The node at which the rider waits; None: wherever the taxi comes next."""
    dropoff: int
    boards_ms: int | None = None
    """From the taxi's arrival to the start of the trip; None: as every rider."""
    alights_ms: int | None = None
    """From the end of the drive to the end of the trip; None: as every rider."""

    def request(self, roads: RoadNetwork, next_node: int) -> RequestRide | None:
        """The rider's command; None if the taxi is already there. `next_node`: where the taxi comes next."""
        pickup = next_node if self.pickup is None else self.pickup
        if pickup == self.dropoff:
            return None
        return ride_request(self.ride, roads.place(pickup), roads.place(self.dropoff))


class Opening:
    """The rides with which a city begins, and how those who are in them behave."""

    def __init__(self, rides: Iterable[OpeningRide] = ()) -> None:
        self.rides = tuple(rides)
        self._by_id = {one.ride: one for one in self.rides}

    def spots(self, homes: Spots) -> Spots:
        """Where all taxis start. `homes`: those without a ride."""
        arc, share = homes.arc.copy(), homes.share.copy()
        for ride in self.rides:
            arc[ride.row], share[ride.row] = ride.spot
        return Spots(arc, share)

    def boards_ms(self, ride: str) -> int | None:
        """From the taxi's arrival to the start of the trip; None: as for every other ride."""
        opened = self._by_id.get(ride)
        return opened.boards_ms if opened is not None else None

    def alights_ms(self, ride: str) -> int | None:
        """From the end of the drive to the end of the trip; None: as for every other ride."""
        opened = self._by_id.get(ride)
        return opened.alights_ms if opened is not None else None

    def answer(self, ride: str, attempt: int) -> OfferAnswer | None:
        """What the driver beside the rider says to the first offer; None: as to every other one."""
        opened = self._by_id.get(ride)
        if attempt != 1 or opened is None or opened.boards_ms is None:
            return None
        return OfferAnswer(accept=True, after_ms=_ANSWER_MS)


def is_due(state: CityState, now_ms: int, look_back_ms: int) -> bool:
    """Whether a city opens: no ride was requested yet, or a simulator died while it opened."""
    ended = state.totals
    if ended.completed or ended.cancelled or ended.no_show or ended.expired:
        return False
    first_ms = min((ride.requested_ms for ride in state.rides.values()), default=now_ms)
    return first_ms > now_ms - look_back_ms


def opening_of(
    streets: Streets, riders: Riders, behavior: CityBehavior, homes: Spots, *, seed: int, now_ms: int
) -> Opening:
    """The rides under way in a city of `len(homes.arc)` drivers.

    Args:
        streets: Of prepared roads.
        riders: Their requests of an hour are the rides.
        behavior: How long people take to get in and out.
        homes: Where the drivers without a ride are.
        seed: That of the simulated world.
        now_ms: City time. The time of day decides how long drives take.
    """
    n, roads = len(homes.arc), streets.roads
    percent = roads.city.drive_percent_at(now_ms)
    end_ms = EPOCH_MS + _HOUR_MS
    asked = [one for one in riders.requests(EPOCH_MS, end_ms) if _is_served(riders, one.ride)]
    if not asked:
        return Opening()
    pickups = roads.nodes_of([one.pickup for one in asked])
    dropoffs = roads.nodes_of([one.dropoff for one in asked])
    trip_s = roads.travel_time_s(pickups, dropoffs) * percent / 100
    arrival_s = _arrival_s(n, riders, behavior, float(trip_s.mean()))
    order = np.argsort(draws(key(seed, "opening"), np.arange(n)))
    rides = []
    for one, pickup, dropoff, drive_s in zip(
        asked, pickups.tolist(), dropoffs.tolist(), trip_s.tolist(), strict=True
    ):
        comes_s = arrival_s * between(1 - _SPREAD, 1 + _SPREAD, seed, "opening arrival", one.ride)
        boards_s = riders.boarding_ms(one.ride) / 1000
        before = _Before(
            one.ride,
            gone_s=(end_ms - riders.asked_ms(one.ride)) / 1000,
            pickup=pickup,
            dropoff=dropoff,
            comes_s=comes_s,
            boarded_s=comes_s + boards_s,
            arrives_s=comes_s + boards_s + drive_s,
            ends_s=comes_s + boards_s + drive_s + riders.alighting_ms(one.ride) / 1000,
        )
        if before.gone_s < before.ends_s:
            rides.append(before)
    latest = rides[-max(int(n * BUSY_SHARE_MAX), 1) :]
    traffic = percent / 100
    return Opening(
        _fetching(streets, homes, int(row), before, traffic)
        if before.gone_s < before.boarded_s
        else _driving(streets, int(row), before, traffic, seed)
        for row, before in zip(order, latest, strict=False)
    )


class _Before(NamedTuple):
    """What happened of a ride before the city began, in seconds after its request."""

    ride: str
    gone_s: float
    """When the city begins."""
    pickup: int
    dropoff: int
    comes_s: float
    boarded_s: float
    arrives_s: float
    ends_s: float


def _fetching(streets: Streets, homes: Spots, row: int, before: _Before, traffic: float) -> OpeningRide:
    """The taxi is on its way to the pickup, or the rider is getting in."""
    roads, home = streets.roads, int(streets.roads.arc_from[homes.arc[row]])
    if home == before.pickup:
        home = int(roads.arc_to[homes.arc[row]])
    left_s = max(before.comes_s - before.gone_s, 0.0) * _FARTHER / traffic
    drive_s = max(float(roads.travel_time_s(home, before.pickup)) - left_s, 0.0)
    arc, share = spot_on_route(roads, home, before.pickup, drive_s)
    ride = OpeningRide(before.ride, row, (arc, share), before.pickup, before.dropoff)
    if left_s:
        return ride
    boards_ms = int((before.boarded_s - before.gone_s) * 1000)
    return ride._replace(spot=_kerb(streets, arc), boards_ms=max(boards_ms, 1))


def _driving(streets: Streets, row: int, before: _Before, traffic: float, seed: int) -> OpeningRide:
    """The taxi is on its way to the drop-off, or there: then it drives a block more."""
    roads, dropoff = streets.roads, before.dropoff
    arc, _ = spot_on_route(roads, before.pickup, dropoff, (before.gone_s - before.boarded_s) / traffic)
    alights_ms = None
    if int(roads.arc_to[arc]) == dropoff:
        starts, ways = streets.ways_out
        dropoff = int(roads.arc_to[ways[starts[dropoff]]])
        alights_ms = max(int((before.ends_s - max(before.arrives_s, before.gone_s)) * 1000), 1)
    boards_ms = int(between(*_BOARDS_S, seed, "opening board", before.ride) * 1000)
    return OpeningRide(before.ride, row, _kerb(streets, arc), None, dropoff, boards_ms, alights_ms)


def _kerb(streets: Streets, arc: int) -> tuple[int, float]:
    """Shortly before the end of an arc, where a taxi stops for a rider."""
    metres = streets.length_m[arc]
    return arc, float(streets.share_at(np.array([arc]), np.array([metres - min(_KERB_M, metres / 2)]))[0])


def spot_on_route(roads: RoadNetwork, start: int, end: int, driven_s: float) -> tuple[int, float]:
    """An arc and the share of its driving time, after `driven_s` on the fastest route between two nodes.

    At the end of the route if it is shorter. Raises IndexError if the nodes are equal.
    """
    arcs = roads.route(start, end)
    ends_s = np.cumsum(roads.arc_time_s[arcs])
    nth = min(int(np.searchsorted(ends_s, driven_s, side="right")), len(arcs) - 1)
    rest_s = max(float(ends_s[nth]) - driven_s, 0.0)
    return int(arcs[nth]), 1 - min(rest_s / max(float(roads.arc_time_s[arcs[nth]]), 0.1), 1.0)


def _is_served(riders: Riders, ride: str) -> bool:
    return riders.comes(ride) and riders.cancels(ride, 0) is None


def _arrival_s(n: int, riders: Riders, behavior: CityBehavior, trip_s: float) -> float:
    """The mean time from request to the taxi's arrival: a fixpoint, because more vacant taxis are nearer."""
    busy_s = trip_s + sum(behavior.board_s) / 2 + sum(behavior.alight_s) / 2
    arrival_s = _ANSWERS_S
    for _ in range(50):
        vacant = max(n - riders.rate_per_s * (busy_s + arrival_s), n * _VACANT_LEAST, 1.0)
        arrival_s = (arrival_s + _ANSWERS_S + _DRIVE_SHARE * trip_s / sqrt(vacant)) / 2
    return arrival_s
