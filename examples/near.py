# SPDX-License-Identifier: Apache-2.0
"""A policy in 20 lines, which beats `greedy` (docs/policies.md).

taxi evaluate --policy greedy --policy examples/near.py:Near
"""

from collections.abc import Iterator

import numpy as np

from dispatcher.policies.market import FAR_S, Market, Offer


class Near:
    """The nearest pair first, but none that is too far apart."""

    name = "near"

    def decide(self, market: Market) -> Iterator[Offer]:
        far_s = 240 + market.rides.waited_s[:, None]
        cost = np.where(market.eta_s < far_s, market.eta_s, FAR_S)
        for _ in range(min(cost.shape)):
            ride, car = divmod(int(np.argmin(cost)), cost.shape[1])
            if cost[ride, car] >= FAR_S:
                return
            yield market.offer(ride, car)
            cost[ride, :] = cost[:, car] = FAR_S
