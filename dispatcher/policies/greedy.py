# SPDX-License-Identifier: Apache-2.0
"""`greedy`: the pair with the shortest drive of all first. The baseline for other policies."""

from collections.abc import Iterator

import numpy as np

from dispatcher.policies.market import FAR_S, Market, Offer


class Greedy:
    """Repeatedly takes the pair with the shortest drive to the pickup among those that are still free."""

    name = "greedy"

    def decide(self, market: Market) -> Iterator[Offer]:
        """Offer pairs in the order of their driving times.

        Ties go to the older ride, then the lower number.
        """
        market = market.for_a_table()
        eta_s = market.eta_s.copy()  # (n_rides, n_cars); FAR_S once the ride or the driver is taken
        if not eta_s.size:
            return
        nearest = eta_s.argmin(axis=1)  # (n_rides,) the best free column of each row…
        best_s = eta_s[np.arange(len(eta_s)), nearest]  # …and its driving time
        while best_s[ride := int(np.argmin(best_s))] < FAR_S:
            car = int(nearest[ride])
            yield market.offer(ride, car)
            eta_s[ride, :] = eta_s[:, car] = best_s[ride] = FAR_S
            again = np.flatnonzero((nearest == car) & (best_s < FAR_S))  # rows whose nearest driver was taken
            nearest[again] = eta_s[again].argmin(axis=1)
            best_s[again] = eta_s[again, nearest[again]]
