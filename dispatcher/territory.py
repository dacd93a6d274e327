# SPDX-License-Identifier: Apache-2.0
"""What a dispatcher must have at hand to take a city over: its streets, and by what it decides."""

from typing import NamedTuple

from dispatcher.core import Mandate
from dispatcher.mandate import mandate_of
from dispatcher.settings import Settings
from taxi.roads import RoadNetwork


class Territory(NamedTuple):
    """A city that the group may give."""

    partition: int
    roads: RoadNetwork
    mandate: Mandate

    @property
    def city(self) -> str:
        """Its name."""
        return self.roads.city.name


def territories(settings: Settings) -> tuple[Territory, ...]:
    """All that the settings name, ready to be decided on."""
    return tuple(
        Territory(city.partition, RoadNetwork.load(city.folder).named(city.name).prepare(), mandate)
        for city in settings.served()
        for mandate in [mandate_of(settings, city.folder)]
    )
