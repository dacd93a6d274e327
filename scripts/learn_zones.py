# SPDX-License-Identifier: Apache-2.0
"""Measures how long drivers wait in each zone, in some simulated hours: `python -m scripts.learn_zones`.

From a drop-off to the next pickup, by the zone of the drop-off, under `batched` without destination values,
at load 0.9 with 1,000 drivers. The rides come from the half of the trips that `taxi evaluate` does not test
on, and from other seeds. Zones with few drop-offs lean on the mean. Writes scripts/city/zone_waits.json;
`python -m scripts.build_city` then puts it into the city.
"""

import json
import sys

import numpy as np

from scripts.city.zones import WAITS
from simulator.streets import Streets
from taxi import messages as m
from taxi.roads.network import RoadNetwork, TripDemand
from taxistream.tools.evaluate.city import VirtualCity, tuned
from taxistream.tools.evaluate.scenario import CITY, START_MS, Scenario

SETTING = Scenario(load=0.9, drivers=1_000, hours=2)
SEEDS = (101, 102, 103)
LEAN = 20
"""Drop-offs at the mean that each zone begins with."""


def waits(streets: Streets, seed: int) -> list[tuple[int, float]]:
    """(zone of a drop-off, seconds until that driver's next pickup)."""
    city = VirtualCity(streets, SETTING, "batched", seed, test_half=0, tuning=tuned(value_permille=0))
    roads, free, found = streets.roads, {}, []
    assert roads.zones is not None
    for step in city.steps():
        for event in step.events if step is not None else ():
            at_s = (event.at_ms - START_MS) / 1000
            if isinstance(event, m.TripCompleted) and at_s > SETTING.warm_up_s:
                node, _ = roads.nearest_node(*city.city.rides[event.ride].dropoff)
                free[event.driver] = int(roads.zones.zone[node]), at_s
            elif isinstance(event, m.DriverArrived) and event.driver in free:
                zone, since_s = free.pop(event.driver)
                found.append((zone, at_s - since_s))
    return found


def main() -> None:
    """Run the simulated hours and write the file."""
    streets = Streets(RoadNetwork.load(CITY).prepare(), TripDemand.load(CITY))
    found: list[tuple[int, float]] = []
    for seed in SEEDS:
        found += waits(streets, seed)
        print(f"seed {seed}: {len(found)} waits", file=sys.stderr)
    zone, wait_s = np.array([z for z, _ in found]), np.array([s for _, s in found])
    count = np.bincount(zone, minlength=len(streets.roads.zones or ()))
    total_s = np.bincount(zone, weights=wait_s, minlength=len(count))
    idle_s = (total_s + LEAN * wait_s.mean()) / (count + LEAN)
    parameters = {"seeds": SEEDS, "load": SETTING.load, "drivers": SETTING.drivers, "waits": len(found)}
    WAITS.write_text(json.dumps({**parameters, "idle_s": [round(s) for s in idle_s]}) + "\n")


if __name__ == "__main__":
    main()
