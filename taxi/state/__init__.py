# SPDX-License-Identifier: Apache-2.0
"""The state of a city: the fold of `taxi.events`, shared by dispatcher, gateway and simulator.

The transitions of a ride are a table (`MOVES`): the states in which an event is allowed, and the state after
it. A driver's status is not stored but computed from shift, signal and ride (`status`), so that they can't
contradict each other. An event that the table forbids raises `IllegalTransitionError`, because the dispatcher
has a bug.
"""

from taxi.state.city import CityState
from taxi.state.data import shift_at
from taxi.state.folds import ENDED_KEPT_MS, EVENTS_LOST, LOCATIONS_RECREATED, NOT_YET, REMEMBERED_MS
from taxi.state.rides import MOVES
from taxi.state.rows import Driver, IllegalTransitionError, Ride, Totals, Touched

__all__ = [
    "ENDED_KEPT_MS",
    "EVENTS_LOST",
    "LOCATIONS_RECREATED",
    "MOVES",
    "NOT_YET",
    "REMEMBERED_MS",
    "CityState",
    "Driver",
    "IllegalTransitionError",
    "Ride",
    "Totals",
    "Touched",
    "shift_at",
]
