# SPDX-License-Identifier: Apache-2.0
"""`greedy`: the globally nearest pair first. The honest baseline."""

from collections.abc import Iterator

import numpy as np

from dispatcher.policies.market import FAR_S, Market, Match


class Greedy:
    """Takes the pair with the shortest drive to the pickup, then the next of those still free."""

    name = "greedy"

    def match(self, market: Market) -> Iterator[Match]:
        """Pairs by driving time; ties by the age of the ride, then by the driver's number."""
        n_rides, n_drivers = market.eta_s.shape
        order = np.argsort(market.eta_s, axis=None, kind="stable")
        ride_free, driver_free = [True] * n_rides, [True] * n_drivers
        left = min(n_rides, n_drivers)
        for pair in order.tolist():
            if not left:
                return
            row, column = divmod(pair, n_drivers)
            eta_s = int(market.eta_s[row, column])
            if eta_s >= FAR_S:
                return
            if ride_free[row] and driver_free[column]:
                ride_free[row] = driver_free[column] = False
                left -= 1
                driver = int(market.drivers[column])
                yield Match(market.rides[row], driver, eta_s, market.candidates(row))
