# SPDX-License-Identifier: Apache-2.0
"""What it costs to read positions: record batches as a broker returns them → records → columns.

    python bench/read_positions.py [--positions 10000] [--batches 10] [--rounds 200] [--json]

No broker, no socket: the batches are made once, each with its append time. Prints the CPU time of a round in
ms, and of each of its steps; the median of all rounds.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from taxi.bus import Record  # noqa: E402 - after the path
from taxi.bus.kafka.fetched import InHand  # noqa: E402
from taxi.messages import Fix, codec  # noqa: E402
from taxi.positions.columns import read_fixes  # noqa: E402
from testing.record_batches import batch, record  # noqa: E402

NOW_MS = 1_750_000_000_000


def fetched(positions: int, batches: int) -> bytes:
    """The data of one fetch."""
    size, parts = positions // batches, []
    for number in range(batches):
        records = [_record(number * size, n) for n in range(size)]
        parts.append(batch(number * size, records))
    return b"".join(parts)


def _record(base: int, n: int) -> bytes:
    place = {"lng": -73.98 + n / 1e5, "lat": 40.75 + n / 1e5}
    driver = base + n + 1
    fix = Fix(driver=driver, at_ms=NOW_MS + n, heading=n % 360, speed=7.3, **place)
    return record(n, codec.encode(fix), key=str(driver).encode())


def cpu_ms(work: Callable[[], Any], rounds: int) -> float:
    """The median of the CPU time of a call."""
    times = []
    for _ in range(rounds):
        began = time.process_time_ns()
        work()
        times.append(time.process_time_ns() - began)
    return statistics.median(times) / 1e6


def main() -> None:
    """Measure each step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--positions", type=int, default=10_000)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    data = fetched(asked.positions, asked.batches)

    def take() -> list[Record]:
        return InHand(data, [], 0, committed=True).take(asked.positions)

    records = take()
    steps = {"records": take, "columns": lambda: read_fixes(records)}
    found = {name: round(cpu_ms(step, asked.rounds), 3) for name, step in steps.items()}
    found["together"] = round(sum(found.values()), 3)
    if asked.json:
        print(json.dumps(found))
        return
    for name, ms in found.items():
        print(f"{name:10} {ms:7.3f} ms, {1000 * ms / asked.positions:.2f} µs a position")


if __name__ == "__main__":
    main()
