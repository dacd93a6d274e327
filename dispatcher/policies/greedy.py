# SPDX-License-Identifier: Apache-2.0
"""`greedy`: the globally nearest pair first. The honest baseline."""

from collections.abc import Iterator

import numpy as np

from dispatcher.policies.market import FAR_S, Market, Offer


class Greedy:
    """Takes the pair with the shortest drive to the pickup, then the next of those still free."""

    name = "greedy"

    def decide(self, market: Market) -> Iterator[Offer]:
        """Pairs by driving time; ties by the age of the ride, then by the driver's number."""
        eta_s = market.eta_s.copy()
        for _ in range(min(eta_s.shape)):
            ride, car = divmod(int(np.argmin(eta_s)), eta_s.shape[1])
            if eta_s[ride, car] >= FAR_S:
                return
            yield market.offer(ride, car)
            eta_s[ride, :] = eta_s[:, car] = FAR_S
