# SPDX-License-Identifier: Apache-2.0
"""How drivers answer, and when they take a break: hashes of (seed, driver, …), never a sequence."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.draws import Floats, between, draw, draws, key
from simulator.fleet import Rows
from simulator.settings import CityBehavior

BREAK: Final = 1
"""The part of an hour in which one rests."""


class OfferAnswer(NamedTuple):
    """What a driver says to an offer, and how long after it."""

    accept: bool
    after_ms: int


class Drivers:
    """The behaviour of the drivers of a city under one seed."""

    def __init__(self, behavior: CityBehavior, seed: int, n: int) -> None:
        self._behavior = behavior
        self._seed = seed
        self._rows = np.arange(n)
        self._hour_ms = int(behavior.hour_s * 1000)
        self._keys = [key(seed, "break", part) for part in ("taken", "start", "length")]
        self._hour, self._breaks = -1, self._breaks_in(-1)

    def answer(self, ride: str, attempt: int) -> OfferAnswer | None:
        """The answer of the driver that is offered this ride; None: silence."""
        mind = draw(self._seed, "answer", ride, attempt)
        behavior = self._behavior
        if mind >= behavior.accept_share + behavior.decline_share:
            return None
        after_s = between(*behavior.answer_s, self._seed, "answer after", ride, attempt)
        return OfferAnswer(mind < behavior.accept_share, int(after_s * 1000))

    def refuses(self, ride: str, attempt: int) -> int | None:
        """How many milliseconds after an order its driver refuses it; None if the driver follows it."""
        if draw(self._seed, "refuse", ride, attempt) >= self._behavior.refuse_share:
            return None
        return int(between(*self._behavior.refuse_s, self._seed, "refuse after", ride, attempt) * 1000)

    def shift_part(self, rows: Rows, now_ms: int) -> npt.NDArray[np.int8]:
        """0 before this hour's break (or in an hour without one), BREAK in it, 2 after it.

        No driver has more than one break an hour, and it ends within the hour.
        """
        hour, into_ms = divmod(now_ms, self._hour_ms)
        if hour != self._hour:
            self._hour, self._breaks = hour, self._breaks_in(hour)
        begins_ms, ends_ms = self._breaks
        return (into_ms >= begins_ms[rows]).astype(np.int8) + (into_ms >= ends_ms[rows])

    def _breaks_in(self, hour: int) -> tuple[Floats, Floats]:
        """When everybody's break in this hour begins and ends, in milliseconds of the hour."""
        takes, start, length = (draws(k, self._rows, hour) for k in self._keys)
        low, high = self._behavior.break_s
        long_ms = np.minimum((low + (high - low) * length) * 1000, self._hour_ms)
        begins_ms = np.where(takes < self._behavior.break_share, start * (self._hour_ms - long_ms), np.inf)
        ends_ms = begins_ms + long_ms
        return begins_ms, ends_ms

    def shift_name(self, part: int, now_ms: int, changed_ms: int = 0) -> str:
        """Names a part of this hour: no driver changes shift twice within one.

        `changed_ms`: when a scenario last began or ended, which may change shifts at any time; 0: never.
        """
        name = f"{now_ms // self._hour_ms}{'abc'[part]}"
        return f"{name}{changed_ms}" if changed_ms else name
