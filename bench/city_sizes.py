# SPDX-License-Identifier: Apache-2.0
"""Measures what a city of each size costs: CPU, memory and the rate of positions of every part.

    python bench/city_sizes.py [--drivers 2000 5000 10000] [--cities 1 2 4] [--seconds 30] [--json]

Real Kafka, simulator, dispatcher and one gateway without clients, as `taxi demo` runs them, at 1 Hz a driver.
`--cities`: so many cities of 5,000 drivers each over two dispatchers. `step`: CPU of moving and encoding a
second of the fleet alone, without the bus; its inverse is how many seconds of a city one core can simulate in
a second.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from taxistream.local.ports import first_free  # noqa: E402 - after the path
from testing.live_demo import LiveDemo, live_demo  # noqa: E402

SETTLE_S = 40.0
"""The opening of the city is over, and the rate of the last 10 s is one of steady work."""
STEP_SECONDS = 30
CITY_DRIVERS = 5_000
RATE = "simulator_positions_per_driver"


def used_s(demo: LiveDemo) -> dict[str, float]:
    """CPU seconds of each part so far."""
    return {name: sum(psutil.Process(part["pid"]).cpu_times()[:2]) for name, part in demo.parts().items()}


def memory_mb(demo: LiveDemo) -> dict[str, float]:
    """Memory of each part that no other process shares, MB."""
    return {
        name: psutil.Process(part["pid"]).memory_full_info().uss / 1e6 for name, part in demo.parts().items()
    }


def rates_hz(demo: LiveDemo) -> dict[str, float]:
    """Positions a second of each driver, for each simulator."""
    found = {}
    for name, part in demo.parts().items():
        if name.startswith("simulator"):
            with urllib.request.urlopen(
                f"http://127.0.0.1:{part['admin_port']}/metrics", timeout=30
            ) as answer:
                lines = answer.read().decode().splitlines()
            found[name] = next((float(line.split()[-1]) for line in lines if line.startswith(RATE)), 0.0)
    return found


def measure(options: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """One demo: cores, memory and rates of its parts."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        live_demo(Path(scratch) / "data", first_free(28300), "--gateways", "1", *options) as demo,
    ):
        time.sleep(SETTLE_S)
        before, began = used_s(demo), time.monotonic()
        time.sleep(seconds)
        after, passed_s = used_s(demo), time.monotonic() - began
        return {
            "cores": {name: (after[name] - before[name]) / passed_s for name in before if name in after},
            "memory_mb": memory_mb(demo),
            "rates_hz": rates_hz(demo),
        }


def step_cores(drivers: int) -> float:
    """The share of a core that moving and encoding a second of this fleet takes."""
    command = [sys.executable, str(ROOT / "bench" / "simulator_step.py"), str(drivers), str(STEP_SECONDS)]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return sum(float(words[at + 1]) for at, word in enumerate(words) if word in {"move", "encode"})


def summed(values: dict[str, float], kind: str) -> float:
    """Of all parts of a kind."""
    return sum(value for name, value in values.items() if name.startswith(kind))


def row(name: str, found: dict[str, Any]) -> str:
    """A line of the table."""
    kinds = ("simulator", "dispatcher", "gateway", "kafka")
    cores = (f"{summed(found['cores'], kind):.3f}" for kind in kinds)
    memory = (f"{summed(found['memory_mb'], kind):.0f}" for kind in kinds[:3])
    step = f"{found['step']:.3f}" if "step" in found else "–"
    return f"| {name} | {min(found['rates_hz'].values()):.2f} | {' | '.join((*cores, *memory))} | {step} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--drivers", type=int, nargs="*", default=[2_000, 5_000, 10_000, 20_000])
    parser.add_argument("--cities", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    if not asked.json:
        print(f"{os.cpu_count()} cores, {platform.system()}; 1 Hz a driver, no clients")
        print("| city | Hz reached | cores: simulator | dispatcher | gateway | kafka", end=" ")
        print("| MB: simulator | dispatcher | gateway | step, cores |")
        print("|---|---|---|---|---|---|---|---|---|---|")
    for drivers in asked.drivers:
        name = f"{drivers:,} drivers"
        found[name] = measure(("--drivers", str(drivers)), asked.seconds)
        found[name]["step"] = step_cores(drivers)
        if not asked.json:
            print(row(name, found[name]), flush=True)
    for cities in asked.cities:
        names = ",".join(["manhattan", *(f"manhattan{number}=manhattan" for number in range(2, cities + 1))])
        options = ("--cities", names, "--dispatchers", "2", "--drivers", str(CITY_DRIVERS))
        name = f"{cities} x {CITY_DRIVERS:,}, 2 dispatchers"
        found[name] = measure(options, asked.seconds)
        if not asked.json:
            print(row(name, found[name]), flush=True)
    if asked.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
