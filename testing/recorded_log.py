# SPDX-License-Identifier: Apache-2.0
"""A log of the real simulator and dispatcher in virtual time, with all cursors that clients can have."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gateway.updates.city_view import CityView, Span
from gateway.updates.grid import TileGrid
from taxi import topics
from taxi.bus.memory.log import Fate, LogEntry, Partition
from taxi.client.decode import decode_update
from taxi.client.replica import Replica
from taxi.cursor import Cursor
from testing.gateway_log import Box, Log, Oracle, advance, booted
from testing.simulation.nemesis import Nemesis
from testing.simulation.run import scaled
from testing.simulation.scale import CITY, EXPIRY_MS, city
from testing.simulation.world import World

SEED = 7
RECORDED_S = 48.0
SILENT_S = (27.0, 33.0)
"""The simulator is away meanwhile: drivers who are slow to come back have lost their rows."""
SPAN = Span(expiry_ms=EXPIRY_MS, resume_ms=12_000)
GRID = TileGrid.over(city()[0].city.bbox)


def record() -> Log:
    """Run dispatcher and simulator, with drivers who send one position only and a pause of the simulator."""
    assert CITY == "grid"
    world = World(SEED)
    with scaled():
        world.loop.run_until_complete(_play(world))
        log = read(world)
    world.shut_down()
    return log


async def _play(world: World) -> None:
    world.start("dispatcher-1")
    world.start("simulator")
    async with asyncio.TaskGroup() as going_on:
        strangers = going_on.create_task(Nemesis(world).strangers())
        await asyncio.sleep(SILENT_S[0])
        world.kill("simulator")
        await asyncio.sleep(SILENT_S[1] - SILENT_S[0])
        world.start("simulator")
        await asyncio.sleep(RECORDED_S - SILENT_S[1])
        strangers.cancel()


def read(world: World) -> Log:
    """What a reader of committed records sees."""
    log = Log()
    log.locations = [entry.record for entry in world.broker.partition(topics.LOCATIONS, 0).entries]
    log.events = [entry.record for entry in _committed(world.broker.partition(topics.EVENTS, 0))]
    log.index()
    return log


def _committed(partition: Partition) -> Iterator[LogEntry]:
    for entry in partition.entries:
        fate = entry.transaction.fate if entry.transaction else Fate.COMMITTED
        if not entry.is_marker and fate is Fate.COMMITTED:
            yield entry


def views() -> list[Box | None]:
    """The city, its halves, a tile; and strips, which a driver who drives round a block leaves and enters."""
    west, south, east, north = city()[0].city.bbox
    middle = (west + east) / 2, (south + north) / 2
    halves: list[Box | None] = [(west, south, middle[0], north), (west, south, east, middle[1])]
    (w, s), (e, n) = city()[0].nodes.min(axis=0).tolist(), city()[0].nodes.max(axis=0).tolist()
    across: list[Box | None] = [
        (w + (e - w) * k / 4, south, w + (e - w) * (k + 0.7) / 4, north) for k in range(4)
    ]
    along: list[Box | None] = [
        (west, s + (n - s) * k / 4, east, s + (n - s) * (k + 0.7) / 4) for k in range(4)
    ]
    return [None, *halves, (*middle, *middle), *across, *along]


@dataclass
class Recording:
    """The log; and the state of a client at each cursor that a cut could have, for each view."""

    oracle: Oracle
    cursors: list[Cursor]
    states: dict[tuple[Cursor, Box | None], Replica]

    @classmethod
    def taken(cls) -> "Recording":
        oracle = Oracle(record(), SPAN, GRID)
        log = oracle.log
        city_view = booted(oracle, 0, log.closed[1][0])
        cursors: list[Cursor] = []
        states: dict[tuple[Cursor, Box | None], Replica] = {}
        for record_ in log.locations:
            ev = max((ev for ev, at_ms in log.closed if at_ms <= record_.timestamp_ms), default=0)
            if ev < city_view.ev:
                continue
            advance(city_view, log, record_.offset + 1, ev)
            assert city_view.cursor is not None
            cursors.append(city_view.cursor)
            states |= {(city_view.cursor, box): held(oracle, city_view, box) for box in views()}
        return cls(oracle, cursors, states)


def held(oracle: Oracle, city_view: CityView, box: Box | None) -> Replica:
    """What a client of this view holds now: as the oracle says, too."""
    client = Replica(epoch=oracle.log.epoch)
    client.apply(decode_update(city_view.diff(None, None, city_view.area(box))))
    oracle.assert_right(client, box)
    return client


def copied(client: Replica) -> Replica:
    """Another client that holds the same."""
    return replace(
        client,
        drivers=dict(client.drivers),
        rides=dict(client.rides),
        _ride_hashes=dict(client._ride_hashes),
    )
