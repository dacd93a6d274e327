# SPDX-License-Identifier: Apache-2.0
"""Limits of rates and connections, per address and in total. Deterministic: callers pass the time."""

import ipaddress
from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

_KEYS_MAX: Final = 10_000


@dataclass(frozen=True)
class Rate:
    """A rate limit, as for a token bucket."""

    per_s: float
    """The average rate."""
    burst: int
    """How many are permitted at once after a pause; at least 1."""


class Gcra:
    """A rate limiter: the generic cell rate algorithm (ITU-T I.371), a token bucket with one number as state.

    It stores the time at which the bucket will be full again.
    """

    __slots__ = ("_due_s", "_rate")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._due_s = float("-inf")

    def take(self, now_s: float) -> float:
        """Count one event if the rate permits it.

        Args:
            now_s: The time, from any monotonic clock.

        Returns:
            0 if it is permitted, otherwise after how many seconds it would be. Then it is not counted.
        """
        ahead_s = max(0.0, self._due_s - now_s)
        wait_s = ahead_s - (self._rate.burst - 1) / self._rate.per_s
        if wait_s > 1e-9:
            return wait_s
        self._due_s = now_s + ahead_s + 1 / self._rate.per_s
        return 0.0

    def is_full(self, now_s: float) -> bool:
        """Whether the bucket is full: then a new limiter behaves in the same way."""
        return self._due_s <= now_s


class GcraPerKey:
    """A rate limiter for each key, with a maximum number of keys."""

    def __init__(self, rate: Rate, keys_max: int = _KEYS_MAX) -> None:
        self._rate = rate
        self._keys_max = keys_max
        self._meters: dict[Hashable, Gcra] = {}

    def take(self, key: Hashable, now_s: float) -> float:
        """Count one event of `key`; returns the same as `Gcra.take`."""
        meter = self._meters.get(key)
        if meter is None:
            if len(self._meters) >= self._keys_max:
                self._prune(now_s)
            meter = self._meters[key] = Gcra(self._rate)
        return meter.take(now_s)

    def _prune(self, now_s: float) -> None:
        """Remove full limiters, and if that is not enough, the oldest ones."""
        self._meters = {key: meter for key, meter in self._meters.items() if not meter.is_full(now_s)}
        while len(self._meters) >= self._keys_max:
            del self._meters[next(iter(self._meters))]


class SlidingWindowLimiter:
    """Sliding-window rate limiter: at most `per_s` per second, without a burst after a pause."""

    def __init__(self, per_s: float, window_s: float) -> None:
        """Count in intervals of `window_s`, or of `1 / per_s` if that is longer."""
        self._window_s = max(window_s, 1 / per_s)
        self._went_s: deque[float] = deque(maxlen=max(1, int(per_s * self._window_s)))

    def free_s(self) -> float:
        """The earliest time of the next one (monotonic clock); 0 if there is no limit now."""
        if len(self._went_s) < (self._went_s.maxlen or 0):
            return 0.0
        return self._went_s[0] + self._window_s

    def went(self, now_s: float) -> None:
        """Count one at `now_s`."""
        self._went_s.append(now_s)


class ConnectionLimiter:
    """Counts connections against two limits: all connections, and those of each address."""

    def __init__(self, total_max: int, address_max: int) -> None:
        self._total_max = total_max
        self._address_max = address_max
        self._taken: Counter[str] = Counter()
        self._total = 0

    def enter(self, address: str | None) -> bool:
        """Count a connection if neither limit is reached; otherwise return False.

        `address` None: only the limit of all connections applies.
        """
        if self._total >= self._total_max:
            return False
        if address is not None:
            if self._taken[address] >= self._address_max:
                return False
            self._taken[address] += 1
        self._total += 1
        return True

    @property
    def total(self) -> int:
        """How many connections are counted."""
        return self._total

    def leave(self, address: str | None) -> None:
        """Stop counting a connection that `enter` counted."""
        self._total -= 1
        if address is not None:
            self._taken[address] -= 1
            if not self._taken[address]:
                del self._taken[address]


def rate_limit_key(peer: str, *, loopback: bool) -> str | None:
    """The key of a peer's limits: its IPv4 address, or its /64 network of IPv6, which one household has.

    Args:
        peer: Its address, as text.
        loopback: Whether this machine's own addresses are limited, too.

    Returns:
        The key, or None if no limits apply. Text that is not an address is its own key.
    """
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return rate_limit_key(str(address.ipv4_mapped), loopback=loopback)
        if not address.is_loopback:
            return str(ipaddress.ip_network((address, 64), strict=False))
    return None if address.is_loopback and not loopback else str(address)
