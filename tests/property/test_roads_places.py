# SPDX-License-Identifier: Apache-2.0
"""The result for a car does not depend on earlier calls, or on which cars have not moved."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from taxi.roads.grid import grid_city
from taxi.roads.places import Places

GRID = grid_city(4, 4)
STREETS = np.array([GRID.place(node) for node in range(GRID.n_nodes)])
CAR = st.tuples(
    st.integers(0, GRID.n_nodes - 1), st.sampled_from([0.0, -0.0, 1e-4, 2e-4]), st.integers(-1, 360)
)
ASKED = st.lists(st.lists(CAR, max_size=80), min_size=1, max_size=5)


@settings(deadline=None)
@given(ASKED)
def test_what_was_asked_before_changes_no_answer(asked: list[list[tuple[int, float, int]]]) -> None:
    remembering = Places(GRID)
    for number, cars in enumerate(asked):
        cars = cars + asked[number - 1][: len(cars)]  # some stand where others, or they, stood
        corner = np.array([car[0] for car in cars], np.intp)
        points = STREETS[corner] + np.array([(car[1], 0.0) for car in cars]).reshape(-1, 2)
        heading = np.array([car[2] for car in cars], np.int32)
        found, expected = remembering.turning(points, heading), Places(GRID).turning(points, heading)
        assert found.node.tolist() == expected.node.tolist()
        assert found.rest_s.tolist() == expected.rest_s.tolist()
        assert found.node.dtype == found.rest_s.dtype == np.dtype(np.int32)
