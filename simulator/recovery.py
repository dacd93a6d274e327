# SPDX-License-Identifier: Apache-2.0
"""After a (re)start: what the log says of the city, and where each driver was last seen."""

from typing import Final

import numpy as np

from simulator.drivers import Drivers
from simulator.event_log import EventLog
from simulator.fleet import Fleet
from simulator.riders import Riders
from simulator.settings import Habits, Settings
from simulator.streets import Spots, Streets
from simulator.world import World
from taxi import snapshots, topics
from taxi.bus import Bus, BusError
from taxi.city import CityState
from taxi.codec import DecodeError, decode
from taxi.messages import Fix
from taxi.runtime.env import Env, Metrics
from taxi.snapshots import Snapshot

_SECONDS_BACK: Final = 4
_RECORDS_AT_ONCE: Final = 5000
_FETCH_MS: Final = 100


async def recover(env: Env[Settings], streets: Streets, habits: Habits) -> tuple[World, EventLog]:
    """The world as the log knows it, and the events from there on. Raises Unavailable, OffsetOutOfRange."""
    settings = env.settings
    seen = await newest_fixes(env.bus, settings.own().partition, settings.drivers, env.metrics)
    snapshot, state, events = await fold_events(env)
    fixes = known_fixes(snapshot) | seen
    fleet = Fleet(streets, habits, settings.seed, spots_of(streets, settings.drivers, settings.seed, fixes))
    riders = Riders(
        streets.roads,
        streets.demand,
        habits,
        seed=settings.seed,
        rate_per_s=settings.load * habits.requests_per_driver_s * settings.drivers,
        opening_rate_per_s=habits.opening_share * settings.load * settings.drivers / habits.opening_s,
    )
    fleet.stepped_ms[:] = env.now_ms()
    world = World(state, streets.roads, fleet, Drivers(habits, settings.seed, len(fleet)), riders, habits)
    world.settle_all(env.now_ms())
    env.log.info("recovered", batch=state.batch, rides=len(state.rides), drivers_seen=len(seen))
    return world, events


async def fold_events(env: Env[Settings]) -> tuple[Snapshot | None, CityState, EventLog]:
    """The newest snapshot, the city's state at the end of its events, and the events from there on."""
    partition = env.settings.own().partition
    bounds = await env.bus.offsets(topics.EVENTS, partition)
    snapshot = await snapshots.newest(env.bus, partition)
    state = snapshot.state if snapshot else CityState()
    start = snapshot.events_offset if snapshot else bounds.start
    reader = await env.bus.reader(topics.EVENTS, partition, start)
    events = EventLog(reader, env.log, env.metrics)
    try:
        while events.position < bounds.stable:
            for batch in await events.next(wait_ms=_FETCH_MS):
                for at in batch.events:
                    state.apply(at.event)
    except BusError:
        await events.close()
        raise
    return snapshot, state, events


async def newest_fixes(bus: Bus, partition: int, drivers: int, metrics: Metrics) -> dict[int, Fix]:
    """The newest fix of each driver 1 … `drivers` in the last few seconds that were published, ever.

    However old they are: a city that slept goes on where it stood. Raises Unavailable, OffsetOutOfRange.
    """
    bounds = await bus.offsets(topics.LOCATIONS, partition)
    start = max(bounds.start, bounds.end - _SECONDS_BACK * drivers)
    reader = await bus.reader(topics.LOCATIONS, partition, start)
    newest: dict[int, Fix] = {}
    try:
        while reader.position < bounds.end:
            for record in await reader.fetch(max_records=_RECORDS_AT_ONCE):
                try:
                    fix: Fix = decode(topics.LOCATIONS, record)
                except DecodeError:
                    metrics.count("simulator_undecodable_total", topic=topics.LOCATIONS)
                    continue
                known = newest.get(fix.driver)
                if known is None or fix.at_ms >= known.at_ms:
                    newest[fix.driver] = fix
    finally:
        await reader.close()
    return newest


def known_fixes(snapshot: Snapshot | None) -> dict[int, Fix]:
    """The fixes that a snapshot remembers; it knows no headings."""
    seen = snapshot.newest.drivers if snapshot else {}
    return {
        driver: Fix(driver=driver, at_ms=fix.at_ms, lng=fix.lng, lat=fix.lat) for driver, fix in seen.items()
    }


def spots_of(streets: Streets, drivers: int, seed: int, fixes: dict[int, Fix]) -> Spots:
    """Where drivers 1 … `drivers` are: at their fix, else at home."""
    spots = Fleet.home_spots(streets, drivers, seed)
    known = [fix for fix in fixes.values() if 0 < fix.driver <= drivers]
    if known:
        rows = np.array([fix.driver for fix in known]) - 1
        points = np.array([(fix.lng, fix.lat) for fix in known])
        heading = np.array([fix.heading for fix in known], np.float64)
        spots.arc[rows], spots.share[rows] = streets.locate(points, heading)
    return spots
