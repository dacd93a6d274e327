# SPDX-License-Identifier: Apache-2.0
"""Which positions of a fold were the newest of their driver at some offset: the chain of newest positions.

However coarse a fold is, each record counts: a client may stand between any two of them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_Longs = npt.NDArray[np.int64]
_Places = npt.NDArray[np.intp]


class Succession(NamedTuple):
    """Indices into the fold: ascending by slot, in each slot by offset."""

    chain: _Places
    """Every position that superseded the newest one before it."""
    is_last: npt.NDArray[np.bool_]
    """Of its slot."""
    follows: npt.NDArray[np.bool_]
    """Whether the one before it in the chain is of the same slot."""


def succession(slot: _Places, at_ms: _Longs) -> Succession:
    """Positions in offset order, each newer than what its slot held before the fold."""
    order = np.argsort(slot, kind="stable")
    slots, times = slot[order], at_ms[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = slots[1:] != slots[:-1]
    if begins.all():  # as in nearly every cut: each driver once
        return Succession(order, begins, ~begins)
    # A running maximum that starts over with each slot: every slot's keys lie above those of the one before.
    lowest = int(times.min()) if len(times) else 0
    width = int(times.max()) - lowest + 1 if len(times) else 1
    keys = times - lowest + (np.cumsum(begins) - 1) * width
    highest = np.maximum.accumulate(keys)
    supersedes = begins.copy()
    supersedes[1:] |= keys[1:] >= highest[:-1]
    chain, of = order[supersedes], slots[supersedes]
    same = of[1:] == of[:-1]
    is_last, follows = np.ones(len(chain), np.bool_), np.zeros(len(chain), np.bool_)
    is_last[:-1], follows[1:] = ~same, same
    return Succession(chain, is_last, follows)
