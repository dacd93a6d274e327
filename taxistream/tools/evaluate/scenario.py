# SPDX-License-Identifier: Apache-2.0
"""The scenario of a run. People behave as in the live city, without what would add noise to a comparison."""

from typing import Final

import msgspec
from msgspec import Struct

from simulator.settings import CityBehavior

START_MS: Final = 1_750_089_600_000
"""A Monday at noon in New York, when driving times are those of the tables."""
CITY: Final = "manhattan"


class Scenario(Struct, frozen=True, kw_only=True):
    """A scenario, the same for every policy."""

    load: float = 0.9
    """Demand. At 1.0 about 86 % of the fleet has a rider, with the best dispatching."""
    drivers: int = 1_000
    hours: float = 2.0
    """From the start to the last request that is measured."""
    warm_share: float = 0.25
    """The share of these hours at their beginning that is not measured."""
    peak: bool = False
    """Demand has an evening peak with its maximum at `load`, instead of being constant."""
    noise: float = 0.0
    """Each drive takes up to this share more or less time than in the tables."""
    refuse: float = 0.0
    """Share of drivers who refuse an order."""
    patience_s: int = 600
    """How long riders wait for a driver."""
    cruise: bool = False
    """Idle drivers drive around, as in the live city; otherwise they wait where their last drive ended."""
    full_behavior: bool = False
    """Include breaks of drivers, no-shows and impatient riders, as in the live city."""
    speed: int = 1
    """How many times as fast as the clock people live. Batches and positions keep to the clock."""

    @property
    def warm_up_s(self) -> int:
        """Requests before this second are not measured."""
        return round(self.hours * 3600 * self.warm_share)

    @property
    def counts_until_s(self) -> int:
        """Requests from this second on are not measured."""
        return round(self.hours * 3600)

    @property
    def lasts_s(self) -> int:
        """The length of the run: until all measured rides are picked up or have expired."""
        return self.counts_until_s + 2 * self.patience_s

    def behavior(self) -> CityBehavior:
        """The behaviour of drivers and riders in this scenario."""
        behavior = msgspec.structs.replace(
            CityBehavior(),
            ticks_per_s=self.speed,
            drive_noise=self.noise,
            refuse_share=self.refuse,
            cruises=self.cruise,
        )
        if self.full_behavior:
            return behavior
        return msgspec.structs.replace(behavior, no_show_share=0.0, impatient_share=0.0, break_share=0.0)
