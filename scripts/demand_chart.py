# SPDX-License-Identifier: Apache-2.0
"""Draws docs/images/demand.png: a week of simulated requests beside the trips that they are drawn from.

`python -m scripts.demand_chart`. tests/unit/simulator/test_simulator_demand.py makes the same comparison.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.demand_by_hour import FACTORS
from simulator.riders import Riders
from simulator.settings import CityBehavior
from taxi.messages import RequestRide
from taxi.roads.network import RoadNetwork, TripDemand
from taxi.roads.zones import Zones

PATH = Path(__file__).resolve().parents[1] / "docs" / "images" / "demand.png"
MONDAY_MS = 1_780_290_000_000
"""2026-06-01T05:00Z: a Monday begins in Manhattan, which counts five hours behind all year."""
WEEK_MS = 7 * 24 * 3_600_000
RATE_PER_S = 0.05
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Ways(NamedTuple):
    """Ends of rides or trips, and how often each pair occurs."""

    origin: Ints
    target: Ints
    times: Ints


def requested(roads: RoadNetwork, requests: list[RequestRide]) -> Ways:
    """The ends of simulated requests."""
    origin = roads.nodes_of([request.pickup for request in requests])
    target = roads.nodes_of([request.dropoff for request in requests])
    return Ways(origin.astype(np.int64), target.astype(np.int64), np.ones(len(requests), np.int64))


def recorded(demand: TripDemand) -> Ways:
    """The ends of the city's trips."""
    return Ways(*(part.astype(np.int64) for part in (demand.from_node, demand.to_node, demand.count)))


def lengths_s(roads: RoadNetwork, ways: Ways) -> Floats:
    """Driving times of the pairs, in seconds."""
    seconds: Floats = roads.travel_time_s(ways.origin, ways.target).astype(np.float64)
    return seconds


def kolmogorov_smirnov(values: Floats, count: Ints, others: Floats, others_count: Ints) -> float:
    """The greatest distance of two cumulative distributions with counts."""
    at = np.unique(np.concatenate((values, others)))

    def cumulative(sample: Floats, weight: Ints) -> Floats:
        order = np.argsort(sample)
        sums = np.concatenate(([0], np.cumsum(weight[order])))
        shares: Floats = sums[np.searchsorted(sample[order], at, side="right")] / sums[-1]
        return shares

    return float(np.abs(cumulative(values, count) - cumulative(others, others_count)).max())


def zone_shares(zones: Zones, ways: Ways) -> Floats:
    """(z, z) the share of each pair of zones, from and to."""
    n = len(zones)
    pair = zones.zone[ways.origin].astype(np.int64) * n + zones.zone[ways.target]
    counts = np.bincount(pair, weights=ways.times, minlength=n * n)
    shares: Floats = (counts / counts.sum()).reshape(n, n)
    return shares


def by_hour(requests: list[RequestRide], riders: Riders) -> Ints:
    """(168,) how many are requested in each hour of the week that begins at MONDAY_MS."""
    hours = [(riders.asked_ms(request.ride) - MONDAY_MS) // 3_600_000 for request in requests]
    return np.bincount(hours, minlength=len(FACTORS))


def week(roads: RoadNetwork, demand: TripDemand) -> tuple[Riders, list[RequestRide]]:
    """A week of requests by hour."""
    riders = Riders(roads, demand, CityBehavior(), seed=7, rate_per_s=RATE_PER_S, by_hour=True)
    return riders, riders.requests(MONDAY_MS, MONDAY_MS + WEEK_MS - 1)


def main() -> None:
    """Draw."""
    import matplotlib as mpl  # noqa: PLC0415 - for the picture alone

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    roads, demand = RoadNetwork.load("manhattan").prepare(), TripDemand.load("manhattan")
    zones = Zones.load("manhattan")
    assert zones is not None
    riders, requests = week(roads, demand)
    rides, trips = requested(roads, requests), recorded(demand)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.8), dpi=110)
    bins = np.arange(0, 2700, 60)
    for ways, label, style in (
        (trips, f"{trips.times.sum():,} trips", {"histtype": "stepfilled", "color": "#c9d3e2"}),
        (rides, f"{len(requests):,} requests", {"histtype": "step", "color": "#1f4e9c", "linewidth": 1.4}),
    ):
        seconds = lengths_s(roads, ways)
        left.hist(seconds / 60, bins / 60, weights=ways.times / ways.times.sum(), label=label, **style)
    left.set(xlabel="driving time, minutes", ylabel="share", title="How far")
    left.legend(frameon=False)
    recorded_share, requested_share = zone_shares(zones, trips), zone_shares(zones, rides)
    most = max(recorded_share.max(), requested_share.max()) * 100
    middle.plot([0, most], [0, most], color="#999999", linewidth=0.8)
    percents = recorded_share.ravel() * 100, requested_share.ravel() * 100
    middle.plot(*percents, ".", color="#1f4e9c", markersize=3)
    middle.set(xlabel="of the trips, %", ylabel="of the requests, %", title=f"{len(zones)}² pairs of zones")
    hours = np.arange(len(FACTORS))
    right.plot(hours / 24, np.array(FACTORS) * RATE_PER_S * 3600, color="#999999", label="profile")
    right.plot(hours / 24, by_hour(requests, riders), ".", color="#1f4e9c", markersize=3, label="requests")
    right.set(xlabel="day, from Monday", ylabel="in an hour", title="When", xticks=range(8))
    right.set_ylim(0, max(FACTORS) * RATE_PER_S * 3600 * 1.35)
    right.legend(frameon=False, loc="upper left", ncols=2)
    figure.tight_layout()
    figure.savefig(PATH)
    ks = kolmogorov_smirnov(lengths_s(roads, rides), rides.times, lengths_s(roads, trips), trips.times)
    apart = np.abs(recorded_share - requested_share).sum() / 2
    bound = 1.36 * math.sqrt((len(requests) + trips.times.sum()) / (len(requests) * trips.times.sum()))
    print(f"{len(requests):,} requests; Kolmogorov-Smirnov {ks:.4f} (5 % bound {bound:.4f}); ", end="")
    print(f"total variation of zone pairs {apart:.3f}")


if __name__ == "__main__":
    main()
