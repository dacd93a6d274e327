# SPDX-License-Identifier: Apache-2.0
"""`batched`: minimum-cost assignment, re-matching before the pickup, and repositioning of idle drivers."""

from collections.abc import Iterator

from dispatcher.policies.joint import solve
from dispatcher.policies.market import Chain, Decision, Market, Offer
from dispatcher.policies.reposition import drives


class Batched:
    """The default policy. docs/policies.md describes it and its results."""

    name = "batched"

    def decide(self, market: Market) -> Iterator[Decision]:
        """Make offers in every batch, and chains and drives at the intervals in `market.tuning`."""
        taken: set[int] = set()
        for decision in solve(market, rematch=market.is_due(market.tuning.rematch_interval_ms)):
            taken |= _drivers(decision)
            yield decision
        if market.is_due(market.tuning.reposition_interval_ms):
            yield from drives(market, taken)


def _drivers(decision: Offer | Chain) -> set[int]:
    moves = (decision,) if isinstance(decision, Offer) else decision.moves
    return {move.choice.driver for move in moves}
