# SPDX-License-Identifier: Apache-2.0
"""The newest position of every driver, and since when the city has been heard: a fold of `taxi.locations`."""

from collections.abc import Iterator
from functools import cached_property
from typing import Final

import numpy as np
from msgspec import Struct, field

from taxi.positions.clock import PositionsClock, SetBack
from taxi.positions.columns import FixColumns
from taxi.positions.dropped import Dropped
from taxi.positions.fixes import Longs

SILENCE_MS: Final = 5_000
"""If no driver was heard for this long, it was the broker or the whole machine, not the drivers."""

NO_HEADING: Final = -1


class NewestFix(Struct, frozen=True, gc=False, array_like=True):
    """A driver's newest position that counts, and its place in the log."""

    at_ms: int
    """Device time."""
    offset: int
    append_ms: int
    """Append time, in log time."""
    lng: float
    lat: float
    heading: int = NO_HEADING
    """Degrees clockwise from north; NO_HEADING for a position that says neither heading nor speed."""


class NewestFixes(Struct, kw_only=True, dict=True):
    """Every driver's newest position, before some offset of the log."""

    heard_ms: int = 0
    """Log time as of the last fix."""
    resumed_ms: int = 0
    """Log time as of the first position after the last silence of the whole city."""
    clock: PositionsClock = field(default_factory=PositionsClock)
    drivers: dict[int, NewestFix] = field(default_factory=dict)

    @cached_property
    def dropped(self) -> Dropped:
        """What was folded and does not count. No part of the state: it is neither written nor compared."""
        return Dropped()

    @cached_property
    def set_backs(self) -> list[SetBack]:
        """Where the broker's clock was found set back, and was not taken yet. No part of the state."""
        return []

    def fold(self, read: FixColumns) -> None:
        """Take positions in, in the order of the log. How they are cut does not matter."""
        while len(read.driver):
            timed = self.clock.read(read, self.heard_ms)
            if len(timed.times_ms):
                self._hear(timed.times_ms)
                self._fold(self.dropped.sift(timed.fixes, timed.is_near))
            if timed.set_back is None:
                return
            self.set_backs.append(timed.set_back)
            self.clock.shift_ms = timed.set_back.shift_ms
            read = read.take(slice(len(timed.times_ms), None))

    def take_set_backs(self) -> list[SetBack]:
        """Those that were found since the last call."""
        taken = self.set_backs.copy()
        self.set_backs.clear()
        return taken

    def _fold(self, read: FixColumns) -> None:
        newest = _newest(read)
        drivers, get = self.drivers, self.drivers.get
        for driver, seen in zip(newest.driver.tolist(), _seen(newest), strict=True):
            known = get(driver)
            if (
                known is None
                or seen.at_ms > known.at_ms
                or (seen.at_ms == known.at_ms and seen.offset > known.offset)
            ):
                drivers[driver] = seen

    def _hear(self, times_ms: Longs) -> None:
        """Somebody was heard; log time after each position."""
        before_ms = np.concatenate(([self.heard_ms], times_ms[:-1]))
        resumed = np.flatnonzero(times_ms > before_ms + SILENCE_MS)
        if len(resumed):
            self.resumed_ms = int(times_ms[resumed[-1]])
        self.heard_ms = max(self.heard_ms, int(times_ms[-1]))

    def is_lost(self, driver: int, since_ms: int, now_ms: int, lost_ms: int) -> bool:
        """Whether nothing was heard of a driver for `lost_ms` of log time while others were heard.

        `since_ms`: when the shift began, for one who never sent a fix. While the whole city is silent,
        no driver is lost: then commands alone move log time.
        """
        if now_ms - self.heard_ms > SILENCE_MS:
            return False
        seen = self.drivers.get(driver)
        heard_ms = max(since_ms, self.resumed_ms, seen.append_ms if seen is not None else 0)
        return now_ms - heard_ms >= lost_ms

    def forget_all(self) -> None:
        """The topic was recreated: offsets start over, and what was known is another log's."""
        self.heard_ms = self.resumed_ms = 0
        self.drivers.clear()
        self.set_backs.clear()
        self.clock.start_new_topic()


def _seen(read: FixColumns) -> Iterator[NewestFix]:
    has_heading = (read.heading != 0) | (read.speed != 0)
    columns = (read.at_ms, read.offset, read.append_ms, read.lng, read.lat)
    heading = np.where(has_heading, read.heading, NO_HEADING)
    return map(NewestFix, *(column.tolist() for column in (*columns, heading)))


def _newest(read: FixColumns) -> FixColumns:
    """Of each driver the newest of these, in the order in which the drivers were first read."""
    drivers = np.sort(read.driver)
    if (drivers[1:] != drivers[:-1]).all():  # as a rule: drivers send once a second, chunks are shorter
        return read
    order = np.lexsort((read.offset, read.at_ms, read.driver))
    driver = read.driver[order]
    is_last = np.append(driver[1:] != driver[:-1], True)[: len(order)]
    _, first = np.unique(read.driver, return_index=True)
    return read.take(order[is_last][np.argsort(first)])
