# SPDX-License-Identifier: Apache-2.0
"""City time: the time that people live by. It runs `speed` times as fast as log time.

While the speed has always been 1, city time is log time. A change of speed begins a *period*, and city time
goes on from where it is: it never jumps and never goes back, so what began before a change has lasted as long
as its people lived through. All arithmetic is on whole milliseconds and exact.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

PERIODS_MAX: Final = 32
"""So many are kept, the newest. What began before the first one is counted at speed 1 up to there."""


class Period(NamedTuple):
    """A stretch of log time with one speed; it ends where the next one begins."""

    from_ms: int
    """Log time."""
    city_ms: int
    """City time there."""
    speed: int
    """Milliseconds of city time in a millisecond of log time."""


class CityTime(NamedTuple):
    """The relation between log time and city time.

    `periods` are ascending. Before the first one, and without any, the speed is 1.
    """

    periods: Sequence[Period] = ()

    @property
    def speed(self) -> int:
        """The speed of the newest period."""
        return self.periods[-1].speed if self.periods else 1

    def at(self, log_ms: int) -> int:
        """City time at a log time."""
        if not self.periods:
            return log_ms
        for period in reversed(self.periods):
            if log_ms >= period.from_ms:
                return period.city_ms + (log_ms - period.from_ms) * period.speed
        return log_ms + self.periods[0].city_ms - self.periods[0].from_ms

    def log_ms(self, city_ms: int) -> int:
        """The last log time at which city time is not later than `city_ms`."""
        if not self.periods:
            return city_ms
        for period in reversed(self.periods):
            if city_ms >= period.city_ms:
                return period.from_ms + (city_ms - period.city_ms) // period.speed
        return city_ms + self.periods[0].from_ms - self.periods[0].city_ms

    def after(self, log_ms: int, lasts_ms: int) -> int:
        """The first log time at which `lasts_ms` of city time have passed since `log_ms`."""
        if not self.periods:
            return log_ms + lasts_ms
        return self.log_ms(self.at(log_ms) + lasts_ms - 1) + 1

    def before(self, log_ms: int, lasts_ms: int) -> int:
        """The last log time since which `lasts_ms` of city time have passed at `log_ms`.

        Something that began at `begun_ms` is over, that is `after(begun_ms, lasts_ms) <= log_ms`, if and
        only if `begun_ms <= before(log_ms, lasts_ms)`.
        """
        if not self.periods:
            return log_ms - lasts_ms
        return self.log_ms(self.at(log_ms) - lasts_ms)

    def between(self, from_ms: int, to_ms: int) -> int:
        """The city time between two log times."""
        return self.at(to_ms) - self.at(from_ms) if self.periods else to_ms - from_ms

    def changed(self, log_ms: int, speed: int) -> list[Period]:
        """The periods if the speed is `speed` from `log_ms` on, which is not before the last period."""
        if speed == self.speed:
            return [*self.periods]
        kept = [period for period in self.periods if period.from_ms < log_ms]
        if (kept[-1].speed if kept else 1) == speed:
            return kept
        return [*kept, Period(log_ms, self.at(log_ms), speed)][-PERIODS_MAX:]


REAL_TIME: Final = CityTime()
"""City time while the speed has always been 1."""
