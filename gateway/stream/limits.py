# SPDX-License-Identifier: Apache-2.0
"""How much one address, or one connection, may ask for. Plain data; time is handed in."""

import ipaddress
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

_KEYS_MAX: Final = 10_000


@dataclass(frozen=True)
class Rate:
    """So many a second in the long run, and so many at once."""

    per_s: float
    burst: int


class Meter:
    """When the next one of a key is due: a token bucket as one number.

    (The generic cell rate algorithm, ITU-T I.371: a bucket that is full needs no memory.)
    """

    __slots__ = ("_due_s", "_rate")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._due_s = float("-inf")

    def take(self, now_s: float) -> float:
        """0 if it may go on, else after how many seconds it may."""
        ahead_s = max(0.0, self._due_s - now_s)
        wait_s = ahead_s - (self._rate.burst - 1) / self._rate.per_s
        if wait_s > 1e-9:
            return wait_s
        self._due_s = now_s + ahead_s + 1 / self._rate.per_s
        return 0.0

    def is_full(self, now_s: float) -> bool:
        """Whether forgetting it changes nothing."""
        return self._due_s <= now_s


class Meters:
    """One for each key, and no more than can be afforded."""

    def __init__(self, rate: Rate, keys_max: int = _KEYS_MAX) -> None:
        self._rate = rate
        self._keys_max = keys_max
        self._meters: dict[Hashable, Meter] = {}

    def take(self, key: Hashable, now_s: float) -> float:
        """As `Meter.take`."""
        meter = self._meters.get(key)
        if meter is None:
            if len(self._meters) >= self._keys_max:
                self._forget(now_s)
            meter = self._meters[key] = Meter(self._rate)
        return meter.take(now_s)

    def _forget(self, now_s: float) -> None:
        """Those that say nothing; else the oldest, for want of memory."""
        self._meters = {key: meter for key, meter in self._meters.items() if not meter.is_full(now_s)}
        while len(self._meters) >= self._keys_max:
            del self._meters[next(iter(self._meters))]


class Seats:
    """Connections, all together and of each address."""

    def __init__(self, together_max: int, address_max: int) -> None:
        self._together_max = together_max
        self._address_max = address_max
        self._taken: Counter[str] = Counter()
        self._together = 0

    def enter(self, address: str | None) -> bool:
        """Take a seat if there is one. None: an address that is not counted."""
        if self._together >= self._together_max:
            return False
        if address is not None:
            if self._taken[address] >= self._address_max:
                return False
            self._taken[address] += 1
        self._together += 1
        return True

    def leave(self, address: str | None) -> None:
        self._together -= 1
        if address is not None:
            self._taken[address] -= 1
            if not self._taken[address]:
                del self._taken[address]


def counted(peer: str, *, loopback: bool) -> str | None:
    """What a peer's limits are counted under; None: not at all. `loopback`: count this machine, too.

    A household has a whole /64 of IPv6, so that counts as one.
    """
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return counted(str(address.ipv4_mapped), loopback=loopback)
        if not address.is_loopback:
            return str(ipaddress.ip_network((address, 64), strict=False))
    return None if address.is_loopback and not loopback else str(address)
