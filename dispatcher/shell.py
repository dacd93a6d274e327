# SPDX-License-Identifier: Apache-2.0
"""The dispatcher's life in its group: cities come and go by assignment, and a fenced one starts over.

A producer is built only on a fresh assignment. If a fenced dispatcher rebuilt its producer on the spot,
it and the rightful owner would fence each other for ever: so it leaves the group and joins again.
"""

import asyncio
from collections.abc import Iterator
from typing import Final

from dispatcher.core import Mandate
from dispatcher.desk import run_city
from dispatcher.mandate import mandate_of
from dispatcher.settings import Settings
from taxi.bus import BusError, Membership
from taxi.roads import RoadNetwork
from taxi.runtime.env import Env
from taxi.topics import COMMANDS

GROUP: Final = "taxi.dispatchers"
METRICS: Final = {
    "dispatcher_batch_seconds": "From the cut of a batch to its commit.",
    "dispatcher_events_total": "Events committed, by type.",
    "dispatcher_waiting_rides": "Rides that wait for a driver.",
    "dispatcher_lag_seconds": "How far log time is behind the clock.",
    "dispatcher_dead_letters_total": "Messages that could not be read.",
    "dispatcher_restarts_total": "Times that a city had to be taken over anew, by reason.",
    "dispatcher_cities": "Cities that this dispatcher decides for now.",
}
_PAUSE_S: Final = (0.2, 0.5)


async def main(
    env: Env[Settings], *, roads: RoadNetwork | None = None, mandate: Mandate | None = None
) -> None:
    """Run until cancelled. `roads`, `mandate`: those of another world than the settings name."""
    streets = (roads or RoadNetwork.load(env.settings.city)).prepare()
    rule = mandate or mandate_of(env.settings)
    while True:
        try:
            await _serve(env, streets, rule)
        except* BusError as group:
            for error in _leaves(group):
                reason = type(error).__name__
                env.metrics.count("dispatcher_restarts_total", reason=reason)
                env.log.warning("city stopped, joining again", reason=reason, text=str(error))
        env.health.not_ready("between two places in the group")
        await asyncio.sleep(env.random.uniform(*_PAUSE_S))


async def _serve(env: Env[Settings], roads: RoadNetwork, mandate: Mandate) -> None:
    """One place in the group, until something goes wrong."""
    member = await env.bus.join(GROUP, COMMANDS)
    try:
        await _follow(env, member, roads, mandate)
    finally:
        env.metrics.gauge("dispatcher_cities", 0)
        await member.leave()


async def _follow(env: Env[Settings], member: Membership, roads: RoadNetwork, mandate: Mandate) -> None:
    """Decide for the cities assigned now, until the assignment changes."""
    assignment = await member.next()
    while True:
        env.log.info("assigned", cities=list(assignment.partitions), generation=assignment.generation)
        env.metrics.gauge("dispatcher_cities", len(assignment.partitions))
        env.health.ready()
        async with asyncio.TaskGroup() as group:
            cities = [
                group.create_task(run_city(env, partition, roads, mandate))
                for partition in assignment.partitions
            ]
            assignment = await member.next()
            for city in cities:
                city.cancel()


def _leaves(group: BaseExceptionGroup[BusError]) -> Iterator[BusError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
