# SPDX-License-Identifier: Apache-2.0
"""Limits the HTTP connections of a server: in total, per address, and by free file descriptors.

Opening a connection is cheap for its sender, so idle connections must not prevent new ones. While there is
room, an idle connection stays until its time limit. If there is none, the connection that has been idle
longest is closed for the new one. A client that sends its request at once is never idle for long.
"""

import errno
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from taxi.runtime import descriptors
from taxi.runtime.faults import Faults

REPORT_S: Final = 60.0
"""Refused connections are logged at most once in this time."""
BUSY_S: Final = 10.0
"""A connection with a request is not closed for a new one before the request is this old."""
_CALM_S: Final = 10.0
"""The fault `descriptors_low` is cleared after this time without a shortage."""


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """Limits of HTTP connections. Open WebSockets are limited elsewhere."""

    idle: int = 4_096
    """Idle connections of all addresses. If it is small, clients that reconnect together close each other's
    connections. If it is large, memory is used: each takes some 10 KB."""
    per_address: int = 1_000
    """Connections of one address, idle or not. A page opens six, and a school or an office may share one
    address."""


class HeldConnection(Protocol):
    """The part of a connection that `Admission` uses."""

    def drop(self) -> None:
        """Close now, without an answer."""


class AdmissionLog(Protocol):
    """The part of `taxi.runtime.env.Log` that is used here."""

    def warning(self, event: str, **fields: Any) -> Any: ...


def _no_address(_: str) -> None:
    """Default of `address_of`: no limits per address."""


def _always(_: str, __: float) -> bool:
    return True


