# SPDX-License-Identifier: Apache-2.0
"""What a run is about, and the people in it: those of the live city, but for what would blur a comparison."""

from typing import Final

import msgspec
from msgspec import Struct

from simulator.settings import Habits

START_MS: Final = 1_750_089_600_000
"""A Monday at noon in New York: the city's plain pace."""
CITY: Final = "manhattan"


class Setting(Struct, frozen=True, kw_only=True):
    """One city, one demand, some hours; the same for every policy."""

    load: float = 0.9
    """At 1.0 some 86 % of the fleet has a rider, with the best dispatching."""
    drivers: int = 1_000
    hours: float = 2.0
    """From the first request to the last that counts."""
    warm_share: float = 0.25
    """Of these hours, how much warms up and does not count."""
    peak: bool = False
    """An evening peak whose top has the load, instead of the load all the time."""
    noise: float = 0.0
    """A whole drive takes up to this share more or less than the tables say."""
    refuse: float = 0.0
    """Share of drivers who refuse an order."""
    patience_s: int = 600
    cruise: bool = False
    """Idle drivers wander, as in the live city; else they wait where their last drive ended."""
    all_habits: bool = False
    """Breaks, riders who never come or give up: as in the live city."""

    @property
    def warm_up_s(self) -> int:
        """What is asked for until then does not count."""
        return round(self.hours * 3600 * self.warm_share)

    @property
    def counts_until_s(self) -> int:
        """What is asked for after this does not count any more, but goes on."""
        return round(self.hours * 3600)

    @property
    def lasts_s(self) -> int:
        """Until the last that count are picked up, or have lost patience."""
        return self.counts_until_s + 2 * self.patience_s

    def habits(self) -> Habits:
        """How people behave."""
        habits = msgspec.structs.replace(
            Habits(),
            ticks_per_s=1,
            drive_noise=self.noise,
            refuse_share=self.refuse,
            cruises=self.cruise,
        )
        if self.all_habits:
            return habits
        return msgspec.structs.replace(habits, no_show_share=0.0, impatient_share=0.0, break_share=0.0)
