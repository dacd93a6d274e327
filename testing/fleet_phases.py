# SPDX-License-Identifier: Apache-2.0
"""What the drivers of a city on virtual time do."""

from collections import Counter
from typing import Final

from taxi.messages.states import RideState
from taxistream.tools.evaluate.city import VirtualCity

PHASES: Final = ("vacant", "to pickup", "at pickup", "on trip")


def phases(city: VirtualCity) -> Counter[str]:
    """How many drivers on shift do what."""
    rides, drivers = city.city.by_state, city.city.drivers.values()
    busy = [len(rides[state]) for state in (RideState.ASSIGNED, RideState.ARRIVED, RideState.ON_TRIP)]
    on_shift = sum(driver.on_shift for driver in drivers)
    return Counter(dict(zip(PHASES, (on_shift - sum(busy), *busy), strict=True)))
