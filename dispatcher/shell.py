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
from dispatcher.notes import METRICS
from dispatcher.settings import Settings
from taxi.bus import Assignment, BusError, Membership, Unavailable
from taxi.roads import RoadNetwork
from taxi.runtime.env import Env
from taxi.topics import COMMANDS

__all__ = ["METRICS", "main"]

GROUP: Final = "taxi.dispatchers"
PARTITION: Final = 0
"""The city's."""
_FIRST_PAUSE_S: Final = 0.25
_PAUSE_S_MAX: Final = 5.0
_ASSIGNED_WITHIN_S: Final = 30.0
_STEADY_S: Final = 60.0
"""Whoever went on for this long has worked: longer than any call may be retried."""
_GIVE_UP_S: Final = 300.0
"""A process that could not work for this long ends, and says why."""
_STANDBY_S: Final = 1.0
"""Empty hands for this long are those of a standby; before, the group is still making up its mind."""


async def main(
    env: Env[Settings], *, roads: RoadNetwork | None = None, mandate: Mandate | None = None
) -> None:
    """Run until cancelled. `roads`, `mandate`: those of another world than the settings name.

    Raises the BusError that kept it from working for five minutes.
    """
    streets = (roads or RoadNetwork.load(env.settings.city)).prepare()
    rule = mandate or mandate_of(env.settings)
    loop = asyncio.get_running_loop()
    pause_s = _FIRST_PAUSE_S
    steady_s = loop.time()
    while True:
        began_s = loop.time()
        try:
            await _serve(env, streets, rule)
        except* BusError as group:
            errors = list(_leaves(group))
            if loop.time() - began_s > _STEADY_S:
                pause_s, steady_s = _FIRST_PAUSE_S, loop.time()
            if loop.time() - steady_s > _GIVE_UP_S:
                raise errors[0] from None
            _tell(env, errors)
        await asyncio.sleep(pause_s * env.random.uniform(0.5, 1.0))
        pause_s = min(2 * pause_s, _PAUSE_S_MAX)


async def _serve(env: Env[Settings], roads: RoadNetwork, mandate: Mandate) -> None:
    """One place in the group, until something goes wrong."""
    member = await env.bus.join(GROUP, COMMANDS)
    try:
        await _follow(env, member, roads, mandate)
    finally:
        env.health.not_ready("between two places in the group")
        env.metrics.gauge("dispatcher_cities", 0)
        await member.leave()


async def _follow(env: Env[Settings], member: Membership, roads: RoadNetwork, mandate: Mandate) -> None:
    """Decide for the city while it is assigned; each assignment is a fresh start."""
    assignment = await _first(member)
    while True:
        mine = PARTITION in assignment.partitions
        env.log.info("assigned" if mine else "standing by", generation=assignment.generation)
        env.metrics.gauge("dispatcher_cities", int(mine))
        env.health.not_ready("taking the city over" if mine else "waiting for the group")
        async with asyncio.TaskGroup() as group:
            work = run_city(env, PARTITION, roads, mandate) if mine else _stand_by(env)
            task = group.create_task(work)
            assignment = await member.next()
            task.cancel()


async def _first(member: Membership) -> Assignment:
    """A group that never answers is a broker that is away."""
    try:
        async with asyncio.timeout(_ASSIGNED_WITHIN_S):
            return await member.next()
    except TimeoutError:
        raise Unavailable(f"{GROUP}: no assignment within {_ASSIGNED_WITHIN_S:.0f} s") from None


async def _stand_by(env: Env[Settings]) -> None:
    """Ready to take over, once the group has made up its mind and while the log answers."""
    while True:
        await asyncio.sleep(_STANDBY_S)
        await env.bus.offsets(COMMANDS, PARTITION)
        env.health.ready()


def _tell(env: Env[Settings], errors: list[BusError]) -> None:
    for error in errors:
        reason = type(error).__name__
        env.metrics.count("dispatcher_restarts_total", reason=reason)
        env.log.warning("city stopped, joining again", reason=reason, text=str(error))


def _leaves(group: BaseExceptionGroup[BusError]) -> Iterator[BusError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
