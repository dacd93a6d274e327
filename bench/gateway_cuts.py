# SPDX-License-Identifier: Apache-2.0
"""Measures the cost of a cut in a gateway's city view: folding, closing, encoding, and the bytes of a row.

    python bench/gateway_cuts.py [--drivers 10000] [--cuts 200] [--json]

A real fleet on the real streets, no broker and no socket: 10 cuts a second, a tenth of the drivers in each.
Medians of CPU time; the least of them is what a quiet machine takes.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gateway.stream.frames import deflated  # noqa: E402
from gateway.updates.city_view import CityView, Span  # noqa: E402
from gateway.updates.grid import TileGrid, Tiles  # noqa: E402 - after the path
from simulator.fleet import Fleet  # noqa: E402
from simulator.records import fix_records  # noqa: E402
from simulator.settings import CityBehavior  # noqa: E402
from simulator.streets import Streets  # noqa: E402
from taxi import messages as m  # noqa: E402
from taxi.bus import Record  # noqa: E402
from taxi.messages import codec  # noqa: E402
from taxi.roads.network import RoadNetwork, TripDemand  # noqa: E402
from taxi.state import CityState  # noqa: E402

START_MS = 1_780_000_000_000
VIEWPORTS, TILES_ALONG = 50, 3
T = TypeVar("T")


class Stopwatch:
    """CPU milliseconds of what is done again and again."""

    def __init__(self) -> None:
        self.ms: dict[str, list[float]] = {}

    def time(self, what: str, work: Callable[[], T]) -> T:
        """Call `work` and record its CPU time."""
        began = time.process_time_ns()
        result = work()
        self.ms.setdefault(what, []).append((time.process_time_ns() - began) / 1e6)
        return result


def fixes(drivers: int, cuts: int) -> list[list[Record]]:
    """The records of positions for each cut."""
    streets = Streets(RoadNetwork.load("manhattan").prepare(), TripDemand.load("manhattan"))
    fleet = Fleet(streets, CityBehavior(), 7, Fleet.home_spots(streets, drivers, 7))
    for row in range(0, drivers, 2):
        fleet.send(row, (row * 977) % streets.roads.n_nodes)
    made, offset = [], 0
    for tick in range(cuts):
        rows, now_ms = np.arange(tick % 10, drivers, 10), START_MS + tick * 100
        fleet.step(rows, now_ms)
        sent = fix_records(rows, fleet.see(rows), now_ms)
        made.append([Record(offset + n, now_ms + 5, one.key, one.value) for n, one in enumerate(sent)])
        offset += len(sent)
    return made


def newborn(grid: TileGrid) -> CityView:
    """A city view at the end of a log with one batch."""
    city_view = CityView(CityState(), loc=0, ev=0, span=Span(), grid=grid)
    events = [
        m.EpochStarted(batch=1, at_ms=START_MS, epoch="5e0c0ffee0ddba11", city="manhattan"),
        m.BatchClosed(batch=1, at_ms=START_MS, count=2, commands_offset=0, locations_offset=0),
    ]
    city_view.fold_events([Record(n, START_MS, b"", codec.encode(event)) for n, event in enumerate(events)])
    city_view.went_live(0)
    return city_view


def viewports(grid: TileGrid) -> list[Tiles]:
    """Fifty windows of nine tiles."""
    draw = random.Random(7)
    corners = [
        (draw.randrange(grid.columns - TILES_ALONG), draw.randrange(grid.rows - TILES_ALONG))
        for _ in range(VIEWPORTS)
    ]
    return [Tiles(c, r, c + TILES_ALONG - 1, r + TILES_ALONG - 1) for c, r in corners]


def measure(drivers: int, cuts: int) -> dict[str, Any]:
    """Everything, as one JSON object."""
    grid = TileGrid.over(RoadNetwork.load("manhattan").city.bbox)
    city_view, areas, watch = newborn(grid), viewports(grid), Stopwatch()
    sizes: dict[str, list[int]] = {"city": [], "city_deflated": [], "viewport": []}
    for number, records in enumerate(fixes(drivers, cuts + 20)):
        if number == 20:
            watch = Stopwatch()
        watch.time("fold", lambda records=records: city_view.fold_positions(records))  # type: ignore[misc]
        watch.time("close", city_view.close)
        if number < 20:
            continue
        city = watch.time("step of the city", lambda: city_view.step(None))
        windows = watch.time("steps of fifty viewports", lambda: [city_view.step(area) for area in areas])
        watch.time("image of the city", lambda: city_view.diff(None, None, None))
        watch.time("image of a viewport", lambda: city_view.diff(None, None, areas[0]))
        watch.time("diff to another viewport", lambda: city_view.diff(city_view.previous, areas[0], areas[1]))
        sizes["city"].append(len(city))
        sizes["city_deflated"].append(len(deflated(city)))
        sizes["viewport"] += map(len, windows)
    rows = drivers / 10
    return {
        "drivers": drivers,
        "ms": {what: {"median": statistics.median(ms), "least": min(ms)} for what, ms in watch.ms.items()},
        "bytes_a_row": statistics.mean(sizes["city"]) / rows,
        "deflated_bytes_a_row": statistics.mean(sizes["city_deflated"]) / rows,
        "viewport_frame_bytes": statistics.mean(sizes["viewport"]),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--drivers", type=int, default=10_000)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.drivers, asked.cuts)
    if asked.json:
        print(json.dumps(found))
        return
    print(f"{found['drivers']:,} drivers, {asked.cuts} cuts; CPU ms a cut: median (least)")
    for what, ms in found["ms"].items():
        print(f"| {what} | {ms['median']:.2f} ({ms['least']:.2f}) ms |")
    plain, small = found["bytes_a_row"], found["deflated_bytes_a_row"]
    print(f"| a driver row on the wire | {plain:.2f} bytes, deflated {small:.2f} |")
    print(f"| a frame of nine tiles | {found['viewport_frame_bytes']:.0f} bytes |")


if __name__ == "__main__":
    main()
