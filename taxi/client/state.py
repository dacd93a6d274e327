# SPDX-License-Identifier: Apache-2.0
"""The rows that a client holds, and the one way they change: a cut is applied whole, then checked."""

from dataclasses import dataclass, field
from typing import Final

from taxi.client.hashing import driver_hash
from taxi.client.rows import Cut, DriverRow, Moved, RideRow, StreamError, near
from taxi.cursor import Cursor, epoch_check

_WORD: Final = 0xFFFFFFFF


class Gap(StreamError):  # noqa: N818 - an outcome
    """A cut that starts elsewhere than the client stands. Nothing of it was applied."""


class WrongPicture(StreamError):  # noqa: N818 - an outcome
    """The rows after a cut are not those that it tells of."""

    def __init__(self, text: str, *, own: tuple[int, int], told: tuple[int, int]) -> None:
        super().__init__(text)
        self.own = own
        self.told = told


def _after(row: DriverRow, moved: Moved, cut_ms: int) -> DriverRow:
    return row._replace(
        lng_e5=row.lng_e5 + moved.lng_by_e5,
        lat_e5=row.lat_e5 + moved.lat_by_e5,
        at_ms=near(row.at_ms + moved.at_by_ms & _WORD, cut_ms),
        heading=moved.heading,
        speed=moved.speed,
    )


@dataclass
class ClientState:
    """The rows that a client holds. Checks the chain of cursors, the counts and the hash at every cut."""

    epoch: str = ""
    """Of the last `ready`."""
    cursor: Cursor | None = None
    """Of the last cut applied."""
    drivers: dict[int, DriverRow] = field(default_factory=dict)
    rides: dict[str, RideRow] = field(default_factory=dict)
    lanes: tuple[int, int] = (0, 0)
    _ride_hashes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def ready(self, epoch: str) -> None:
        """A `ready` came: the log that the next cuts are of."""
        self.epoch = epoch

    def apply(self, cut: Cut) -> None:
        """Apply one whole cut. Raises StreamError: Gap where it does not continue, WrongPicture after it."""
        if cut.epoch_check != epoch_check(self.epoch):
            raise StreamError(f"a cut of another epoch than {self.epoch}")
        if cut.is_image:
            self.drivers, self.rides, self._ride_hashes, self.lanes = {}, {}, {}, (0, 0)
        elif self.cursor != Cursor(self.epoch, cut.loc_before, cut.ev_before):
            raise Gap(f"a cut from {cut.loc_before}:{cut.ev_before} for a client at {self.cursor}")
        for driver in cut.gone:
            self._drop_driver(driver)
        for ride in cut.rides_gone:
            self._drop_ride(ride)
        for row in cut.drivers:
            self._set_driver(row)
        for driver, status in cut.status:
            self._set_driver(self._held(driver)._replace(status=status))
        for moved in cut.moved:
            self._set_driver(_after(self._held(moved.driver), moved, cut.at_ms))
        for ride_row, lanes in zip(cut.rides, cut.ride_hashes, strict=True):
            self._drop_ride(ride_row.ride)
            self.rides[ride_row.ride], self._ride_hashes[ride_row.ride] = ride_row, lanes
            self._add(lanes, 1)
        self.cursor = Cursor(self.epoch, cut.loc, cut.ev)
        self._check(cut)

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

    def _check(self, cut: Cut) -> None:
        held = (len(self.drivers), len(self.rides), self.lanes)
        told = (cut.drivers_held, cut.rides_held, cut.hash)
        if held != told:
            text = f"the picture is wrong at {self.cursor}: {held} held, {told} told"
            raise WrongPicture(text, own=self.lanes, told=cut.hash)
