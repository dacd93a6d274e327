# SPDX-License-Identifier: Apache-2.0
"""What the simulation found, each as the shortest story that shows it. A seed holds only for its code."""

from gateway.city.rides import RideTable
from taxi.cursor import Cursor

EPOCH = "0123456789abcdef"


def test_a_ride_that_a_late_batch_ends_in_the_past_is_told_as_gone() -> None:
    """A dispatcher that catches up ends a ride in a past beyond the resume horizon; clients still show it."""
    rides = RideTable(expiry_ms=8_000, memory_ms=12_000)
    before = Cursor(EPOCH, 276, 93)
    rides.set("late", b"a waiting ride  ", before.ev, None)
    rides.close(before, 46_500)
    rides.set("late", b"a ride ended    ", 98, 25_594)
    rides.close(Cursor(EPOCH, 277, 98), 46_700)
    assert rides.held == 0
    assert rides.gone(before) == [b"late"]
