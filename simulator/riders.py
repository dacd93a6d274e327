# SPDX-License-Identifier: Apache-2.0
"""Who wants to go where, and when: a Poisson stream cut into seconds of wall time.

Everything about a ride is a hash of (seed, ride id), and the id is the second of the wall clock and a
count. So a simulator that restarts makes the same rides again, and skips those it slept through.
"""

import math
from typing import Final

from simulator.draws import between, draw
from simulator.settings import Habits
from taxi.messages import CancelRide, Place, RequestRide
from taxi.roads import RoadNetwork, TripDemand

EPOCH_MS: Final = 1_735_689_600_000
"""2025-01-01T00:00Z: keeps ids short."""
SLOT_MS: Final = 1000
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_SLOT_WIDTH, _COUNT_WIDTH = 6, 2
_KNOWN_SLOTS: Final = 10
"""Slots until every simulator knows of a city's birth: only then may rates depend on it."""
_COUNT_MAX: Final = 36**_COUNT_WIDTH


class Riders:
    """The riders of a city under one seed. Answers are functions of the arguments and the city's birth."""

    def __init__(
        self,
        roads: RoadNetwork,
        demand: TripDemand,
        habits: Habits,
        *,
        seed: int,
        rate_per_s: float,
        opening_rate_per_s: float = 0.0,
    ) -> None:
        self._roads = roads
        self._demand = demand
        self._habits = habits
        self._seed = seed
        self._mean = rate_per_s * SLOT_MS / 1000
        self._opening_mean = max(rate_per_s, opening_rate_per_s) * SLOT_MS / 1000
        self._opening_slots = range(0)

    def know_birth(self, born_ms: int) -> None:
        """The city began then; 0: nobody knows yet.

        In its first minutes more people come out than ever after. Otherwise a quarter of an hour would
        pass until a new city looks like one.
        """
        if born_ms:
            first = (born_ms - EPOCH_MS) // SLOT_MS + _KNOWN_SLOTS
            self._opening_slots = range(first, first + int(self._habits.opening_s * 1000) // SLOT_MS)

    def requests(self, after_ms: int, until_ms: int) -> list[RequestRide]:
        """Rides asked for at times in (after, until], in order of slot and count."""
        first, last = (after_ms - EPOCH_MS) // SLOT_MS, (until_ms - EPOCH_MS) // SLOT_MS
        rides = [ride_id(slot, nth) for slot in range(first, last + 1) for nth in range(self._count(slot))]
        return [self._request(ride) for ride in rides if after_ms < self.asked_ms(ride) <= until_ms]

    def cancels(self, ride: str, requested_ms: int) -> tuple[int, CancelRide] | None:
        """When this rider gives up if no taxi has come; None for one who waits."""
        if not self._is_mine(ride) or draw(self._seed, "impatient", ride) >= self._habits.impatient_share:
            return None
        wait_s = between(*self._habits.patience_s, self._seed, "patience", ride)
        return requested_ms + int(wait_s * 1000), CancelRide(command_id=f"{ride}:cancel", ride=ride)

    def comes(self, ride: str) -> bool:
        """Whether the rider is at the pickup. Riders from elsewhere (a browser) always are."""
        return not self._is_mine(ride) or draw(self._seed, "no-show", ride) >= self._habits.no_show_share

    def boarding_ms(self, ride: str) -> int:
        """From the driver's arrival until the trip starts."""
        return int(between(*self._habits.board_s, self._seed, "board", ride) * 1000)

    def alighting_ms(self, ride: str) -> int:
        """From the end of the drive until the trip is over."""
        return int(between(*self._habits.alight_s, self._seed, "alight", ride) * 1000)

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
        return self._opening_mean if slot in self._opening_slots else self._mean

    def asked_ms(self, ride: str) -> int:
        """When a ride of ours is asked for."""
        slot, _ = place_of(ride) or (0, 0)
        return EPOCH_MS + slot * SLOT_MS + int(draw(self._seed, "when", ride) * SLOT_MS)

    def _request(self, ride: str) -> RequestRide:
        origin, destination = self._demand.sample(draw(self._seed, "trip", ride))
        return RequestRide(
            command_id=f"{ride}:request",
            ride=ride,
            rider=f"rider-{ride[2:]}",
            pickup=self._place(int(origin)),
            dropoff=self._place(int(destination)),
        )

    def _place(self, node: int) -> Place:
        lng, lat = self._roads.nodes[node].tolist()
        return round(lng, 6), round(lat, 6)


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
