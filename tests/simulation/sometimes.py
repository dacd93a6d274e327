# SPDX-License-Identifier: Apache-2.0
"""What must have happened at least once in a batch of seeds: states that never arise are not tested."""

from collections import Counter

SOMETIMES: tuple[str, ...] = ()


def never_seen(tally: Counter[str]) -> list[str]:
    return [name for name in SOMETIMES if not tally[name]]
