# SPDX-License-Identifier: Apache-2.0
"""Matching policies: plug-ins that pair waiting rides with idle drivers.

A policy is a pure function of the market it is given: no clock, no chance but hashes, integers for
costs, ties by id. Then replaying a batch gives the same offers.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from dispatcher.policies.fifo import Fifo
from dispatcher.policies.greedy import Greedy
from dispatcher.policies.market import Market, Match

__all__ = ["POLICIES", "Market", "Match", "Policy"]


class Policy(Protocol):
    """What a plug-in offers."""

    name: str

    def match(self, market: Market) -> Iterable[Match]:
        """Offers to make now, each ride and each driver at most once."""


POLICIES: Final[dict[str, Policy]] = {policy.name: policy for policy in (Greedy(), Fifo())}
"""By name, as in TAXI_POLICY."""
