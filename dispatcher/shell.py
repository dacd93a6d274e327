# SPDX-License-Identifier: Apache-2.0
"""The dispatcher's life in its group: cities come and go by assignment, and a fenced one starts over.

A producer is built only on a fresh assignment. If a fenced dispatcher rebuilt its producer on the spot,
it and the rightful owner would fence each other for ever: so it leaves the group and joins again.

A dispatcher that is configured for other cities than those on the log leaves the group, too, and stays out
until one of those logs is created again: as a member it would keep the cities from a dispatcher that can
decide for them.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from dispatcher.city_context import CityContext, city_contexts
from dispatcher.metrics import METRICS
from dispatcher.readiness import Together
from dispatcher.refused_cities import AllCitiesRefusedError, RefusedCities, wait_until_one_can_be_decided
from dispatcher.settings import Settings
from dispatcher.takeover import take_over
from taxi.bus import Assignment, BusError, Claim, ClaimLost, Fenced, Membership, Unavailable
from taxi.runtime.env import Env
from taxi.topics import COMMANDS, DISPATCHER_GROUP

__all__ = ["METRICS", "main"]

E = TypeVar("E", bound=BaseException)

_ANY_PARTITION: Final = 0
_FIRST_PAUSE_S: Final = 0.25
_PAUSE_S_MAX: Final = 5.0
_ASSIGNED_WITHIN_S: Final = 30.0
_STEADY_S: Final = 60.0
"""A worker that ran for this long has worked: longer than any call may be retried."""
_GIVE_UP_S: Final = 300.0
"""A process that could not work for this long ends, and says why."""
_LAST_WORD_S: Final = 1.0
_STANDBY_S: Final = 1.0
"""Empty hands for this long are those of a standby; before, the group is still making up its mind."""


async def main(env: Env[Settings], *, own: Sequence[CityContext] | None = None) -> None:
    """Run until cancelled. `own`: the cities of another world than the settings name.

    Raises the BusError that kept it from working for five minutes.
    """
    cities = city_contexts(env.settings) if own is None else tuple(own)
    loop = asyncio.get_running_loop()
    pause_s = _FIRST_PAUSE_S
    steady_s = loop.time()
    while True:
        began_s = loop.time()
        try:
            await _serve(env, cities)
        except* BusError as group:
            errors = list(_leaves(group))
            if loop.time() - began_s > _STEADY_S:
                pause_s, steady_s = _FIRST_PAUSE_S, loop.time()
            if loop.time() - steady_s > _GIVE_UP_S:
                raise errors[0] from None
            _tell(env, errors)
        except* AllCitiesRefusedError as group:
            await _stay_out(env, group)
            pause_s, steady_s = _FIRST_PAUSE_S, loop.time()
        await asyncio.sleep(pause_s * env.random.uniform(0.5, 1.0))
        pause_s = min(2 * pause_s, _PAUSE_S_MAX)


async def _stay_out(env: Env[Settings], group: BaseExceptionGroup[AllCitiesRefusedError]) -> None:
    """Wait outside of the group until one of the refused cities can be decided for."""
    [error] = _leaves(group)
    env.log.warning("left the group, so that others can decide for its cities", text=str(error))
    await wait_until_one_can_be_decided(env, error.refused)


async def _serve(env: Env[Settings], cities: tuple[CityContext, ...]) -> None:
    """One place in the group, until something goes wrong."""
    member = await env.bus.join(DISPATCHER_GROUP, COMMANDS)
    try:
        await _follow(env, member, cities)
    finally:
        env.health.not_ready("between two places in the group")
        env.metrics.gauge("dispatcher_cities", 0)
        await member.leave()


async def _follow(env: Env[Settings], member: Membership, cities: tuple[CityContext, ...]) -> None:
    """Decide for the cities that are assigned; each assignment is a fresh start for all of them.

    The group revokes all partitions before it assigns them again. A city that stays is also recovered again:
    that costs a second, and its producer is never older than its assignment.
    """
    assignment = await _first(member)
    while True:
        mine = [city for city in cities if city.partition in assignment.partitions]
        _note(env, assignment, mine)
        claim = member.claim(assignment)
        try:
            async with asyncio.TaskGroup() as group:
                work = _decide_for(env, claim, mine) if mine else [_stand_by(env)]
                tasks = [group.create_task(each) for each in work]
                assignment = await member.next()
                for task in tasks:
                    task.cancel()
        except* Unavailable:
            await _raise_if_claim_lost(claim)
            raise
        if assignment.expelled:
            env.metrics.count("dispatcher_fenced_total", by="group")
            env.log.warning("fenced: the group gave our cities to others while we slept")


async def _raise_if_claim_lost(claim: Claim) -> None:
    """Ask the group after a call that took too long: a process that slept past its session learns it here.

    Raises:
        ClaimLost: The group has given our cities to others.
    """
    try:
        async with asyncio.timeout(_LAST_WORD_S):
            await claim.confirm()
    except ClaimLost:
        raise
    except (BusError, TimeoutError):
        return  # the broker is away for everybody


def _decide_for(
    env: Env[Settings], claim: Claim, mine: list[CityContext]
) -> Iterator[Coroutine[Any, Any, None]]:
    together = Together(env.health, [city.partition for city in mine])
    refused = RefusedCities(len(mine))
    for city in mine:
        yield run_city(replace(env, health=together.of(city.partition)), claim, city, refused)


async def run_city(
    env: Env[Settings], claim: Claim, city_context: CityContext, refused: RefusedCities
) -> None:
    """Take a city over, then decide for it until an error ends it.

    Raises what `take_over`, `PartitionWorker.run` and `ForeignEventsWatch.run` raise.
    """
    taken_over = take_over(env, claim, city_context, refused)
    async with taken_over as (worker, events_watch), asyncio.TaskGroup() as tasks:
        tasks.create_task(events_watch.run())
        tasks.create_task(worker.run())


def _note(env: Env[Settings], assignment: Assignment, mine: list[CityContext]) -> None:
    """Say what the group gave."""
    names = [city.city for city in mine]
    if mine:
        env.log.info("assigned", generation=assignment.generation, cities=names)
    else:
        env.log.info("standing by", generation=assignment.generation)
    strangers = sorted(set(assignment.partitions) - {city.partition for city in mine})
    if strangers:
        env.log.warning("partitions without a city", partitions=strangers, do="name them in TAXI_CITIES")
    env.metrics.gauge("dispatcher_cities", len(mine))
    env.health.not_ready("taking over" if mine else "waiting for the group")


async def _first(member: Membership) -> Assignment:
    """A group that never answers is a broker that is away."""
    try:
        async with asyncio.timeout(_ASSIGNED_WITHIN_S):
            return await member.next()
    except TimeoutError:
        raise Unavailable(f"{DISPATCHER_GROUP}: no assignment within {_ASSIGNED_WITHIN_S:.0f} s") from None


async def _stand_by(env: Env[Settings]) -> None:
    """Ready to take over, once the group has made up its mind and while the log answers."""
    while True:
        await asyncio.sleep(_STANDBY_S)
        await env.bus.offsets(COMMANDS, _ANY_PARTITION)
        env.health.ready()


def _tell(env: Env[Settings], errors: list[BusError]) -> None:
    for error in errors:
        reason = type(error).__name__
        env.metrics.count("dispatcher_restarts_total", reason=reason)
        if isinstance(error, ClaimLost):
            env.metrics.count("dispatcher_fenced_total", by="group")
            env.log.warning("fenced: the group took our cities back, joining again", text=str(error))
        elif isinstance(error, Fenced):
            env.metrics.count("dispatcher_fenced_total", by="producer")
            env.log.warning("fenced: the broker refuses our producer, joining again", text=str(error))
        else:
            env.log.warning("city stopped, joining again", reason=reason, text=str(error))


def _leaves(group: BaseExceptionGroup[E]) -> Iterator[E]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
