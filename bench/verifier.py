# SPDX-License-Identifier: Apache-2.0
"""Measures the verifier: its CPU and memory beside a real demo, and how soon it finds a planted error.

    python bench/verifier.py [--drivers 2000] [--gateways 3] [--seconds 30] [--plants 5] [--json]

The error is planted into all gateways at once: each taxi is two metres off, and the hash is computed over
that, so no page can see it. Measured: from then until a client hears of it.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from taxi.client import CityStream, connect  # noqa: E402 - after the path
from taxistream.local.ports import first_free  # noqa: E402
from testing.live_demo import LiveDemo, live_demo  # noqa: E402
from testing.wrong_gateways import PlantedError  # noqa: E402

SETTLE_S: Final = 40.0
CHECKS_MIN: Final = 3


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--drivers", type=int, default=2_000)
    parser.add_argument("--gateways", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--plants", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        error = PlantedError(Path(folder))
        chosen = ("--drivers", str(options.drivers), "--gateways", str(options.gateways))
        with live_demo(Path(folder) / "city", first_free(8300), *chosen, **error.environ) as demo:
            time.sleep(SETTLE_S)
            cpu, rss_mb = cost(demo, options.seconds)
            found_s = asyncio.run(detections(demo.url, error, options.plants))
    result = {
        "drivers": options.drivers,
        "gateways": options.gateways,
        "cpu_core": round(cpu, 3),
        "rss_mb": round(rss_mb),
        "found_s": [round(each, 2) for each in found_s],
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(
        json.dumps(result) if options.json else "\n".join(f"{name}: {each}" for name, each in result.items())
    )
    return 0


def cost(demo: LiveDemo, seconds: float) -> tuple[float, float]:
    """The verifier's CPU time a second, and its memory in MB."""
    process = psutil.Process(demo.parts()["verifier"]["pid"])
    before = sum(process.cpu_times()[:2])
    time.sleep(seconds)
    return (sum(process.cpu_times()[:2]) - before) / seconds, process.memory_info().rss / 1e6


async def detections(url: str, error: PlantedError, plants: int) -> list[float]:
    """For each plant, how long it took until a client heard of it."""
    found_s = []
    async with connect(f"{url.replace('http', 'ws')}/ws") as stream:
        for _ in range(plants):
            await heard(stream, lambda rules: len(rules) > 0 and not any(rules))
            error.plant()
            began_s = time.monotonic()
            await heard(stream, any)
            found_s.append(time.monotonic() - began_s)
            error.take_out()
    return found_s


async def heard(stream: CityStream, wanted: Callable[[list[str]], bool]) -> None:
    """Until the rules that gateways break are as wanted."""
    async for _ in stream:
        gateways = [one for each in stream.verdicts.values() for one in each]
        if wanted([one.rule for one in gateways]) and all(one.checked >= CHECKS_MIN for one in gateways):
            return


if __name__ == "__main__":
    sys.exit(main())
