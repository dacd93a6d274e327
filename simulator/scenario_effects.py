# SPDX-License-Identifier: Apache-2.0
"""What the scenarios under way do to the city: to demand, traffic, drivers and positions.

Which scenarios are under way follows from the log; what they do follows from their files and the seed. So a
simulator that restarts lives on as before.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from simulator.draws import Floats, draws, key
from simulator.fleet import Rows
from simulator.streets import Bools, Streets
from taxi.messages import Disc
from taxi.scenarios import ScenarioPlan
from taxi.state import CityState


class _UnderWay(NamedTuple):
    """A scenario that the log and a file know. Times are city time."""

    name: str
    plan: ScenarioPlan
    area: Disc | None
    from_ms: int
    until_ms: int


class ScenarioEffects:
    """The effects of the scenarios under way. All times are city time.

    Args:
        plans: Name → plan.
        streets: Of prepared roads.
        seed: That of the simulated world.
    """

    def __init__(self, plans: Mapping[str, ScenarioPlan], streets: Streets, seed: int) -> None:
        self._plans = plans
        self._streets = streets
        self._seed = seed
        self._under_way: tuple[_UnderWay, ...] = ()
        self._known_as_of: tuple[int, tuple[str, ...]] = (0, ())
        self._excess: tuple[tuple[float, ...], ExcessDemand] | None = None
        self.unknown: tuple[str, ...] = ()
        """Scenarios under way of which there is no file: they do nothing."""
        self.changed_ms = 0
        """Log time at which a scenario last began or ended."""

    def follow(self, state: CityState) -> None:
        """Take over from the log which scenarios are under way."""
        as_of = state.scenarios_changed_ms, tuple(state.scenarios)
        if as_of == self._known_as_of:
            return
        self._known_as_of, self.changed_ms, self._excess = as_of, state.scenarios_changed_ms, None
        self.unknown = tuple(name for name in state.scenarios if name not in self._plans)
        self._under_way = tuple(
            _UnderWay(
                name,
                self._plans[name],
                scenario.area,
                state.time.at(scenario.since_ms),
                state.time.at(scenario.since_ms) + scenario.lasts_s * 1000,
            )
            for name, scenario in state.scenarios.items()
            if name in self._plans
        )

    def drive_percent(self, now_ms: int) -> float:
        """How long drives take, in per cent of what they usually take."""
        percent = 100.0
        for one in self._at(now_ms):
            percent *= one.plan.drive_percent / 100
        return percent

    def on_strike(self, rows: Rows, now_ms: int) -> Bools:
        """Which drivers of `rows` want to be offline."""
        strike = np.zeros(len(rows), np.bool_)
        for one in self._at(now_ms):
            if one.plan.offline_share:
                strike |= draws(key(self._seed, "strike", one.name), rows) < one.plan.offline_share
        return strike

    def silent(self, points: Floats, now_ms: int) -> Bools:
        """At which of `points` (n, 2), in degrees, a taxi's position is not sent."""
        silent = np.zeros(len(points), np.bool_)
        for one in self._at(now_ms):
            if one.plan.silent:
                silent |= self._inside(one.area, points)
        return silent

    def excess(self, now_ms: int) -> "ExcessDemand | None":
        """How demand differs from its usual height; None if it does not."""
        under_way = [one for one in self._at(now_ms) if one.plan.demand]
        factors = tuple(_factor(one, now_ms) for one in under_way)
        if all(factor == 1 for factor in factors):
            return None
        if self._excess is None or self._excess[0] != factors:
            by_node = np.ones(self._streets.roads.n_nodes)
            for one, factor in zip(under_way, factors, strict=True):
                by_node[self._inside(one.area, self._streets.roads.nodes)] *= factor
            self._excess = factors, ExcessDemand(self._streets, by_node)
        return self._excess[1]

    def _at(self, now_ms: int) -> list[_UnderWay]:
        return [one for one in self._under_way if one.from_ms <= now_ms < one.until_ms]

    def _inside(self, area: Disc | None, points: Floats) -> Bools:
        if area is None:
            return np.ones(len(points), np.bool_)
        plane = self._streets.roads.plane
        apart_m = np.hypot(*(plane.metres(points) - plane.metres((area.lng, area.lat))).T)
        inside: Bools = apart_m <= area.radius_m
        return inside


class ExcessDemand:
    """Demand that differs from place to place: factors by the node where a ride begins."""

    def __init__(self, streets: Streets, by_node: Floats) -> None:
        """`by_node`: (n_nodes) how many times as many rides as usual begin there."""
        demand = streets.demand
        self.kept = np.minimum(by_node, 1.0)
        """(n_nodes) the share of the usual rides that are requested all the same."""
        more = demand.count * np.maximum(by_node - 1.0, 0.0)[demand.from_node]
        self._cumulative = np.cumsum(more)
        self._pairs = demand.from_node, demand.to_node
        self.rate = float(self._cumulative[-1]) / demand.trips
        """Rides that come in addition, for each usual one of the whole city."""

    def sample(self, share: float) -> tuple[int, int]:
        """The nodes from and to of an additional ride. `share`: a draw in [0, 1); `rate` is above 0."""
        nth = int(np.searchsorted(self._cumulative, share * self._cumulative[-1], side="right"))
        nth = min(nth, len(self._cumulative) - 1)
        origin, destination = self._pairs
        return int(origin[nth]), int(destination[nth])


def _factor(one: _UnderWay, now_ms: int) -> float:
    """The factor of the last step that has begun; 1 before the first."""
    after_s = (now_ms - one.from_ms) / 1000
    return next((step.factor for step in reversed(one.plan.demand) if step.after_s <= after_s), 1.0)
