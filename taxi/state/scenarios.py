# SPDX-License-Identifier: Apache-2.0
"""Events of scenarios: which are under way."""

from taxi import messages as m
from taxi.state.data import CityData
from taxi.state.rows import IllegalTransitionError, RunningScenario, Touched


def started(city: CityData, event: m.ScenarioStarted) -> Touched:
    """Apply `ScenarioStarted`."""
    if event.scenario in city.scenarios:
        raise IllegalTransitionError(f"{event} while it is under way")
    city.scenarios[event.scenario] = RunningScenario(
        title=event.title, since_ms=event.at_ms, lasts_s=event.lasts_s, area=event.area
    )
    city.scenarios_changed_ms = event.at_ms
    return Touched()


def ended(city: CityData, event: m.ScenarioEnded) -> Touched:
    """Apply `ScenarioEnded`."""
    if city.scenarios.pop(event.scenario, None) is None:
        raise IllegalTransitionError(f"{event} while it is not under way")
    city.scenarios_changed_ms = event.at_ms
    return Touched()
