# SPDX-License-Identifier: Apache-2.0
"""Repositioning: sends idle drivers from zones with a surplus to zones with a shortage.

A zone's target is its share of demand × the drivers who are idle or will be free within the horizon. Drivers
of zones above their target (rows) are assigned to open slots of zones below it (columns) with the least
driving time in total.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

from dispatcher.policies.market import Drive, Ints, Longs, Market, rows_of
from taxi.roads.zones import MILLION, Zones

_TOO_FAR_MS = 1_000_000_000
"""The cost of a drive longer than `reposition_drive_ms_max`. The solver may choose it; then it is dropped."""
_CHOICE = 3
"""How many drivers take part for each possible drive."""


def drives(market: Market, taken: set[int]) -> Iterator[Drive]:
    """Choose the drives of this batch; none if the city has no zones.

    Args:
        market: The market of this batch.
        taken: Numbers of the drivers who got a ride in this batch.
    """
    zones = market.zones
    if zones is None:
        return
    cars = rows_of(market.cars, np.flatnonzero(~np.isin(market.cars.numbers, sorted(taken))))
    # (n_cars,) the zone of each idle driver; of a driver who was sent somewhere, the destination's.
    here = zones.zone[np.where(cars.bound >= 0, cars.bound, cars.node)]
    surplus, lack = _balance(market, zones, here)  # (z,) whole drivers
    most = market.tuning.reposition_drives_max
    # Rows: drivers in zones with a surplus, who were not sent already. The step is a ceiling division: it
    # keeps at most _CHOICE × most of them, evenly over their numbers.
    stays = np.flatnonzero((cars.bound < 0) & (surplus[here] > 0))
    stays = stays[:: -(-len(stays) // (_CHOICE * most)) or 1]
    # Columns: one slot for each driver that a zone lacks, as the zone's number; at most `most`, in the same
    # way.
    slots = np.repeat(np.arange(len(zones)), lack)
    slots = slots[:: -(-len(slots) // most) or 1]
    if not len(stays) or not len(slots):
        return
    # (rows, columns) driving time of a driver to the centre of a slot's zone.
    eta_s = market.times.travel_time_s(cars.node[stays][:, None], zones.center[slots][None, :])
    eta_s = eta_s + cars.rest_s[stays][:, None]
    cost_ms = eta_s.astype(np.int64) * 1000
    too_far = cost_ms > market.tuning.reposition_drive_ms_max
    cost_ms[too_far] = _TOO_FAR_MS
    left = Counter(dict(enumerate(surplus.tolist())))  # zone → drivers that it can still spare
    for row, column in zip(*linear_sum_assignment(cost_ms), strict=True):
        zone = int(here[stays[row]])
        if not too_far[row, column] and left[zone] > 0:
            left[zone] -= 1
            there = int(slots[column])
            yield Drive(
                int(cars.numbers[stays[row]]), int(zones.center[there]), int(eta_s[row, column]), there
            )


def _balance(market: Market, zones: Zones, here: Ints) -> tuple[Longs, Longs]:
    """How many drivers each zone can spare, and how many it lacks: two arrays of shape (z,).

    Integer arithmetic in millionths of a driver; a surplus is rounded down, a shortage to the nearest.
    """
    riding = market.find_riding(market.tuning.reposition_horizon_ms)
    soon = riding.dropoff[riding.left_s * 1000 < market.tuning.reposition_horizon_ms]  # nodes
    count = len(zones)
    # (z,) drivers: idle ones by their zone, and those who will be free by the zone of their drop-off.
    supply = np.bincount(here, minlength=count) + np.bincount(zones.zone[soon], minlength=count)
    want_ppm = zones.share_ppm.astype(np.int64) * int(supply.sum())
    over_ppm = supply * MILLION - want_ppm  # above 0: surplus
    surplus = np.maximum(over_ppm, 0) // MILLION
    lack = (np.maximum(-over_ppm, 0) + MILLION // 2) // MILLION
    return surplus, lack
