# SPDX-License-Identifier: Apache-2.0
"""Which fix of a driver counts: a function of the log alone, whoever starts reading where.

A fix counts only if its device time lies within [append − 5 s, append + 1 s], decided for each record
alone; the newest is the greatest (device time, offset). Late, repeated and shuffled fixes change nothing.
"""

OLD_MS_MAX = 5_000
AHEAD_MS_MAX = 1_000
EXPIRY_MS = 60_000
"""A driver without a fix for this long (log time) has no row."""
LOST_MS = 15_000
"""A driver without a fix for this long (log time) is lost."""


def counts(at_ms: int, append_ms: int) -> bool:
    """Whether a fix of device time `at_ms`, appended at `append_ms`, may be shown at all."""
    return append_ms - OLD_MS_MAX <= at_ms <= append_ms + AHEAD_MS_MAX


def is_newer(at_ms: int, offset: int, than_at_ms: int, than_offset: int) -> bool:
    """Whether (device time, offset) is greater: the order in which fixes supersede each other."""
    return (at_ms, offset) > (than_at_ms, than_offset)
