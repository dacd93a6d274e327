# SPDX-License-Identifier: Apache-2.0
"""Updates of the real view over random logs, as clients get them, and ways to corrupt them."""

import random
import struct
from collections.abc import Iterator
from dataclasses import replace

from gateway.updates.city_view import CityView
from taxi.cursor import Cursor
from taxistream.tools.loadtest.decoding import HEADER
from taxistream.tools.loadtest.judge import ReceivedUpdate
from taxistream.tools.oracle.city import OracleCity
from taxistream.tools.oracle.grid import Area, OracleGrid
from testing.gateway_log import EPOCH, GRID, SPAN, Log, Oracle, advance, booted, written

BOXES = [
    None,
    (-73.98, 40.75, -73.97, 40.76),
    (-73.975, 40.755, -73.965, 40.765),
    (-73.97, 40.76, -73.96, 40.77),
]


def city_of(log: Log) -> OracleCity:
    """The oracle, having read everything."""
    city = OracleCity(0, expiry_ms=SPAN.expiry_ms)
    city.grid = OracleGrid.from_ready(GRID.to_json())
    half = len(log.locations) // 2
    city.feed_positions(log.locations[:half], half)
    city.feed_positions(log.locations[half:], len(log.locations))
    city.feed_events(log.events, log.events[-1].offset + 1)
    return city


def sight(
    city_view: CityView, since: Cursor | None, old: int, new: int, *, step: bool = False
) -> ReceivedUpdate:
    """One message of the city view. `old` and `new` are indices of BOXES."""
    assert city_view.cursor is not None
    grid = OracleGrid.from_ready(GRID.to_json())
    before, area = city_view.area(BOXES[old]), city_view.area(BOXES[new])
    generation = 1 if old != new else 0
    message = city_view.step(area) if step else city_view.diff(since, before, area, generation=generation)
    at = None if since is None else (since.loc, since.ev)
    to = city_view.cursor.loc, city_view.cursor.ev
    return ReceivedUpdate(message, at, to, grid.area(BOXES[old]), grid.area(BOXES[new]), EPOCH)


def observations(seed: int, steps: int) -> Iterator[tuple[Log, ReceivedUpdate]]:
    """Steps, diffs, images and new views along one log."""
    log, draw = written(seed, steps), random.Random(seed + 1)
    city_view = booted(Oracle(log), 0, log.closed[1][0])
    seen = [city_view.cursor]
    while city_view.loc < len(log.locations) or city_view.ev < log.closed[-1][0]:
        loc = min(len(log.locations), city_view.loc + draw.randint(0, 6))
        advance(city_view, log, loc, draw.choice([ev for ev, _ in log.closed if ev >= city_view.ev][:3]))
        seen.append(city_view.cursor)
        old, new = draw.randrange(len(BOXES)), draw.randrange(len(BOXES))
        yield log, sight(city_view, None, new, new)
        since = draw.choice(seen)
        if since is not None and city_view.serves(since):
            yield log, sight(city_view, since, old, new)
        if city_view.previous is not None and city_view.serves(city_view.previous):
            yield log, sight(city_view, city_view.previous, new, new, step=True)


def with_header(message: bytes, **changes: int) -> bytes:
    """The message with another header."""
    names = (
        *("version", "flags", "generation", "drivers_bytes", "rides_bytes", "feed_bytes"),
        *("loc_before", "ev_before", "loc", "ev", "at_ms", "epoch_check"),
        *("lane_a", "lane_b", "drivers_held", "rides_held", "zero"),
    )
    values = dict(zip(names, HEADER.unpack_from(message), strict=True)) | changes
    return HEADER.pack(*values.values()) + message[HEADER.size :]


def with_sections(message: bytes, drivers: bytes, rides: bytes, feed: bytes) -> bytes:
    """The message with other contents."""
    sizes = {"drivers_bytes": len(drivers), "rides_bytes": len(rides), "feed_bytes": len(feed)}
    return with_header(message, **sizes)[: HEADER.size] + drivers + rides + feed


def sections(message: bytes) -> tuple[bytes, bytes, bytes]:
    """Its contents."""
    sizes = struct.unpack_from("<3I", message, 4)
    a, b = HEADER.size + sizes[0], HEADER.size + sizes[0] + sizes[1]
    return message[HEADER.size : a], message[a:b], message[b:]


def spoiled(sight: ReceivedUpdate, message: bytes) -> ReceivedUpdate:
    """The sight with another message."""
    return replace(sight, message=message)


__all__ = ["Area", "city_of", "observations", "sections", "sight", "spoiled", "with_header", "with_sections"]
