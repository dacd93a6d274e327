# SPDX-License-Identifier: Apache-2.0
"""What must happen at least once in a batch of seeds: states that never arise are not tested."""

from collections import Counter
from typing import Final

ENOUGH_SEEDS: Final = 50
"""In so many seeds each of these arises several times over."""

EVERYWHERE: Final = (
    # what readers and producers go through
    "half a transaction read",
    "started over an open transaction",
    "fenced",
    "a late EndTxn",
    "session expired",
    # what services go through
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
)


CLIENTS: Final = (
    "the window is whole",
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
