# SPDX-License-Identifier: Apache-2.0
"""What a driver's row leaves out: its shift, and what it has driven and earned since reading began.

It is answered on request and is in no cut: a gateway that began to read later has counted less.
"""

from typing import NamedTuple

from taxi.messages import DriverCameOnline, TripCompleted
from taxi.state.batches import Batch


class CompletedTrips(NamedTuple):
    """Completed trips of a driver."""

    trips: int = 0
    earned_cents: int = 0
    distance_m: int = 0
    """Of the fastest ways from pickup to drop-off."""


class DriverTrips:
    """Counts from the batches that it reads.

    Args:
        since_ms: Log time of the state that reading began with; 0 if it began with the log.
    """

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        """From when on trips are counted, log time; 0 before the first batch of a log that was read whole."""
        self._trips: dict[int, CompletedTrips] = {}
        self._shifts_ms: dict[int, int] = {}

    def add(self, batch: Batch) -> None:
        """Read a batch."""
        self.since_ms = self.since_ms or batch.closed.at_ms
        for at in batch.events:
            event = at.event
            if isinstance(event, TripCompleted):
                had = self.of(event.driver)
                self._trips[event.driver] = CompletedTrips(
                    had.trips + 1, had.earned_cents + event.fare_cents, had.distance_m + event.trip_m
                )
            elif isinstance(event, DriverCameOnline):
                self._shifts_ms[event.driver] = event.at_ms

    def of(self, driver: int) -> CompletedTrips:
        """The trips that a driver has completed since `since_ms`."""
        return self._trips.get(driver, CompletedTrips())

    def shift_ms(self, driver: int) -> int | None:
        """When the driver's last shift began; None if it began before reading did."""
        return self._shifts_ms.get(driver)
