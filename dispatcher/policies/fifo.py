# SPDX-License-Identifier: Apache-2.0
"""`fifo`: the oldest ride first, each to the nearest driver who is still free."""

from collections.abc import Iterator

import numpy as np

from dispatcher.policies.market import FAR_S, Market, Offer


class Fifo:
    """Fair in order, costly in kilometres: it chases far-off drivers for old requests."""

    name = "fifo"

    def decide(self, market: Market) -> Iterator[Offer]:
        """One pass over the rides, oldest first."""
        eta_s = market.eta_s.copy()
        for ride in range(len(eta_s)):
            if not eta_s.shape[1]:
                return
            car = int(np.argmin(eta_s[ride]))
            if eta_s[ride, car] < FAR_S:
                yield market.offer(ride, car)
                eta_s[:, car] = FAR_S
