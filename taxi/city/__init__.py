# SPDX-License-Identifier: Apache-2.0
"""The state of a city: the fold of `taxi.events`, shared by dispatcher, gateway and simulator.

A ride's life is a table (`MOVES`): which event may happen in which state, and where it leads. A driver's
status is never stored: it follows from the shift, the signal and the ride (`status`), so the two can't
disagree. An event that the table forbids raises `IllegalTransitionError`: the dispatcher has a bug.
"""

from taxi.city.folds import ENDED_KEPT_MS, EVENTS_LOST, REMEMBERED_MS
from taxi.city.rides import MOVES
from taxi.city.rows import Driver, IllegalTransitionError, Ride, Totals, Touched
from taxi.city.state import CityState

__all__ = [
    "ENDED_KEPT_MS",
    "EVENTS_LOST",
    "MOVES",
    "REMEMBERED_MS",
    "CityState",
    "Driver",
    "IllegalTransitionError",
    "Ride",
    "Totals",
    "Touched",
]
