# SPDX-License-Identifier: Apache-2.0
"""Who wants to go where, and when: a Poisson stream cut into seconds of city time.

Everything about a ride is a hash of (seed, ride id), and the id is the second of city time and a
count. So a simulator that restarts makes the same rides again, and skips those it slept through.
"""

import math
from typing import Final

from simulator.demand_by_hour import factor_at
from simulator.draws import between, draw
from simulator.scenario_effects import ScenarioEffects
from simulator.settings import CityBehavior
from taxi.messages import CancelRide, Place, RequestRide
from taxi.roads.network import RoadNetwork, TripDemand

EPOCH_MS: Final = 1_735_689_600_000
"""2025-01-01T00:00Z: keeps ids short."""
SLOT_MS: Final = 1000
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_SLOT_WIDTH, _COUNT_WIDTH = 6, 2
_COUNT_MAX: Final = 36**_COUNT_WIDTH
_EXTRA_FROM: Final = _COUNT_MAX // 2
"""The count within a second from which on rides are those that a scenario adds. They follow from a scenario
that may be over when somebody looks at them, so their number in a second is not known later."""


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
        by_hour: bool = False,
    ) -> None:
        """`by_hour`: demand follows the hours of the week (`simulator.demand_by_hour`)."""
        self._roads = roads
        self._demand = demand
        self._behavior = behavior
        self._seed = seed
        self.rate_per_s = rate_per_s
        self._mean = rate_per_s * SLOT_MS / 1000
        self._by_hour = by_hour

    def requests(self, after_ms: int, until_ms: int) -> list[RequestRide]:
        """Rides asked for at times in (after, until], in order of slot and count."""
        first, last = (after_ms - EPOCH_MS) // SLOT_MS, (until_ms - EPOCH_MS) // SLOT_MS
        rides = [ride_id(slot, nth) for slot in range(first, last + 1) for nth in range(self._count(slot))]
        return [self._request(ride) for ride in rides if after_ms < self.asked_ms(ride) <= until_ms]

    def with_excess(
        self, usual: list[RequestRide], after_ms: int, until_ms: int, effects: ScenarioEffects
    ) -> list[RequestRide]:
        """The rides asked for in (after, until] while scenarios change demand.

        Args:
            usual: The result of `requests` for these times.
            after_ms: City time, as in `requests`.
            until_ms: City time.
            effects: Of the scenarios under way.
        """
        requests = []
        for request in usual:
            excess = effects.excess(self.asked_ms(request.ride))
            node = self._roads.nearest_node(*request.pickup)[0] if excess is not None else 0
            if excess is None or draw(self._seed, "kept", request.ride) < excess.kept[node]:
                requests.append(request)
        for slot in range((after_ms - EPOCH_MS) // SLOT_MS, (until_ms - EPOCH_MS) // SLOT_MS + 1):
            excess = effects.excess(EPOCH_MS + slot * SLOT_MS)
            if excess is None:
                continue
            for nth in range(self._quantile("extra slot", slot, self.mean_in(slot) * excess.rate)):
                ride = ride_id(slot, _EXTRA_FROM + nth)
                if after_ms < self.asked_ms(ride) <= until_ms:
                    origin, destination = excess.sample(draw(self._seed, "trip", ride))
                    places = self._roads.place(origin), self._roads.place(destination)
                    requests.append(ride_request(ride, *places))
        return requests

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
        return place is not None and (place[1] >= _EXTRA_FROM or place[1] < self._count(place[0]))

    def _count(self, slot: int) -> int:
        """How many of the usual rides a slot has."""
        return self._quantile("slot", slot, self.mean_in(slot))

    def _quantile(self, name: str, slot: int, mean: float) -> int:
        """The Poisson quantile of the slot's draw of this name."""
        left, chance, count = draw(self._seed, name, slot), math.exp(-mean), 0
        while left >= chance and count < _EXTRA_FROM:
            left -= chance
            count += 1
            chance *= mean / count
        return count

    def mean_in(self, slot: int) -> float:
        """How many of the usual rides a slot has on average."""
        return self._mean * self.factor_at(EPOCH_MS + slot * SLOT_MS)

    def factor_at(self, city_ms: int) -> float:
        """How high demand usually is at this hour of the week, of its mean; 1 if it is always the same."""
        return factor_at(city_ms, self._roads.city.utc_offset_h) if self._by_hour else 1.0

    def steady_at(self, city_ms: int) -> "Riders":
        """The riders of a city in which it is always this hour."""
        rate_per_s = self.rate_per_s * self.factor_at(city_ms)
        return Riders(self._roads, self._demand, self._behavior, seed=self._seed, rate_per_s=rate_per_s)

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
