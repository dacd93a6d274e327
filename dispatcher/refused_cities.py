# SPDX-License-Identifier: Apache-2.0
"""Cities that a dispatcher was assigned and must not decide for: the log is that of another city."""

import asyncio
from dataclasses import dataclass

from dispatcher.settings import Settings
from taxi.runtime.city_on_log import wait_while_another_city
from taxi.runtime.env import Env


@dataclass(frozen=True)
class RefusedCity:
    """One partition whose log is that of another city."""

    partition: int
    on_log: str
    own: str
    events_offset: int
    """How far its events were read."""

    async def wait_until_another_log(self, env: Env[Settings]) -> None:
        """Report the fault `another_city` until the topic of events was created again."""
        await wait_while_another_city(
            env,
            self.partition,
            self.events_offset,
            on_log=self.on_log,
            own=self.own,
            consequence=f"This dispatcher decides nothing for {self.own}",
            about=self.own,
        )


class AllCitiesRefusedError(Exception):
    """All assigned cities are refused, so this dispatcher only keeps them from the others in the group."""

    def __init__(self, refused: tuple[RefusedCity, ...]) -> None:
        super().__init__(", ".join(f"{each.own}: the log is that of {each.on_log}" for each in refused))
        self.refused = refused


class RefusedCities:
    """The refused cities of one assignment."""

    def __init__(self, assigned: int) -> None:
        """`assigned`: how many cities this dispatcher was assigned."""
        self._assigned = assigned
        self._refused: dict[int, RefusedCity] = {}

    def add(self, city: RefusedCity) -> None:
        """Count one more.

        Raises:
            AllCitiesRefusedError: It was the last one that was left to decide for.
        """
        self._refused[city.partition] = city
        if len(self._refused) == self._assigned:
            raise AllCitiesRefusedError(tuple(self._refused.values()))


async def wait_until_one_can_be_decided(env: Env[Settings], refused: tuple[RefusedCity, ...]) -> None:
    """Report each refused city, until the log of one of them is another one."""
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(city.wait_until_another_log(env)) for city in refused]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
