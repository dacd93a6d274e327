# SPDX-License-Identifier: Apache-2.0
"""Matching policies: plug-ins that pair waiting rides with idle drivers (docs/policies.md).

A policy is a pure function of the market it is given: no clock, no chance but hashes, integers for
costs, ties by id, and no memory: what it must remember is in the city's state. Then replaying a batch
gives the same decisions.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from dispatcher.policies.batched import Batched
from dispatcher.policies.fifo import Fifo
from dispatcher.policies.greedy import Greedy
from dispatcher.policies.market import Chain, Decision, Drive, Market, Offer

__all__ = ["POLICIES", "Chain", "Decision", "Drive", "Market", "Offer", "Policy"]


class Policy(Protocol):
    """What a plug-in offers."""

    name: str

    def decide(self, market: Market) -> Iterable[Decision]:
        """What to do now: no ride and no driver twice."""


POLICIES: Final[dict[str, Policy]] = {policy.name: policy for policy in (Batched(), Greedy(), Fifo())}
"""By name, as in TAXI_POLICY."""
