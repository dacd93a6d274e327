# SPDX-License-Identifier: Apache-2.0
"""How soon a new city looks like one that has run for an hour: shares of the fleet, in virtual time.

For each load: the shares of taxis that are vacant, on their way to a pickup, at a pickup and on a trip, some
seconds after the drivers came online, and their means over the second hour. The dispatcher's core decides,
riders and drivers behave as in the live city.
"""

import argparse
import json
from collections import Counter
from typing import Any, Final

from simulator.streets import Streets
from taxi import messages as m
from taxi.roads.network import RoadNetwork, TripDemand
from taxistream.tools.evaluate.city import VirtualCity
from taxistream.tools.evaluate.scenario import CITY, Scenario
from testing.fleet_phases import PHASES, phases

EARLY_S: Final = (15, 30, 60, 120, 300)
SETTLED_S: Final = 3_600


def run(streets: Streets, load: float, drivers: int, seed: int, hours: float) -> dict[str, Any]:
    """One city. Shares in per cent of the drivers on shift."""
    scenario = Scenario(load=load, drivers=drivers, hours=hours, cruise=True, full_behavior=True)
    city = VirtualCity(streets, scenario, "batched", seed, is_live=True)
    early: dict[int, Counter[str]] = {}
    settled: Counter[str] = Counter()
    first_s: int | None = None
    for second, step in enumerate(city.steps()):
        if first_s is None and step and any(isinstance(event, m.TripCompleted) for event in step.events):
            first_s = second
        if second in EARLY_S:
            early[second] = phases(city)
        if second >= SETTLED_S and second % 10 == 0:
            settled += phases(city)
        if second >= hours * 3600:
            break
    shares = {f"{second} s": _shares(count) for second, count in early.items()}
    return {
        "load": load,
        "drivers": drivers,
        "seed": seed,
        "first_completed_s": first_s,
        **shares,
        **({"second hour": _shares(settled)} if settled else {}),
    }


def _shares(count: Counter[str]) -> dict[str, float]:
    return {phase: round(100 * count[phase] / count.total(), 1) for phase in PHASES}


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=float, nargs="+", default=[0.5, 0.8, 0.95])
    parser.add_argument("--drivers", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--hours", type=float, default=2.0, help="virtual; at most 1: no second hour")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    streets = Streets(RoadNetwork.load(CITY).prepare(), TripDemand.load(CITY))
    for load in asked.loads:
        row = run(streets, load, asked.drivers, asked.seed, asked.hours)
        if asked.json:
            print(json.dumps(row), flush=True)
            continue
        print(
            f"load {load}, {asked.drivers} drivers: first ride completed after {row['first_completed_s']} s"
        )
        for name, shares in row.items():
            if isinstance(shares, dict):
                print(
                    f"  {name:>12}  "
                    + "  ".join(f"{phase} {share:5.1f} %" for phase, share in shares.items())
                )


if __name__ == "__main__":
    main()
