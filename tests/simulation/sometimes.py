# SPDX-License-Identifier: Apache-2.0
"""What must happen at least once in a batch of seeds: states that never arise are not tested."""

from collections import Counter
from typing import Final

ENOUGH_SEEDS: Final = 50
"""In so many seeds each of these arises several times over."""

SOMETIMES: Final = (
    # what readers and producers go through
    "half a transaction read",
    "started over an open transaction",
    "fenced",
    "session expired",
    # what services go through
    "stopped cleanly",
    "killed at a line",
    "the machine slept",
    "frozen at a line",
    # what clients go through
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
    "handed over without a gap",
    "silence noticed",
    "lid closed",
    "client stalled",
    "a frame skipped for a slow reader",
    "closed 1006",
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
)


def never_seen(tally: Counter[str]) -> list[str]:
    """Those of SOMETIMES that did not arise."""
    return [name for name in SOMETIMES if not tally[name]]
