# SPDX-License-Identifier: Apache-2.0
"""After a (re)start: what the log says of the city, and where each driver was last seen."""

from typing import Final

import numpy as np

from simulator.drivers import Drivers
from simulator.event_log import EventLog
from simulator.fleet import Fleet
from simulator.opening import Opening, is_due, opening_of
from simulator.riders import Riders
from simulator.scenario_effects import ScenarioEffects
from simulator.settings import CityBehavior, Settings
from simulator.streets import Spots, Streets
from simulator.world import World
from taxi import topics
from taxi.bus import Bus, BusError
from taxi.bus.ranges import read_range
from taxi.messages import Fix
from taxi.messages.codec import DecodeError, decode
from taxi.runtime.env import Env, Metrics
from taxi.state import CityState, snapshots
from taxi.state.snapshots import Snapshot

_SECONDS_BACK: Final = 4
_LOOK_MS: Final = 500
"""How often a simulator that waits behind a gap looks for new snapshots."""


async def recover(env: Env[Settings], streets: Streets, behavior: CityBehavior) -> tuple[World, EventLog]:
    """The world as the log knows it, and the events from there on. Raises Unavailable, OffsetOutOfRange."""
    settings = env.settings
    seen = await newest_fixes(env.bus, settings.own().partition, settings.drivers, env.metrics)
    snapshot, state, events = await fold_events(env)
    fixes = known_fixes(snapshot) | seen
    rate_per_driver_s = behavior.requests_per_driver_s * streets.roads.city.demand_factor
    riders = Riders(
        streets.roads,
        streets.demand,
        behavior,
        seed=settings.seed,
        rate_per_s=settings.load * rate_per_driver_s * settings.drivers,
        by_hour=settings.demand_by_hour,
    )
    homes = Fleet.home_spots(streets, settings.drivers, settings.seed)
    opening, now_ms = Opening(), env.now_ms()
    if is_due(state, now_ms, int(behavior.look_back_s * 1000)):
        city_ms = state.time.at(now_ms)
        now = riders.steady_at(city_ms)
        opening = opening_of(streets, now, behavior, homes, seed=settings.seed, now_ms=city_ms)
    spots = spots_of(streets, opening.spots(homes), fixes)
    fleet = Fleet(streets, behavior, settings.seed, spots)
    fleet.stepped_ms[:] = state.time.at(now_ms)
    drivers = Drivers(behavior, settings.seed, len(fleet))
    scenarios = ScenarioEffects(settings.plans(), streets, settings.seed)
    world = World(state, streets.roads, fleet, drivers, riders, behavior, opening, scenarios)
    world.settle_all(now_ms)
    env.log.info("recovered", batch=state.batch, rides=len(state.rides), drivers_seen=len(seen))
    return world, events


async def fold_events(env: Env[Settings]) -> tuple[Snapshot | None, CityState, EventLog]:
    """The newest snapshot, the city's state at the end of its events, and the events from there on.

    If the events have a gap behind the newest snapshot, this waits until a newer one is written, or an epoch
    begins empty.
    """
    partition = env.settings.own().partition
    while True:
        snapshots_end = (await env.bus.offsets(topics.SNAPSHOTS, partition)).end
        bounds = await env.bus.offsets(topics.EVENTS, partition)
        snapshot = await snapshots.newest_of_log(env.bus, partition, bounds)
        state = snapshot.state if snapshot else CityState()
        start = snapshot.events_offset if snapshot else bounds.start
        reader = await env.bus.reader(topics.EVENTS, partition, start)
        events = EventLog(reader, env, snapshot)
        try:
            await events.fold_to(state, bounds.stable)
            if await _is_whole(env, events, state, snapshots_end):
                return snapshot, state, events
        except BusError:
            await events.close()
            raise
        await events.close()


async def _is_whole(env: Env[Settings], events: EventLog, state: CityState, snapshots_end: int) -> bool:
    """Wait while the events have a gap. False if a snapshot was written meanwhile: begin with that one."""
    partition = env.settings.own().partition
    try:
        while (gap := events.gap) is not None:
            text = (
                f"the events on the log do not continue: {gap}. Drivers and riders wait for a newer "
                "snapshot; the dispatcher writes one a minute. Restart the dispatcher if none comes"
            )
            env.faults.report("events_gap", text, blocks=True)
            if (await env.bus.offsets(topics.SNAPSHOTS, partition)).end != snapshots_end:
                return False
            await events.fold_more(state, wait_ms=_LOOK_MS)
        return True
    finally:
        env.faults.clear("events_gap")


async def newest_fixes(bus: Bus, partition: int, drivers: int, metrics: Metrics) -> dict[int, Fix]:
    """The newest position of each driver 1 … `drivers` in the last few seconds that were published, ever.

    However old they are: a city that slept goes on where it stood. Raises Unavailable, OffsetOutOfRange.
    """
    bounds = await bus.offsets(topics.LOCATIONS, partition)
    start = max(bounds.start, bounds.stable - _SECONDS_BACK * drivers)
    newest: dict[int, Fix] = {}
    async with read_range(bus, topics.LOCATIONS, partition, start, bounds.stable) as chunks:
        async for records in chunks:
            for record in records:
                try:
                    fix: Fix = decode(topics.LOCATIONS, record)
                except DecodeError:
                    metrics.count("simulator_undecodable_total", topic=topics.LOCATIONS)
                    continue
                known = newest.get(fix.driver)
                if known is None or fix.at_ms >= known.at_ms:
                    newest[fix.driver] = fix
    return newest


def known_fixes(snapshot: Snapshot | None) -> dict[int, Fix]:
    """The positions that a snapshot remembers; it knows no headings."""
    seen = snapshot.newest.drivers if snapshot else {}
    return {
        driver: Fix(driver=driver, at_ms=fix.at_ms, lng=fix.lng, lat=fix.lat) for driver, fix in seen.items()
    }


def spots_of(streets: Streets, spots: Spots, fixes: dict[int, Fix]) -> Spots:
    """Where drivers are: at their position, if a street is near, else at their place in `spots`."""
    spots = Spots(spots.arc.copy(), spots.share.copy())
    known = [fix for fix in fixes.values() if 0 < fix.driver <= len(spots.arc)]
    if known:
        rows = np.array([fix.driver for fix in known]) - 1
        points = np.array([(fix.lng, fix.lat) for fix in known])
        heading = np.array([fix.heading for fix in known], np.float64)
        on_map = np.flatnonzero(streets.roads.places.off_m(points) <= streets.roads.city.snap_m_max)
        rows, points, heading = rows[on_map], points[on_map], heading[on_map]
        spots.arc[rows], spots.share[rows] = streets.locate(points, heading)
    return spots
