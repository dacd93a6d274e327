# SPDX-License-Identifier: Apache-2.0
"""Kill -9 of the parts of a real demo again and again, under load: what the log and the clients say of it.

    python bench/demo_kills.py --parts simulator --kills 20
    python bench/demo_kills.py --cities manhattan,helsinki --dispatchers 2 --gateways 3 --kills 10 [--json]

Real Kafka and real processes, as `taxi demo` runs them. Each part whose name begins with one of `--parts` is
killed `--kills` times, one part every `--pause` seconds, while a load test watches each city. Printed are:

- what `taxi audit` found, and the exit code of each load test;
- how long each city was without a batch after the kill of a dispatcher, which decided one of them;
- how far any driver moved between two positions, as a share of what the fastest street allows at any hour;
- how many rides ended.

Exit code 1 if a rule is broken or a driver jumped.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from simulator.streets import Streets  # noqa: E402 - after the path
from taxi import topics  # noqa: E402
from taxi.bus.ranges import read_range  # noqa: E402
from taxi.messages import BatchClosed, Fix  # noqa: E402
from taxi.messages.codec import decode  # noqa: E402
from taxi.roads.network import RoadNetwork, TripDemand  # noqa: E402
from taxistream.cli.connect import connected  # noqa: E402
from taxistream.local.ports import first_free  # noqa: E402
from testing.live_demo import TAXI, LiveDemo, live_demo, until  # noqa: E402

SETTLE_S = 15.0
SOON_MS = 1_500
"""A pause of a city's decisions that begins so soon after a kill is taken for its consequence."""
SLACK_M = 25.0
"""Places beside the centre line, and a car that is found on the other side of its street."""


@dataclass
class Kill:
    """One kill of a part."""

    part: str
    at_ms: int


@dataclass
class CityLog:
    """What the log says of one city."""

    batches_ms: list[int] = field(default_factory=list)
    """Append times of the batches' ends."""
    worst: float = 0.0
    """The greatest move of a driver, as a share of what is possible."""
    positions: int = 0


