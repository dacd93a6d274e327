# SPDX-License-Identifier: Apache-2.0
"""What must happen at least once in a batch of seeds: states that never arise are not tested."""

from collections import Counter
from typing import Final

from testing.foreign import FOREIGN_EVENTS

ENOUGH_SEEDS: Final = 50
"""In so many seeds each of these arises several times over."""

EVERYWHERE: Final = (
    # what readers and producers go through
    "half a transaction read",
    "started over an open transaction",
    "fenced",
    "a late EndTxn",
    "session expired",
    "a member removed from its group",
    "connections stranded",
    "damaged taxi.commands",
    "damaged taxi.locations",
    "damaged taxi.snapshots",
    "damaged taxi.events",
    "a producer id that changed",
    *(f"foreign: {kind}" for kind in FOREIGN_EVENTS),
    # what services go through
    "fault events_held_back",
    "fault another_city",
    "fault clock_off",
    "a false append time",
    "the clocks were set back",
    "ClockSetBack",
    "a simulator's clock was off",
    "stopped cleanly",
    "killed at a line",
    "the machine slept",
    "frozen at a line",
    # what the city goes through
    "RideRequested",
    "OfferDeclined",
    "OfferExpired",
    "RideReleased",
    "DriverLost",
    "DriverFound",
    "RideNoShow",
    "RideCancelled",
    "RideExpired",
    "TripCompleted",
    "DriverWentOffline",
    "CommandRejected",
    "InputSkipped",
    "RideReassigned",
    "DriverRepositioned",
    "a chain of several",
    "a waiting ride given by order",
    "a ride swapped again",
    "RideReleased: refused",
    "CommandRejected: too_late",
    "somebody with a rider stood still",
    "a ride held back",
    "a ride not held for one who is late",
    "a batch left commands unread",
    "CommandRejected: unknown_ride",
    "a command put off and accepted later",
    "a city that lives faster",
    "a change of speed",
    "ScenarioStarted",
    "ScenarioEnded: stopped",
    "a scenario over by itself",
    "CommandRejected: scenario_under_way",
)


CLIENTS: Final = (
    "fault positions_held_back",
    "gateway_dropped_positions_total late",
    "gateway_dropped_positions_total ahead",
    "gateway_dropped_positions_total unreadable",
    "gateway_dropped_positions_total unbelieved",
    "dispatcher_dropped_positions_total unbelieved grid",
    "dispatcher_dropped_positions_total late grid",
    "dispatcher_dropped_positions_total ahead grid",
    "dispatcher_dropped_positions_total unreadable grid",
    "the deeper view has taken over",
    "city time sent",
    "scenarios sent",
    "ready image",
    "ready resume",
    "resumed with a diff",
    "reset ahead",
    "reset epoch",
    "reset expired",
    "reset mismatch",
    "a row lost",
    "a wrong picture healed",
    "a view seen",
    "closed 4401",
    "drained",
    "stalled as it leaves",
    "handed over without a gap",
    "silence noticed",
    "lid closed",
    "client stalled",
    "a frame skipped for a slow reader",
    "closed 1006",
)
CITIES: Final = (
    "frozen at its assignment",
    "dispatcher_fenced_total group",
    "dispatcher_fenced_total producer",
    "transaction timed out",
    "recreated taxi.commands",
    "recreated taxi.locations",
    "EpochStarted: commands_recreated",
    "EpochStarted: locations_recreated",
    "not verifiable: it was decided after retention took fixes that no snapshot covered",
)


def never_seen(tally: Counter[str], kind: str = "whole") -> list[str]:
    """What did not arise although it should, in worlds of this kind."""
    wanted = (*EVERYWHERE, *(CLIENTS if kind == "whole" else CITIES))
    return [name for name in wanted if not tally[name]]
