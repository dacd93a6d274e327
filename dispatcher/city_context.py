# SPDX-License-Identifier: Apache-2.0
"""What a dispatcher must have at hand to take a city over: its streets, and by what it decides."""

from typing import NamedTuple

from dispatcher.core import DecisionConfig
from dispatcher.decision_config import decision_config_of
from dispatcher.settings import Settings
from taxi.roads.network import RoadNetwork


class CityContext(NamedTuple):
    """A city that the group may give."""

    partition: int
    roads: RoadNetwork
    decision_config: DecisionConfig

    @property
    def city(self) -> str:
        """Its name."""
        return self.roads.city.name


def city_contexts(settings: Settings) -> tuple[CityContext, ...]:
    """All that the settings name, ready to be decided on."""
    return tuple(
        CityContext(city.partition, RoadNetwork.load(city.folder).named(city.name).prepare(), decision_config)
        for city in settings.served()
        for decision_config in [decision_config_of(settings, city.folder)]
    )
