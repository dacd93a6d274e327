# SPDX-License-Identifier: Apache-2.0
"""Sends idle drivers from zones that have too many to zones that will lack some."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

from dispatcher.policies.market import Drive, Ints, Longs, Market, rows_of
from taxi.roads_zones import MILLION, Zones

_TOO_FAR_MS = 1_000_000_000
_CHOICE = 3
"""Drivers to choose from for each drive."""


def drives(market: Market, taken: set[int]) -> Iterator[Drive]:
    """Each zone wants its share of demand × (idle + free soon). `taken`: drivers given a ride just now."""
    zones = market.zones
    if zones is None:
        return
    cars = rows_of(market.cars, np.flatnonzero(~np.isin(market.cars.numbers, sorted(taken))))
    here = zones.zone[np.where(cars.bound >= 0, cars.bound, cars.node)]
    surplus, lack = _balance(market, zones, here)
    most = market.tuning.reposition_drives_max
    stays = np.flatnonzero((cars.bound < 0) & (surplus[here] > 0))
    stays = stays[:: -(-len(stays) // (_CHOICE * most)) or 1]
    slots = np.repeat(np.arange(len(zones)), lack)
    slots = slots[:: -(-len(slots) // most) or 1]
    if not len(stays) or not len(slots):
        return
    eta_s = market.times.travel_time_s(cars.node[stays][:, None], zones.center[slots][None, :])
    eta_s = eta_s + cars.rest_s[stays][:, None]
    cost_ms = eta_s.astype(np.int64) * 1000
    too_far = cost_ms > market.tuning.reposition_drive_ms_max
    cost_ms[too_far] = _TOO_FAR_MS
    left = Counter(dict(enumerate(surplus.tolist())))
    for row, column in zip(*linear_sum_assignment(cost_ms), strict=True):
        zone = int(here[stays[row]])
        if not too_far[row, column] and left[zone] > 0:
            left[zone] -= 1
            there = int(slots[column])
            yield Drive(
                int(cars.numbers[stays[row]]), int(zones.center[there]), int(eta_s[row, column]), there
            )


def _balance(market: Market, zones: Zones, here: Ints) -> tuple[Longs, Longs]:
    """How many drivers each zone can spare, and how many it lacks; whole drivers, in integers."""
    riding = market.find_riding(market.tuning.reposition_horizon_ms)
    soon = riding.dropoff[riding.left_s * 1000 < market.tuning.reposition_horizon_ms]
    count = len(zones)
    supply = np.bincount(here, minlength=count) + np.bincount(zones.zone[soon], minlength=count)
    want_ppm = zones.share_ppm.astype(np.int64) * int(supply.sum())
    over_ppm = supply * MILLION - want_ppm
    surplus = np.maximum(over_ppm, 0) // MILLION
    lack = (np.maximum(-over_ppm, 0) + MILLION // 2) // MILLION
    return surplus, lack
