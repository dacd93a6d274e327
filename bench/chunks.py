# SPDX-License-Identifier: Apache-2.0
"""What a record costs in chunks of different sizes, and how long one chunk keeps a process busy.

The reason for `taxi.bus.RECORDS_AT_ONCE`. Positions are folded as the dispatcher does at its recovery, events
as every follower does.
"""

import gc
import json
import time
from collections.abc import Callable
from typing import Any

from bench.dispatcher_recovery import batch_events, fix
from taxi import messages as m
from taxi.bus import Record, Writer
from taxi.messages import codec
from taxi.positions.columns import read_fixes
from taxi.positions.newest import NewestFixes
from taxi.state import CityState
from taxi.state.batches import WholeBatches

SIZES = (500, 1_000, 2_000, 5_000, 10_000, 20_000)
DRIVERS, POSITIONS, EVENTS = 10_000, 100_000, 40_000
Fold = Callable[[list[Record]], None]


def main() -> None:
    """Print one JSON object a size."""
    positions, events = _positions(), _events()
    gc.disable()
    for size in SIZES:
        print(
            json.dumps(
                {
                    "chunk": size,
                    "positions": measured(positions, size, fold_positions()),
                    "events": measured(events, size, fold_events()),
                }
            )
        )
        gc.collect()


def measured(records: list[Record], size: int, fold: Fold) -> dict[str, float]:
    """CPU time of a record, and of the chunk that takes longest."""
    spent_s = []
    for first in range(0, len(records), size):
        began_s = time.process_time()
        fold(records[first : first + size])
        spent_s.append(time.process_time() - began_s)
    return {
        "us_each": round(sum(spent_s) / len(records) * 1e6, 2),
        "longest_ms": round(max(spent_s) * 1e3, 1),
    }


def fold_positions() -> Fold:
    """As `dispatcher.recovery` does."""
    newest = NewestFixes()
    return lambda records: newest.fold(read_fixes(records).fixes)


def fold_events() -> Fold:
    """As every follower of the events does."""
    city, batches = CityState(), WholeBatches()

    def fold(records: list[Record]) -> None:
        for batch in batches.feed(records):
            for at in batch.events:
                city.apply(at.event)

    return fold


def _positions() -> list[Record]:
    now_ms = time.time_ns() // 1_000_000
    return [Record(n, now_ms, None, fix(n % DRIVERS + 1)) for n in range(POSITIONS)]


def _events() -> list[Record]:
    at: dict[str, Any] = {"batch": 1, "at_ms": 0}
    events: list[m.Event] = [
        m.EpochStarted(**at, epoch="0123456789abcdef", city="manhattan"),
        m.BatchClosed(**at, count=2, commands_offset=0, locations_offset=0),
    ]
    number = 1
    while len(events) < EVENTS:
        number += 1
        events += batch_events(number, number * 2_000, 0)
    writer = Writer(1, 0)
    return [Record(n, 0, None, codec.encode(event), (), writer) for n, event in enumerate(events)]


if __name__ == "__main__":
    main()
