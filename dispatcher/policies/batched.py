# SPDX-License-Identifier: Apache-2.0
"""`batched`: the cheapest assignment of all, rides matched anew before their pickup, drivers sent ahead."""

from collections.abc import Iterator

from dispatcher.policies.joint import solve
from dispatcher.policies.market import Chain, Decision, Market, Offer
from dispatcher.policies.reposition import drives


class Batched:
    """The default. What it does and how good it is stands in docs/policies.md."""

    name = "batched"

    def decide(self, market: Market) -> Iterator[Decision]:
        """Offers every time, chains and drives in their own rhythm."""
        taken: set[int] = set()
        for decision in solve(market, rematch=market.is_due(market.tuning.rematch_interval_ms)):
            taken |= _drivers(decision)
            yield decision
        if market.is_due(market.tuning.reposition_interval_ms):
            yield from drives(market, taken)


def _drivers(decision: Offer | Chain) -> set[int]:
    moves = (decision,) if isinstance(decision, Offer) else decision.moves
    return {move.choice.driver for move in moves}