class Admission:
    """Admits the HTTP connections of one server and counts those that it refuses or closes.

    A connection is idle or busy: `enter` (idle), then `works` and `rests` for each request, then `leave`, or
    `upgrade` and `socket_left`. `now_s` is the event loop's time everywhere.

    Args:
        places: The limits.
        address_of: Peer address → the key of its limits; None for no limits per address, as for a proxy.
        may_connect: (key, loop time) → whether this peer may open another connection now.
        failed: Called with the reason of each connection that is refused or closed.
        log: Gets a summary once a minute.
        faults: Gets the fault `descriptors_low`.
    """

    def __init__(
        self,
        places: ConnectionLimits | None = None,
        *,
        address_of: Callable[[str], str | None] = _no_address,
        may_connect: Callable[[str, float], bool] = _always,
        failed: Callable[[str], None] | None = None,
        log: AdmissionLog | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._places = places or ConnectionLimits()
        self._address_of = address_of
        self._may_connect = may_connect
        self._failed = failed
        self._log = log
        self._faults = faults
        self._all = _Crowd()
        self._of_address: dict[str, _Crowd] = {}
        self._addresses: dict[HeldConnection, str] = {}
        self._dropped: set[HeldConnection] = set()
        """Connections that were dropped for others and still hold their descriptor."""
        self._sockets = 0
        """Open WebSockets."""
        self._reserve = descriptors.reserve()
        self._room = 0
        """How many connections the free descriptors suffice for, including the present ones."""
        self._measure()
        self._short_s: float | None = None
        """When a client was last short of a descriptor."""
        self._unreported: Counter[str] = Counter()
        self._report_s = float("-inf")

    @property
    def held(self) -> int:
        """The number of connections, including WebSockets."""
        return len(self._all) + self._sockets

    @property
    def may_accept(self) -> bool:
        """Whether a descriptor is left. A dropped connection keeps its own until it is closed."""
        return self.held + len(self._dropped) < self._room + self._reserve // 2

    def may_come(self, peer: str, now_s: float) -> bool:
        """Whether a peer may open another connection now.

        It is cheap, as a flood of connections ends here.
        """
        address = self._address_of(peer)
        if address is not None and not self._may_connect(address, now_s):
            return self._refuse("rate")
        return True

    def enter(self, connection: HeldConnection, peer: str, now_s: float) -> bool:
        """Admit a new connection as idle, if necessary by dropping another one.

        Returns:
            False if it is refused; the caller closes it.
        """
        address = self._address_of(peer)
        own = self._of_address.get(address) if address is not None else None
        if own is not None and len(own) >= self._places.per_address and not self._drop(own.oldest_idle):
            return self._refuse("address")
        if self.held >= self._room:
            self._short_s = now_s
            if not self._drop(self._all.oldest_idle or self._all.busy_since(now_s - BUSY_S), "descriptors"):
                return self._refuse("descriptors")
        elif len(self._all.idle) >= self._places.idle:
            self._drop(self._all.oldest_idle)
        self._all.idle[connection] = None
        if address is not None:
            self._addresses[connection] = address
            self._of_address.setdefault(address, _Crowd()).idle[connection] = None
        return True

    def fell_short(self, error: OSError, now_s: float) -> None:
        """Record that `accept` failed. If descriptors are short, drop idle connections."""
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            self._short_s = now_s
            self.note("descriptors")
            self._measure()
            while self.held >= self._room and self._drop(self._all.oldest_idle, "descriptors"):
                pass
        else:
            self.note("system")

    def works(self, connection: HeldConnection, now_s: float) -> None:
        """Mark a connection as busy: it has sent a complete request head. It is not dropped for others."""
        for crowd in self._crowds(connection):
            crowd.works(connection, now_s)

    def rests(self, connection: HeldConnection) -> None:
        """Mark a connection as idle: its request was answered."""
        for crowd in self._crowds(connection):
            crowd.rests(connection)

    def upgrade(self, connection: HeldConnection) -> None:
        """Count a connection as a WebSocket from now on. `socket_left` must be called when it is closed."""
        self.leave(connection)
        self._sockets += 1

    def socket_left(self) -> None:
        """Count a WebSocket as closed."""
        self._sockets -= 1

    def leave(self, connection: HeldConnection) -> None:
        """Remove a closed connection. May be called twice."""
        self._dropped.discard(connection)
        for crowd in self._crowds(connection):
            crowd.leave(connection)
        address = self._addresses.pop(connection, None)
        if address is not None and not self._of_address[address]:
            del self._of_address[address]

    def note(self, reason: str) -> None:
        """Count a connection that was refused or closed, by reason, for the metric and the log."""
        self._unreported[reason] += 1
        if self._failed is not None:
            self._failed(reason)

    def refresh(self, now_s: float) -> None:
        """Measure free descriptors, update the fault, write the log line. Call it once a second."""
        if self.held > self._room // 2:
            self._measure()
        if self.held >= self._room:
            self._short_s = now_s
        self._settle_fault(now_s)
        if self._unreported and self._log is not None and now_s - self._report_s >= REPORT_S:
            self._report_s = now_s
            self._log.warning(
                "connections refused", **{f"by_{why}": n for why, n in self._unreported.items()}
            )
            self._unreported.clear()

    def _measure(self) -> None:
        """Compute `_room` from the descriptors that other parts of the process use now."""
        others = descriptors.in_use() - self.held - len(self._dropped)
        self._room = max(1, descriptors.limit() - self._reserve - max(0, others))

    def _settle_fault(self, now_s: float) -> None:
        if self._faults is None:
            return
        if self._short_s is not None and now_s - self._short_s < _CALM_S:
            self._faults.report(
                "descriptors_low",
                f"no descriptor is left for a new client: the limit is {descriptors.limit()} (`ulimit -n`);"
                " raise it, or add a gateway",
            )
        else:
            self._faults.clear("descriptors_low")

    def _crowds(self, connection: HeldConnection) -> Iterator["_Crowd"]:
        yield self._all
        address = self._addresses.get(connection)
        if address is not None:
            yield self._of_address[address]

    def _drop(self, connection: HeldConnection | None, reason: str = "idle") -> bool:
        """Close a connection to make room; False if there is none."""
        if connection is None:
            return False
        self.leave(connection)
        self._dropped.add(connection)
        connection.drop()
        self.note(reason)
        return True

    def _refuse(self, reason: str) -> bool:
        self.note(reason)
        return False


class _Crowd:
    """Connections that share a limit: all, or those of one address."""

    def __init__(self) -> None:
        self.idle: dict[HeldConnection, None] = {}
        """Idle connections, the longest idle first."""
        self._busy: dict[HeldConnection, float] = {}
        """Connection with a request → since when (loop time), the oldest first."""

    def __len__(self) -> int:
        return len(self.idle) + len(self._busy)

    @property
    def oldest_idle(self) -> HeldConnection | None:
        """The connection that has been idle longest, or None."""
        return next(iter(self.idle), None)

    def busy_since(self, before_s: float) -> HeldConnection | None:
        """The connection with the oldest request if that began before `before_s`, or None."""
        connection, since_s = next(iter(self._busy.items()), (None, before_s))
        return connection if since_s < before_s else None

    def works(self, connection: HeldConnection, now_s: float) -> None:
        if connection in self.idle:
            del self.idle[connection]
            self._busy[connection] = now_s

    def rests(self, connection: HeldConnection) -> None:
        if connection in self._busy:
            del self._busy[connection]
            self.idle[connection] = None

    def leave(self, connection: HeldConnection) -> None:
        self.idle.pop(connection, None)
        self._busy.pop(connection, None)
