# SPDX-License-Identifier: Apache-2.0
"""The riders of a run: as in the simulator, with trips that were not used for learning."""

import math
from typing import Final

from simulator.riders import EPOCH_MS, SLOT_MS, Riders
from simulator.settings import CityBehavior
from taxi.roads.network import RoadNetwork, TripDemand
from taxistream.tools.evaluate.scenario import START_MS, Scenario

_TOP_S: Final = 5_400
_WIDTH_S: Final = 2_100
_FLOOR: Final = 0.65


class TestRiders(Riders):
    """Poisson arrivals at a constant rate, or with a peak. `demand`: the half of the trips to draw from."""

    __test__ = False  # tells pytest that this is not a test class

    def __init__(
        self, roads: RoadNetwork, demand: TripDemand, behavior: CityBehavior, setting: Scenario, seed: int
    ) -> None:
        rate_per_s = setting.load * behavior.requests_per_driver_s * setting.drivers
        super().__init__(roads, demand, behavior, seed=seed, rate_per_s=rate_per_s)
        self._peak = setting.peak

    def mean_in(self, slot: int) -> float:
        """The mean number of requests in a time slot."""
        mean = super().mean_in(slot)
        if not self._peak:
            return mean
        at_s = slot * SLOT_MS / 1000 - (START_MS - EPOCH_MS) / 1000
        bell = math.exp(-0.5 * ((at_s - _TOP_S) / _WIDTH_S) ** 2)
        return mean * (_FLOOR + (1 - _FLOOR) * bell)
