# SPDX-License-Identifier: Apache-2.0
"""Streets to drive on: a small city on squared paper, and the real one."""

import pytest

from simulator.streets import Streets
from taxi.roads.grid import grid_city
from taxi.roads.network import RoadNetwork, TripDemand


@pytest.fixture(scope="session")
def grid() -> Streets:
    roads = grid_city(6, 5)
    return Streets(roads, TripDemand.uniform(roads.n_nodes))


@pytest.fixture(scope="session")
def manhattan() -> Streets:
    return Streets(RoadNetwork.load("manhattan").prepare(), TripDemand.load("manhattan"))
