# SPDX-License-Identifier: Apache-2.0
"""`fifo`: the oldest ride first, each to the nearest driver who is still free."""

from collections.abc import Iterator

import numpy as np

from dispatcher.policies.market import FAR_S, Market, Match


class Fifo:
    """Fair in order, costly in kilometres: it chases far-off drivers for old requests."""

    name = "fifo"

    def match(self, market: Market) -> Iterator[Match]:
        """One pass over the rides, oldest first."""
        eta_s = market.eta_s.copy()
        for row, ride in enumerate(market.rides):
            if not eta_s.shape[1]:
                return
            column = int(np.argmin(eta_s[row]))
            if eta_s[row, column] >= FAR_S:
                continue
            driver = int(market.drivers[column])
            yield Match(ride, driver, int(market.eta_s[row, column]), market.candidates(row))
            eta_s[:, column] = FAR_S
