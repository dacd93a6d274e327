# SPDX-License-Identifier: Apache-2.0
"""The newest fix of every driver, and since when the city has been heard: a fold of `taxi.locations`."""

from typing import Final

from msgspec import Struct, field

from taxi import fixes
from taxi.messages import Fix

SILENCE_MS: Final = 5_000
"""When nobody was heard for this long, it was the broker or the whole machine, not the drivers."""

UNTOLD: Final = -1


class Seen(Struct, frozen=True, gc=False, array_like=True):
    """A fix that counts, and where it stands in the log."""

    at_ms: int
    offset: int
    append_ms: int
    lng: float
    lat: float
    heading: int = UNTOLD
    """Degrees clockwise from north; UNTOLD for a fix that says neither heading nor speed."""


class NewestFixes(Struct, kw_only=True):
    """Every driver's newest fix, before some offset of the log."""

    heard_ms: int = 0
    """Append time of the last fix of anyone."""
    resumed_ms: int = 0
    """Append time of the first fix after the last silence of the whole city."""
    drivers: dict[int, Seen] = field(default_factory=dict)

    def fold(self, fix: Fix, offset: int, append_ms: int) -> None:
        """Take one record in. The order of folding does not matter but for `resumed_ms`."""
        if append_ms > self.heard_ms + SILENCE_MS:
            self.resumed_ms = append_ms
        self.heard_ms = max(self.heard_ms, append_ms)
        if not fixes.counts(fix.at_ms, append_ms):
            return
        known = self.drivers.get(fix.driver)
        if known is None or fixes.is_newer(fix.at_ms, offset, known.at_ms, known.offset):
            heading = fix.heading if fix.heading or fix.speed else UNTOLD
            self.drivers[fix.driver] = Seen(fix.at_ms, offset, append_ms, fix.lng, fix.lat, heading)

    def is_lost(self, driver: int, since_ms: int, now_ms: int, lost_ms: int) -> bool:
        """Whether nothing was heard of a driver for `lost_ms` of log time while others were heard.

        `since_ms`: when the shift began, for one who never sent a fix. While the whole city is silent,
        nobody is lost: then commands alone move log time.
        """
        if now_ms - self.heard_ms > SILENCE_MS:
            return False
        seen = self.drivers.get(driver)
        heard_ms = max(since_ms, self.resumed_ms, seen.append_ms if seen is not None else 0)
        return now_ms - heard_ms >= lost_ms

    def forget_all(self) -> None:
        """The topic was made anew: offsets start over, and what was known is another log's."""
        self.heard_ms = self.resumed_ms = 0
        self.drivers.clear()
