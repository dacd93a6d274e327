# SPDX-License-Identifier: Apache-2.0
"""Matching policies: plug-ins that assign waiting rides to drivers (docs/policies.md).

A policy is a pure function of its `Market`: it reads no clock and no random numbers, its costs are integers,
ties are broken by id, and it keeps no state of its own. Therefore a replay of a batch makes the same
decisions.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from dispatcher.policies.batched import Batched
from dispatcher.policies.fifo import Fifo
from dispatcher.policies.greedy import Greedy
from dispatcher.policies.market import Chain, Decision, Drive, Market, Offer

__all__ = ["POLICIES", "Chain", "Decision", "Drive", "Market", "Offer", "Policy"]


class Policy(Protocol):
    """The interface of a policy."""

    name: str
    """Its value of TAXI_POLICY."""

    def decide(self, market: Market) -> Iterable[Decision]:
        """Decide for one batch.

        Returns:
            Offers, chains and drives. A ride or driver occurs in at most one of them, and no pair has the
            travel time FAR_S.
        """


POLICIES: Final[dict[str, Policy]] = {policy.name: policy for policy in (Batched(), Greedy(), Fifo())}
"""Name (the value of TAXI_POLICY) → policy."""
