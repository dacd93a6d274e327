# SPDX-License-Identifier: Apache-2.0
"""Takes a city over from its previous dispatcher.

1. **Confirm and fence.** The group confirms the claim, then the city's producer is started. That ends an open
   transaction of the predecessor and makes every later write of it fail. A process that slept between its
   assignment and this step is refused here (`ClaimLost`), so it never fences the city's rightful owner.
2. **Recover.** The state is rebuilt from the log (`dispatcher.recovery`). Nothing can be added meanwhile.
3. **Compare.** If the log is that of another city than the configured one, nothing is decided for it. If
   that is so of all assigned cities, the dispatcher leaves the group (`dispatcher.shell`).
4. **Open** the inputs where recovery ended, the producers of dead letters, and what reports their faults.

The city is then decided for by a `PartitionWorker`, while a `ForeignEventsWatch` reads its events again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from dispatcher.city_context import CityContext
from dispatcher.dead_letters import DeadLetters
from dispatcher.foreign_events_watch import ForeignEventsWatch
from dispatcher.inputs import HELD_BACK, Inputs
from dispatcher.metrics import clear_metrics, count_dropped
from dispatcher.partition_worker import PartitionWorker
from dispatcher.progress import Progress
from dispatcher.recovery import Recovered, UntilStable, check_beginning, recover
from dispatcher.refused_cities import RefusedCities, RefusedCity
from dispatcher.settings import Settings
from taxi.bus import Claim, OffsetOutOfRange, Offsets
from taxi.runtime.city_on_log import is_another_city
from taxi.runtime.dropped import DroppedPositions
from taxi.runtime.env import Env
from taxi.runtime.held_back import check_held_back, wait_until_stable


@asynccontextmanager
async def take_over(
    env: Env[Settings], claim: Claim, city_context: CityContext, refused: RefusedCities
) -> AsyncIterator[tuple[PartitionWorker, ForeignEventsWatch]]:
    """Take a city over, and let go of everything that was opened for it at the end.

    Returns:
        What decides for the city and what watches its events. Neither runs yet.

    Raises:
        ClaimLost: The group has given the city to another dispatcher. Nothing was fenced.
        AllCitiesRefusedError: The log is that of another city, and so are those of all assigned cities.
        BusError: The broker did not answer, or retention deleted what was about to be read, or the log was
            that of another city until it was created again.
    """
    city, partition = city_context.city, city_context.partition
    async with AsyncExitStack() as stack:
        producer = await env.bus.transactional_producer(f"taxi.dispatcher.{partition}", claim)
        stack.push_async_callback(producer.close)
        stack.callback(clear_metrics, env, city)
        until_stable = stable_end_waiter(env, city_context)
        found = await recover(env.bus, partition, env.new_id, until_stable, producer.producer_id)
        await refuse_another_city(env, city_context, found, refused)
        env.log.info(
            "city recovered",
            city=city,
            batch=found.city.batch,
            drivers=len(found.city.drivers),
            epoch=found.epoch_to_begin.reason if found.epoch_to_begin is not None else "goes on",
        )
        inputs = await Inputs.open(env.bus, partition, found)
        stack.push_async_callback(inputs.close)
        stack.callback(asyncio.create_task(check_held_back(*inputs.held_back(env, partition, city))).cancel)
        letters = DeadLetters(env.bus, partition, env.settings.name or "dispatcher")
        stack.push_async_callback(letters.close)
        letters_of_events = DeadLetters(env.bus, partition, env.settings.name or "dispatcher")
        stack.push_async_callback(letters_of_events.close)
        progress = Progress(env, city)
        stack.callback(progress.clear)
        dropped = DroppedPositions(env, partial(count_dropped, env, city), city)
        stack.callback(dropped.clear)
        events_watch = ForeignEventsWatch(
            env, city, partition, producer.producer_id, letters_of_events, found.events_offset
        )
        check = partial(check_beginning, env.bus, partition, until_stable, producer.producer_id)
        worker = PartitionWorker(
            env, city_context, producer, found, inputs, letters, progress, dropped, events_watch, check
        )
        yield worker, events_watch


async def refuse_another_city(
    env: Env[Settings], city_context: CityContext, found: Recovered, refused: RefusedCities
) -> None:
    """Return at once if the log is that of the configured city, or has none yet.

    Raises:
        AllCitiesRefusedError: It is that of another city, and so are those of all assigned cities.
        OffsetOutOfRange: It was that of another city, and nothing was decided. Now the topic of events was
            created again: recover again.
    """
    on_log, own, partition = found.city.city, city_context.city, city_context.partition
    if not is_another_city(on_log, own):
        return
    city = RefusedCity(partition, on_log, own, found.events_offset)
    refused.add(city)
    await city.wait_until_another_log(env)
    raise OffsetOutOfRange(f"the log of the city {on_log!r} is gone")


def stable_end_waiter(env: Env[Settings], city_context: CityContext) -> UntilStable:
    """What recovery waits with. Facts behind an open transaction must be read before any is decided."""

    async def wait(topic: str) -> Offsets:
        return await wait_until_stable(
            env,
            topic,
            city_context.partition,
            code=HELD_BACK[topic],
            waiting=f"The dispatcher decides nothing for {city_context.city} until all of it can be read",
            about=city_context.city,
        )

    return wait
