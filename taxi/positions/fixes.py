# SPDX-License-Identifier: Apache-2.0
"""Which position of a driver counts: a function of the log alone, wherever reading starts.

A position counts only if its device time lies within [append − 5 s, append + 1 s], decided for each record
alone; the newest is the greatest (device time, offset). Late, repeated and shuffled positions change nothing.
Two folds keep the newest: the dispatcher's (`taxi/positions/newest.py`), and the gateway's, which keeps rows
(`gateway/updates/drivers.py`).
"""

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]

OLD_MS_MAX = 5_000
AHEAD_MS_MAX = 1_000
EXPIRY_MS = 60_000
"""A driver without a position for this long (log time) has no row."""
LOST_MS = 15_000
"""A driver without a position for this long (log time) is lost."""


def is_timely(at_ms: Longs, append_ms: Longs) -> npt.NDArray[np.bool_]:
    """Whether a position of device time `at_ms`, appended at `append_ms`, may be shown at all; of each."""
    return (at_ms >= append_ms - OLD_MS_MAX) & (at_ms <= append_ms + AHEAD_MS_MAX)
