# SPDX-License-Identifier: Apache-2.0
"""The settings of a gateway that concern its clients."""

from dataclasses import dataclass

from gateway.access.tokens import Keys


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The settings of a gateway that concern its clients."""

    city: str
    """The city that it shows."""
    gateway: str
    """The gateway's name, in `ready`."""
    cut_interval_ms: int
    clients_max: int
    address_clients_max: int
    limit_loopback: bool
    drain_per_s: float
    keys: Keys
