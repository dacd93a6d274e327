# SPDX-License-Identifier: Apache-2.0
"""What came of a run: waits, kilometres, how busy and how evenly drivers were, how good the promises."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from evaluate.city import Step, VirtualCity
from evaluate.setting import START_MS
from taxi import messages as m

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass
class Ride:
    """What is kept of a ride that counts or not."""

    requested_s: float
    ends: tuple[m.Place, m.Place]
    trip_s: float
    """As long as the ride itself should be."""
    arrived_s: float | None = None
    swaps: int = 0
    promised_s: float = 0.0
    """When the present driver should be there."""


@dataclass
class Meter:
    """Follows a city step by step."""

    city: VirtualCity
    rides: dict[str, Ride] = field(default_factory=dict)
    errors_s: list[float] = field(default_factory=list)
    """Arrival minus promise."""
    cpu_ms: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Nobody has driven yet; some have a rider."""
        n, state = self.city.setting.drivers, self.city.city
        self._with_rider = np.array([state.ride_of(row + 1) is not None for row in range(n)])
        self._driven_m = np.zeros(n)
        self.busy_s, self.empty_m, self.laden_m = np.zeros(n), np.zeros(n), np.zeros(n)

    def run(self) -> None:
        """Let the city live to its end."""
        setting = self.city.setting
        for second, step in enumerate(self.city.steps()):
            self._drive(counts=setting.warm_up_s <= second < setting.counts_until_s)
            if step is not None:
                self._take(step)

    def _drive(self, *, counts: bool) -> None:
        driven_m = self.city.fleet.driven_m
        if counts:
            step_m = driven_m - self._driven_m
            self.busy_s += self._with_rider
            self.laden_m += np.where(self._with_rider, step_m, 0)
            self.empty_m += np.where(self._with_rider, 0, step_m)
        self._driven_m = driven_m.copy()

    def _take(self, step: Step) -> None:
        if step.cpu_ms is not None and step.at_s >= self.city.setting.warm_up_s:
            self.cpu_ms.append(step.cpu_ms)
        for event in step.events:
            self._note(event, (event.at_ms - START_MS) / 1000)

    def _note(self, event: m.AnyEvent, at_s: float) -> None:
        match event:
            case m.RideRequested():
                _, trip_s = self.city.roads.trip(event.pickup, event.dropoff)
                self.rides[event.ride] = Ride(at_s, (event.pickup, event.dropoff), trip_s)
            case m.RideAssigned() | m.RideReassigned():
                ride = self.rides[event.ride]
                ride.swaps += isinstance(event, m.RideReassigned) and event.from_driver is not None
                ride.promised_s = at_s + event.eta_s
            case m.DriverArrived():
                ride = self.rides[event.ride]
                ride.arrived_s = at_s
                self.errors_s.append(at_s - ride.promised_s)
                self._with_rider[event.driver - 1] = True
            case m.TripCompleted() | m.RideNoShow():
                self._with_rider[event.driver - 1] = False
            case m.RideCancelled(driver=int(driver)):
                self._with_rider[driver - 1] = False

    # --- sums ---------------------------------------------------------------------------------------

    def counted(self) -> list[Ride]:
        """Rides that were asked for when it counts."""
        setting = self.city.setting
        return [r for r in self.rides.values() if setting.warm_up_s <= r.requested_s < setting.counts_until_s]

    def row(self) -> dict[str, Any]:
        """As `taxi evaluate --json` prints it."""
        setting, counted = self.city.setting, self.counted()
        served = [ride for ride in counted if ride.arrived_s is not None]
        errors_s = np.abs(self.errors_s)
        driven_m = self.empty_m.sum() + self.laden_m.sum()
        window_s = setting.counts_until_s - setting.warm_up_s
        return {
            "requests": len(counted),
            "served": len(served),
            "served_share": round(len(served) / max(len(counted), 1), 5),
            "wait_s": _spread(waits_s(counted)),
            "empty_km_share": round(float(self.empty_m.sum() / max(driven_m, 1)), 4),
            "utilisation": round(float(self.busy_s.sum() / (setting.drivers * window_s)), 4),
            "long_trips": _of_long_trips(counted),
            "fairness_gini": round(gini(self.busy_s), 4),
            "swapped_3_share": round(sum(r.swaps >= 3 for r in served) / max(len(served), 1), 4),
            "swaps_per_ride": round(sum(r.swaps for r in served) / max(len(served), 1), 3),
            "eta_error_s": {
                **_spread(errors_s),
                "bias": round(float(np.mean(self.errors_s)), 1) if self.errors_s else 0.0,
            },
            "cpu_ms_per_batch": round(float(np.mean(self.cpu_ms)), 3),
            "cpu_ms_p99": round(float(np.percentile(self.cpu_ms, 99)), 3),
        }


def waits_s(rides: list[Ride]) -> Floats:
    """From the request to the driver at the pickup, of those rides that were served, in their order."""
    return np.array([ride.arrived_s - ride.requested_s for ride in rides if ride.arrived_s is not None])


def _of_long_trips(rides: list[Ride]) -> dict[str, float]:
    """How those fare whose trips are the longest quarter: a policy may let them wait."""
    rides = sorted(rides, key=lambda ride: ride.trip_s)[len(rides) * 3 // 4 :]
    served_s = waits_s(rides)
    return {
        "served_share": round(len(served_s) / max(len(rides), 1), 5),
        "wait_s": round(float(served_s.mean()), 2) if len(served_s) else 0.0,
    }


def _spread(values: Floats) -> dict[str, float]:
    if not len(values):
        return dict.fromkeys(("mean", "p50", "p90", "p99"), 0.0)
    at = np.percentile(values, (50, 90, 99))
    return {
        "mean": round(float(values.mean()), 2),
        **{name: round(float(value), 1) for name, value in zip(("p50", "p90", "p99"), at, strict=True)},
    }


def gini(values: Floats) -> float:
    """0: all alike; 1: one has it all."""
    ordered, n = np.sort(values), len(values)
    total = float(ordered.sum())
    if not total:
        return 0.0
    rank = 2 * np.arange(1, n + 1) - n - 1
    return float((rank * ordered).sum() / (n * total))
