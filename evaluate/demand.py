# SPDX-License-Identifier: Apache-2.0
"""The riders of a run: those of the simulator, from pairs that no policy has learned from."""

import math
from typing import Final

from evaluate.setting import START_MS, Setting
from simulator.riders import EPOCH_MS, SLOT_MS, Riders
from simulator.settings import Habits
from taxi.roads import RoadNetwork, TripDemand

_TOP_S: Final = 5_400
_WIDTH_S: Final = 2_100
_FLOOR: Final = 0.65


class TestRiders(Riders):
    """Poisson arrivals, all the time alike or around a peak. `demand`: the half to draw from.

    No rush at the start, as a live city has it: that would ring on for hours.
    """

    __test__ = False  # no test class, whatever its name says

    def __init__(
        self, roads: RoadNetwork, demand: TripDemand, habits: Habits, setting: Setting, seed: int
    ) -> None:
        rate_per_s = setting.load * habits.requests_per_driver_s * setting.drivers
        super().__init__(roads, demand, habits, seed=seed, rate_per_s=rate_per_s)
        self._peak = setting.peak

    def mean_in(self, slot: int) -> float:
        """The rate of this second."""
        mean = super().mean_in(slot)
        if not self._peak:
            return mean
        at_s = slot * SLOT_MS / 1000 - (START_MS - EPOCH_MS) / 1000
        bell = math.exp(-0.5 * ((at_s - _TOP_S) / _WIDTH_S) ** 2)
        return mean * (_FLOOR + (1 - _FLOOR) * bell)
