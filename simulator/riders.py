# SPDX-License-Identifier: Apache-2.0
"""Who wants to go where, and when: a Poisson stream cut into seconds of city time.

Everything about a ride is a hash of (seed, ride id), and the id is the second of city time and a
count. So a simulator that restarts makes the same rides again, and skips those it slept through.
"""

import math
from typing import Final

from simulator.draws import between, draw
from simulator.settings import CityBehavior
from taxi.messages import CancelRide, Place, RequestRide
from taxi.roads.network import RoadNetwork, TripDemand

EPOCH_MS: Final = 1_735_689_600_000
"""2025-01-01T00:00Z: keeps ids short."""
SLOT_MS: Final = 1000
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_SLOT_WIDTH, _COUNT_WIDTH = 6, 2
_COUNT_MAX: Final = 36**_COUNT_WIDTH


class Riders:
    """The riders of a city under one seed. Answers are functions of the arguments."""

    def __init__(
        self,
        roads: RoadNetwork,
        demand: TripDemand,
        behavior: CityBehavior,
        *,
        seed: int,
        rate_per_s: float,
    ) -> None:
        self._roads = roads
        self._demand = demand
        self._behavior = behavior
        self._seed = seed
        self.rate_per_s = rate_per_s
        self._mean = rate_per_s * SLOT_MS / 1000

    def requests(self, after_ms: int, until_ms: int) -> list[RequestRide]:
        """Rides asked for at times in (after, until], in order of slot and count."""
        first, last = (after_ms - EPOCH_MS) // SLOT_MS, (until_ms - EPOCH_MS) // SLOT_MS
        rides = [ride_id(slot, nth) for slot in range(first, last + 1) for nth in range(self._count(slot))]
        return [self._request(ride) for ride in rides if after_ms < self.asked_ms(ride) <= until_ms]

    def cancels(self, ride: str, requested_ms: int) -> tuple[int, CancelRide] | None:
        """When this rider gives up if no taxi has come; None for one who waits."""
        if not self._is_mine(ride) or draw(self._seed, "impatient", ride) >= self._behavior.impatient_share:
            return None
        wait_s = between(*self._behavior.patience_s, self._seed, "patience", ride)
        return requested_ms + int(wait_s * 1000), CancelRide(command_id=f"{ride}:cancel", ride=ride)

    def comes(self, ride: str) -> bool:
        """Whether the rider is at the pickup. Riders from elsewhere (a browser) always are."""
        return not self._is_mine(ride) or draw(self._seed, "no-show", ride) >= self._behavior.no_show_share

    def boarding_ms(self, ride: str) -> int:
        """From the driver's arrival until the trip starts."""
        return int(between(*self._behavior.board_s, self._seed, "board", ride) * 1000)

    def alighting_ms(self, ride: str) -> int:
        """From the end of the drive until the trip is over."""
        return int(between(*self._behavior.alight_s, self._seed, "alight", ride) * 1000)

    def _is_mine(self, ride: str) -> bool:
        place = place_of(ride)
        return place is not None and place[1] < self._count(place[0])

    def _count(self, slot: int) -> int:
        """How many rides a slot has: the Poisson quantile of its draw."""
        mean = self.mean_in(slot)
        left, chance, count = draw(self._seed, "slot", slot), math.exp(-mean), 0
        while left >= chance and count < _COUNT_MAX:
            left -= chance
            count += 1
            chance *= mean / count
        return count

    def mean_in(self, slot: int) -> float:
        """How many rides a slot has on average."""
        del slot
        return self._mean

    def asked_ms(self, ride: str) -> int:
        """When a ride of ours is asked for."""
        slot, _ = place_of(ride) or (0, 0)
        return EPOCH_MS + slot * SLOT_MS + int(draw(self._seed, "when", ride) * SLOT_MS)

    def _request(self, ride: str) -> RequestRide:
        origin, destination = self._demand.sample(draw(self._seed, "trip", ride))
        return ride_request(ride, self._roads.place(int(origin)), self._roads.place(int(destination)))


def ride_request(ride: str, pickup: Place, dropoff: Place) -> RequestRide:
    """The request of the rider of a ride. Its command id follows from the ride, so a repeat is a repeat."""
    return RequestRide(
        command_id=f"{ride}:request", ride=ride, rider=f"rider-{ride[2:]}", pickup=pickup, dropoff=dropoff
    )


def ride_id(slot: int, nth: int) -> str:
    """`r-` and eight base-36 digits: the second, then the count within it."""
    return f"r-{_base36(slot, _SLOT_WIDTH)}{_base36(nth, _COUNT_WIDTH)}"


def place_of(ride: str) -> tuple[int, int] | None:
    """The (slot, count) of a ride id of ours; None for any other id."""
    digits = ride.removeprefix("r-")
    if len(ride) != 2 + _SLOT_WIDTH + _COUNT_WIDTH or len(digits) == len(ride):
        return None
    if not set(digits) <= set(_DIGITS):
        return None
    return int(digits[:_SLOT_WIDTH], 36), int(digits[_SLOT_WIDTH:], 36)


def _base36(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits
