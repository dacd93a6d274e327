# SPDX-License-Identifier: Apache-2.0
"""`fifo`: rides in the order of their requests, each to the nearest driver who is still free."""

from collections.abc import Iterator

import numpy as np

from dispatcher.policies.market import FAR_S, Market, Offer


class Fifo:
    """Serves the oldest ride first.

    It drives more empty kilometres, because it sends distant drivers to it.
    """

    name = "fifo"

    def decide(self, market: Market) -> Iterator[Offer]:
        """Make one pass over the rides, oldest first. Ties go to the lower driver number."""
        market = market.for_a_table()
        eta_s = market.eta_s.copy()  # (n_rides, n_cars); a column is set to FAR_S once its driver is taken
        for ride in range(len(eta_s)):
            if not eta_s.shape[1]:
                return
            car = int(np.argmin(eta_s[ride]))
            if eta_s[ride, car] < FAR_S:
                yield market.offer(ride, car)
                eta_s[:, car] = FAR_S
