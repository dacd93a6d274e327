# SPDX-License-Identifier: Apache-2.0
"""Latency from a position's append to its arrival, for every position and client, in milliseconds."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_MS_MAX: Final = 120_000


class Latency:
    """A histogram with buckets of one millisecond, up to two minutes."""

    def __init__(self) -> None:
        self._counts = np.zeros(_MS_MAX + 1, np.int64)

    def add(self, arrivals_ms: Sequence[int], appends_ms: npt.NDArray[np.int64]) -> None:
        """Count that each of these positions arrived at each of these times.

        The histogram of all differences is the convolution of two histograms, which is fast for many clients.

        Args:
            arrivals_ms: When the update with these positions arrived, one entry for each client.
            appends_ms: (n,) append times of the positions.
        """
        if not len(arrivals_ms) or not len(appends_ms):
            return
        arrivals = np.asarray(arrivals_ms, np.int64)
        first, last = int(arrivals.min()), int(appends_ms.max())
        both = np.convolve(np.bincount(arrivals - first), np.bincount(last - appends_ms))
        waits = np.clip(np.arange(len(both)) + (first - last), 0, _MS_MAX)
        np.add.at(self._counts, waits, both.astype(np.int64))

    @property
    def count(self) -> int:
        """How many latencies were counted."""
        return int(self._counts.sum())

    def quantiles(self) -> dict[str, float]:
        """p50, p99 and max in milliseconds; zeros if nothing was counted."""
        total = self.count
        if not total:
            return {"p50": 0, "p99": 0, "max": 0}
        upto = np.cumsum(self._counts)
        at = [int(np.searchsorted(upto, total * share)) for share in (0.5, 0.99)]
        return {"p50": at[0], "p99": at[1], "max": int(np.flatnonzero(self._counts)[-1])}


def quantiles(values: Sequence[float]) -> dict[str, Any]:
    """p50, p99 and max of some values; empty if there are none."""
    if not values:
        return {}
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1), "max": round(max(values), 1)}


def crowd(times_s: Sequence[float], within_s: float) -> int:
    """The greatest number of these times within any interval of this length."""
    ordered = sorted(times_s)
    return max((bisect_right(ordered, at_s + within_s) - n for n, at_s in enumerate(ordered)), default=0)
