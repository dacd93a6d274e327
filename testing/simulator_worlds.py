# SPDX-License-Identifier: Apache-2.0
"""Small worlds to test."""

from simulator.drivers import Drivers
from simulator.fleet import Fleet
from simulator.riders import Riders
from simulator.settings import CityBehavior
from simulator.streets import Spots, Streets
from simulator.world import World
from taxi.state import CityState

START_MS = 1_780_000_000_000
QUICK = CityBehavior(
    answer_s=(0.5, 2.0),
    board_s=(1.0, 3.0),
    alight_s=(1.0, 2.0),
    no_show_share=0.0,
    impatient_share=0.0,
    break_share=0.0,
)
"""Everybody does the usual thing, soon."""


def world_of(
    streets: Streets,
    n: int = 12,
    *,
    seed: int = 7,
    rate_per_s: float = 0.1,
    behavior: CityBehavior = QUICK,
    state: CityState | None = None,
    spots: Spots | None = None,
    now_ms: int = START_MS,
) -> World:
    """A world at its beginning, or one that goes on from `state` and `spots`."""
    fleet = Fleet(streets, behavior, seed, spots or Fleet.home_spots(streets, n, seed))
    fleet.stepped_ms[:] = now_ms
    riders = Riders(streets.roads, streets.demand, behavior, seed=seed, rate_per_s=rate_per_s)
    known = CityState.from_bytes(state.to_bytes()) if state else CityState()
    world = World(known, streets.roads, fleet, Drivers(behavior, seed, len(fleet)), riders, behavior)
    world.settle_all(now_ms)
    return world
