# SPDX-License-Identifier: Apache-2.0
"""The rows that a client holds, and the one way they change: an update is applied whole, then checked."""

from dataclasses import dataclass, field
from typing import Final

from taxi.client.hashing import driver_hash
from taxi.client.rows import DriverRow, Moved, RideRow, StreamError, Update, near
from taxi.cursor import Cursor, epoch_check

_WORD: Final = 0xFFFFFFFF


class GapError(StreamError):
    """An update that does not begin at the replica's cursor. Nothing of it was applied."""


class HashMismatchError(StreamError):
    """After an update, counts or hash of the rows are not those that the update carries. It was applied."""

    def __init__(self, text: str, *, own: tuple[int, int], received: tuple[int, int]) -> None:
        super().__init__(text)
        self.own = own
        self.received = received


@dataclass
class Replica:
    """A client's copy of the rows.

    Invariant: after `apply` returned, `drivers` and `rides` are the rows at `cursor`, as many as the update
    said, and `lanes` is the hash over them, equal to the one that the gateway sent. After HashMismatchError
    they are not, and after any other StreamError they may not be: only an image helps.
    """

    epoch: str = ""
    """Of the last `ready`."""
    cursor: Cursor | None = None
    """Of the last update applied."""
    drivers: dict[int, DriverRow] = field(default_factory=dict)
    rides: dict[str, RideRow] = field(default_factory=dict)
    lanes: tuple[int, int] = (0, 0)
    _ride_hashes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def ready(self, epoch: str) -> None:
        """A `ready` arrived: the epoch that the next updates are of."""
        self.epoch = epoch

    def apply(self, update: Update) -> None:
        """Apply one whole update, then compare counts and hash with it.

        Raises:
            GapError: it does not begin at `cursor`; nothing was applied.
            HashMismatchError: it was applied, and counts or hash differ.
            StreamError: it is of another epoch, or changes a driver who is not held.
        """
        if update.epoch_check != epoch_check(self.epoch):
            raise StreamError(f"an update of another epoch than {self.epoch}")
        if update.is_image:
            self.drivers, self.rides, self._ride_hashes, self.lanes = {}, {}, {}, (0, 0)
        elif self.cursor != Cursor(self.epoch, update.loc_before, update.ev_before):
            raise GapError(
                f"an update from {update.loc_before}:{update.ev_before} for a client at {self.cursor}"
            )
        for driver in update.gone:
            self._drop_driver(driver)
        for ride in update.rides_gone:
            self._drop_ride(ride)
        for row in update.drivers:
            self._set_driver(row)
        for driver, status in update.status:
            self._set_driver(self._held(driver)._replace(status=status))
        for moved in update.moved:
            self._set_driver(_after(self._held(moved.driver), moved, update.at_ms))
        for ride_row, lanes in zip(update.rides, update.ride_hashes, strict=True):
            self._drop_ride(ride_row.ride)
            self.rides[ride_row.ride], self._ride_hashes[ride_row.ride] = ride_row, lanes
            self._add(lanes, 1)
        self.cursor = Cursor(self.epoch, update.loc, update.ev)
        self._check(update)

    def _held(self, driver: int) -> DriverRow:
        if driver not in self.drivers:
            raise StreamError(f"a change of driver {driver}, who is not held")
        return self.drivers[driver]

    def _set_driver(self, row: DriverRow) -> None:
        self._drop_driver(row.driver)
        self.drivers[row.driver] = row
        self._add(driver_hash(row), 1)

    def _drop_driver(self, driver: int) -> None:
        row = self.drivers.pop(driver, None)
        if row is not None:
            self._add(driver_hash(row), -1)

    def _drop_ride(self, ride: str) -> None:
        if self.rides.pop(ride, None) is not None:
            self._add(self._ride_hashes.pop(ride), -1)

    def _add(self, lanes: tuple[int, int], sign: int) -> None:
        a, b = self.lanes
        self.lanes = (a + sign * lanes[0] & _WORD, b + sign * lanes[1] & _WORD)

    def _check(self, update: Update) -> None:
        own = (len(self.drivers), len(self.rides), self.lanes)
        received = (update.drivers_held, update.rides_held, update.hash)
        if own != received:
            text = f"counts or hash differ at {self.cursor}: {own} here, {received} in the update"
            raise HashMismatchError(text, own=self.lanes, received=update.hash)


def _after(row: DriverRow, moved: Moved, cut_ms: int) -> DriverRow:
    return row._replace(
        lng_e5=row.lng_e5 + moved.lng_by_e5,
        lat_e5=row.lat_e5 + moved.lat_by_e5,
        at_ms=near(row.at_ms + moved.at_by_ms & _WORD, cut_ms),
        heading=moved.heading,
        speed=moved.speed,
    )
