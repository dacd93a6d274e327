# SPDX-License-Identifier: Apache-2.0
"""The results of a run: waits, kilometres, utilisation and fairness of drivers, accuracy of arrival times."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from taxi import messages as m
from taxistream.tools.evaluate.city import EvaluationStep, VirtualCity
from taxistream.tools.evaluate.scenario import START_MS

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass
class MeasuredRide:
    """The figures of one ride. Times are seconds of city time since the start of the run."""

    requested_s: float
    ends: tuple[m.Place, m.Place]
    """Pickup and drop-off."""
    trip_s: float
    """Driving time from pickup to drop-off."""
    arrived_s: float | None = None
    """When the driver was at the pickup; None if no driver was."""
    swaps: int = 0
    """How often its driver was changed."""
    promised_s: float = 0.0
    """When the current driver should arrive."""


@dataclass
class EvaluationMetrics:
    """Runs a city and collects its figures."""

    city: VirtualCity
    rides: dict[str, MeasuredRide] = field(default_factory=dict)
    errors_s: list[float] = field(default_factory=list)
    """Arrival − promised arrival, for each arrival."""
    cpu_ms: list[float] = field(default_factory=list)
    """CPU times of the measured batches."""

    def __post_init__(self) -> None:
        """Begin with the drivers who have a rider at the start."""
        n, state = self.city.setting.drivers, self.city.city
        self._with_rider = np.array([state.ride_of(row + 1) is not None for row in range(n)])
        self._driven_m = np.zeros(n)
        self.busy_s, self.empty_m, self.laden_m = np.zeros(n), np.zeros(n), np.zeros(n)

    def run(self) -> None:
        """Run the city to its end."""
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

    def _take(self, step: EvaluationStep) -> None:
        if step.cpu_ms is not None and step.at_s >= self.city.setting.warm_up_s:
            self.cpu_ms.append(step.cpu_ms)
        for event in step.events:
            self._note(event, (self.city.city.time.at(event.at_ms) - START_MS) / 1000)

    def _note(self, event: m.AnyEvent, at_s: float) -> None:
        match event:
            case m.RideRequested():
                _, trip_s = self.city.roads.trip(event.pickup, event.dropoff)
                self.rides[event.ride] = MeasuredRide(at_s, (event.pickup, event.dropoff), trip_s)
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

    def counted(self) -> list[MeasuredRide]:
        """The rides that were requested in the measured time."""
        setting = self.city.setting
        return [r for r in self.rides.values() if setting.warm_up_s <= r.requested_s < setting.counts_until_s]

    def row(self) -> dict[str, Any]:
        """The figures, as `taxi evaluate --json` prints them."""
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


def waits_s(rides: list[MeasuredRide]) -> Floats:
    """The waits of the served rides, from the request to the driver's arrival, in their order."""
    return np.array([ride.arrived_s - ride.requested_s for ride in rides if ride.arrived_s is not None])


def _of_long_trips(rides: list[MeasuredRide]) -> dict[str, float]:
    """Figures of the quarter of rides with the longest trips, which a policy may disadvantage."""
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
    """The Gini coefficient: 0 if all values are equal, towards 1 if one value is everything."""
    ordered, n = np.sort(values), len(values)
    total = float(ordered.sum())
    if not total:
        return 0.0
    rank = 2 * np.arange(1, n + 1) - n - 1
    return float((rank * ordered).sum() / (n * total))
