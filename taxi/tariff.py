# SPDX-License-Identifier: Apache-2.0
"""What a trip costs. The tariff is this project's own; docs/life-of-a-ride.md states it."""

from typing import Final

BASE_CENTS: Final = 350
CENTS_PER_KM: Final = 165
CENTS_PER_MIN: Final = 50
MINIMUM_CENTS: Final = 700


def fare_cents(trip_m: int, trip_s: int) -> int:
    """For the fastest way's metres and the seconds from start to end; begun cents are charged."""
    distance = -(-trip_m * CENTS_PER_KM // 1000)
    time = -(-trip_s * CENTS_PER_MIN // 60)
    return max(MINIMUM_CENTS, BASE_CENTS + distance + time)
