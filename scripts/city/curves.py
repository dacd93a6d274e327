# SPDX-License-Identifier: Apache-2.0
"""Shapes for the arcs: the archive has none, only true lengths.

A street that is hardly longer than the crow's way is straight. Any other gets the cubic curve that
leaves and enters along its neighbours and has the true length; a two-way street gets one curve.
"""

from collections import defaultdict

import numpy as np

from scripts.city.streets import Arc, Streets
from taxi.roads.projection import Floats

_STRAIGHT_RATIO = 1.02
_STRAIGHT_M = 5.0
_RATIO_MAX = 1.8
"""A hairpin can't be guessed: the curve stops here and the arc is longer than it looks."""
_STEPS = np.linspace(0, 1, 14)[:, None]
_SAME_STREET_BONUS = 1.0


def shapes_of(streets: Streets) -> list[Floats]:
    """For each arc its points (k, 2) in metres, both ends included."""
    fitter = _Fitter(streets)
    done: dict[tuple[int, int, float], Floats] = {}
    result = []
    for arc in streets.arcs:
        back = done.get((arc.head, arc.tail, arc.length_m))
        shape = fitter.shape(arc) if back is None else back[::-1]
        done[arc.tail, arc.head, arc.length_m] = shape
        result.append(shape)
    return result


def is_curved(shape: Floats) -> bool:
    """Whether a shape is more than the line between its ends."""
    return len(shape) > 2


class _Fitter:
    """Knows which arcs arrive and leave where."""

    def __init__(self, streets: Streets) -> None:
        self._metres = streets.metres
        self._arriving: dict[int, list[Arc]] = defaultdict(list)
        self._leaving: dict[int, list[Arc]] = defaultdict(list)
        for arc in streets.arcs:
            self._arriving[arc.head].append(arc)
            self._leaving[arc.tail].append(arc)

    def shape(self, arc: Arc) -> Floats:
        ends = self._metres[[arc.tail, arc.head]]
        crow_m = float(np.hypot(*(ends[1] - ends[0])))
        excess_m = arc.length_m - crow_m
        if excess_m <= max(_STRAIGHT_M, (_STRAIGHT_RATIO - 1) * crow_m) or crow_m <= _STRAIGHT_M:
            return ends
        leaves = self._direction_like(arc, self._arriving[arc.tail])
        enters = self._direction_like(arc, self._leaving[arc.head])
        return _curve_of_length(ends, leaves, enters, min(arc.length_m, _RATIO_MAX * crow_m))

    def _direction_like(self, arc: Arc, neighbours: list[Arc]) -> Floats:
        """The direction of the neighbour that this arc continues best, its own if it has none."""
        own = self._direction(arc)
        others = [n for n in neighbours if (n.tail, n.head) != (arc.head, arc.tail)]

        def fit(other: Arc) -> float:
            same_street = _SAME_STREET_BONUS if arc.name and arc.name == other.name else 0.0
            return float(own @ self._direction(other)) + same_street

        return self._direction(max(others, key=fit)) if others else own

    def _direction(self, arc: Arc) -> Floats:
        step: Floats = self._metres[arc.head] - self._metres[arc.tail]
        return step / (np.hypot(*step) or 1.0)


def _curve_of_length(ends: Floats, leaves: Floats, enters: Floats, length_m: float) -> Floats:
    """Bend the cubic by bisection until it is as long as the street."""
    slack, tight = 0.0, 1.6
    for _ in range(24):
        bend = (slack + tight) / 2
        if _length(_cubic(ends, leaves, enters, bend)) < length_m:
            slack = bend
        else:
            tight = bend
    return _cubic(ends, leaves, enters, slack)


def _cubic(ends: Floats, leaves: Floats, enters: Floats, bend: float) -> Floats:
    start, end = ends
    reach = np.hypot(*(end - start)) * bend
    first, second, s = start + leaves * reach, end - enters * reach, _STEPS
    curve: Floats = (
        (1 - s) ** 3 * start + 3 * (1 - s) ** 2 * s * first + 3 * (1 - s) * s**2 * second + s**3 * end
    )
    return curve


def _length(points: Floats) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum())
