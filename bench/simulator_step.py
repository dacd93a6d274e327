# SPDX-License-Identifier: Apache-2.0
"""CPU of moving and encoding a fleet at 1 Hz: `python bench/simulator_step.py [drivers] [seconds]`."""

import sys
import time

import numpy as np

from simulator.fleet import Fleet
from simulator.records import fix_records
from simulator.settings import CityBehavior
from simulator.streets import Streets
from taxi.roads.network import RoadNetwork, TripDemand

START_MS = 1_780_000_000_000


def main(drivers: int = 10_000, seconds: int = 60) -> None:
    """Print the share of a core that one second of the city takes."""
    streets = Streets(RoadNetwork.load("manhattan").prepare(), TripDemand.load("manhattan"))
    fleet = Fleet(streets, CityBehavior(), 7, Fleet.home_spots(streets, drivers, 7))
    for row in range(0, drivers, 2):
        fleet.send(row, (row * 977) % streets.roads.n_nodes)
    moving, encoding = 0.0, 0.0
    for tick in range(seconds * 10):
        rows, now_ms = np.arange(tick % 10, drivers, 10), START_MS + tick * 100
        began = time.process_time()
        fleet.step(rows, now_ms)
        moved = time.process_time()
        fix_records(rows, fleet.see(rows), now_ms)
        moving, encoding = moving + moved - began, encoding + time.process_time() - moved
    move, encode = moving / seconds, encoding / seconds
    print(f"{drivers} drivers: move {move:.4f} core, encode {encode:.4f} core")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