def main() -> int:
    """Kill, read the log, print. Returns the exit code."""
    options = _options()
    cities = [name for name in options.cities.split(",") if name] or ["manhattan"]
    more = ["--cities", options.cities] if options.cities else []
    more += ["--dispatchers", str(options.dispatchers), "--gateways", str(options.gateways)]
    if options.drivers:
        more += ["--drivers", str(options.drivers)]
    with (
        tempfile.TemporaryDirectory(prefix="taxi-kills-") as scratch,
        live_demo(Path(scratch) / "data", first_free(28600), *more) as demo,
    ):
        time.sleep(SETTLE_S)
        names = [
            name for name in demo.parts() if any(name.startswith(part) for part in options.parts.split(","))
        ]
        seconds = options.pause * options.kills * len(names)
        tests = [_load_test(demo, city, options.clients, seconds) for city in cities]
        kills = [_kill(demo, name, options.pause) for _ in range(options.kills) for name in names]
        codes = {city: _ended(test) for city, test in zip(cities, tests, strict=True)}
        until(demo.all_ready, 60, "every part ready again")
        time.sleep(options.after)
        audit = subprocess.run(
            [TAXI, "audit", "--json", "--data-dir", str(demo.data_dir)],
            capture_output=True,
            text=True,
            check=False,
        )
        logs = asyncio.run(_read(demo, cities))
    found = _report(options, kills, logs, json.loads(audit.stdout), codes)
    print(json.dumps(found) if options.json else json.dumps(found, indent=1))
    return int(bool(found["violations_total"]) or found["greatest_move"] > 1 or any(codes.values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parts", default="dispatcher,gateway,simulator", help="beginnings of names")
    parser.add_argument("--kills", type=int, default=10, help="of each part")
    parser.add_argument("--pause", type=float, default=3.5, help="seconds from one kill to the next")
    parser.add_argument("--after", type=float, default=15, help="seconds without a kill before the audit")
    parser.add_argument("--cities", default="")
    parser.add_argument("--dispatchers", type=int, default=1)
    parser.add_argument("--gateways", type=int, default=2)
    parser.add_argument("--drivers", type=int, default=None)
    parser.add_argument("--clients", type=int, default=20, help="of each load test")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _load_test(demo: LiveDemo, city: str, clients: int, seconds: float) -> "subprocess.Popen[bytes]":
    command = [TAXI, "loadtest", "--city", city, "--clients", str(clients), "--seconds", str(round(seconds))]
    report = demo.data_dir.parent / f"loadtest-{city}.json"
    with report.open("wb") as out:
        return subprocess.Popen(
            [*command, "--json", "--data-dir", str(demo.data_dir)], stdout=out, stderr=subprocess.DEVNULL
        )


def _ended(test: "subprocess.Popen[bytes]") -> int:
    return test.wait(120)


def _kill(demo: LiveDemo, name: str, pause_s: float) -> Kill:
    """Kill a part that runs, and wait for the pause."""
    began_s = time.monotonic()
    until(lambda: demo.parts()[name]["state"] == "ready", 60, f"{name} ready")
    at_ms = time.time_ns() // 1_000_000
    demo.taxi("kill", name)
    time.sleep(max(pause_s - (time.monotonic() - began_s), 0.0))
    return Kill(name, at_ms)


async def _read(demo: LiveDemo, cities: list[str]) -> dict[str, CityLog]:
    logs = {}
    async with connected(demo.data_dir) as (settings, bus):
        for city in settings.served():
            if city.name not in cities:
                continue
            log = logs[city.name] = CityLog()
            roads = RoadNetwork.load(city.folder)
            bounds = await bus.offsets(topics.EVENTS, city.partition)
            async with read_range(bus, topics.EVENTS, city.partition, bounds.start, bounds.stable) as chunks:
                async for records in chunks:
                    for record in records:
                        event = decode(topics.EVENTS, record)
                        if isinstance(event, BatchClosed):
                            log.batches_ms.append(record.timestamp_ms)
            moves = Moves(roads)
            bounds = await bus.offsets(topics.LOCATIONS, city.partition)
            where = topics.LOCATIONS, city.partition, bounds.start, bounds.stable
            async with read_range(bus, *where) as chunks:
                async for records in chunks:
                    for record in records:
                        moves.take(decode(topics.LOCATIONS, record))
            log.worst, log.positions = moves.worst, moves.count
    return logs


class Moves:
    """How far drivers move between two positions, as a share of what the fastest street allows."""

    def __init__(self, roads: RoadNetwork) -> None:
        streets = Streets(roads, TripDemand.uniform(2))
        percent = min(roads.city.drive_percent, default=100)
        mean_mps = roads.arc_length_m / streets.time_s
        self.fastest_mps = float((mean_mps * (1 + streets.swing)).max()) * 100 / percent
        """On the fastest street, between two junctions, at the hour with the least traffic."""
        self._plane = roads.plane
        self._last: dict[int, Fix] = {}
        self.worst = 0.0
        self.count = 0

    def take(self, fix: Fix) -> None:
        """The next position on the log."""
        before = self._last.get(fix.driver)
        self._last[fix.driver] = fix
        self.count += 1
        if before is None or fix.at_ms <= before.at_ms:
            return
        here, there = self._plane.metres([(before.lng, before.lat), (fix.lng, fix.lat)])
        possible_m = self.fastest_mps * (fix.at_ms - before.at_ms) / 1000 + SLACK_M
        self.worst = max(self.worst, float(np.hypot(*(there - here))) / possible_m)


def _report(
    options: argparse.Namespace,
    kills: list[Kill],
    logs: dict[str, CityLog],
    audit: dict[str, Any],
    codes: dict[str, int],
) -> dict[str, Any]:
    counts: dict[str, int] = defaultdict(int)
    for kill in kills:
        counts[kill.part] += 1
    return {
        "cities": options.cities or "manhattan",
        "kills": dict(counts),
        "kills_total": len(kills),
        "rides": audit["rides"],
        "completed": audit["completed"],
        "open_rides": audit["open_rides"],
        "violations_total": audit["violations_total"],
        "loadtest_exit_codes": codes,
        "greatest_move": round(max(log.worst for log in logs.values()), 3),
        "positions": sum(log.positions for log in logs.values()),
        "longest_pause_s": {city: _longest_pause_s(log) for city, log in logs.items()},
        "after_a_dispatchers_kill_s": [
            {city: _pause_after_s(log, kill.at_ms) for city, log in logs.items()}
            for kill in kills
            if kill.part.startswith("dispatcher")
        ],
    }


def _longest_pause_s(log: CityLog) -> float:
    return max((after - before for before, after in pairwise(log.batches_ms)), default=0) / 1000


def _pause_after_s(log: CityLog, at_ms: int) -> float:
    """The longest time without a batch of which a part lies soon after a kill."""
    pauses = [
        after - before
        for before, after in pairwise(log.batches_ms)
        if before <= at_ms + SOON_MS and after >= at_ms
    ]
    return max(pauses, default=0) / 1000


if __name__ == "__main__":
    sys.exit(main())
