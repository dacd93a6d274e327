# SPDX-License-Identifier: Apache-2.0
"""Decides which clients a gateway admits, how much they may send, and how long they may stay.

Deterministic: callers pass the time.
"""

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Final

from gateway.access.limits import ConnectionLimiter, GcraPerKey, Rate, rate_limit_key
from gateway.access.tokens import BadTokenError, Grant
from gateway.stream.fanout import Client
from gateway.stream.messages import Close, SessionRefusal, short
from gateway.stream.terms import Terms

_ADDRESS_MESSAGES: Final = Rate(per_s=50.0, burst=200)
"""Messages of all connections of one address."""
_FULL_MS: Final = 2_000
"""How long a client should wait that was refused because the gateway is full."""
_DEADLINES_SPARE: Final = 1_000
"""Deadlines of clients that have left, kept before they are removed together."""


class ClientAdmission:
    """The limits and tokens of all clients. It closes none: it returns refusals, and which to close.

    Invariants:

    - A connection that `enter` admitted counts against the limits until `leave`, and no other one does.
    - A client with a deadline (`watch`) is returned by `expired` once, unless its session has ended before.
    """

    def __init__(self, terms: Terms) -> None:
        self.is_draining = False
        """Whether no more clients are admitted, because the gateway stops."""
        self._terms = terms
        self._connections = ConnectionLimiter(terms.clients_max, terms.address_clients_max)
        self._messages = GcraPerKey(_ADDRESS_MESSAGES)
        self._deadlines: list[tuple[int, int, Client]] = []
        """A heap of (end of the token, number, client)."""
        self._numbers = count()

    def address(self, peer: str) -> str | None:
        """The key of a peer's limits, or None if no limits apply."""
        return rate_limit_key(peer, loopback=self._terms.limit_loopback)

    def enter(self, address: str | None) -> SessionRefusal | None:
        """Count a new connection. Returns the reason if it is refused; then it is not counted."""
        if self.is_draining:
            return SessionRefusal(Close.AWAY, "draining")
        if not self._connections.enter(address):
            return SessionRefusal(Close.TOO_MANY, "too many connections", _FULL_MS)
        return None

    def leave(self, address: str | None) -> None:
        """Stop counting a connection. Call it once for each that `enter` admitted."""
        self._connections.leave(address)

    def authorize(self, token: str | None, now_ms: int) -> Grant | SessionRefusal:
        """The rights that a token in `hello` gives in this city. `now_ms`: wall clock, epoch milliseconds."""
        try:
            grant = self._terms.keys.read(token, now_ms)
        except BadTokenError as error:
            return SessionRefusal(Close.UNAUTHORIZED, short(str(error)))
        if not grant.is_for(self._terms.city):
            return SessionRefusal(Close.FORBIDDEN, "the token is for another city")
        return grant

    def check_message(self, client: Client, now_s: float) -> SessionRefusal | None:
        """Count a message against the limits of its connection and its address."""
        wait_s = client.session.message_wait_s(now_s)
        if not wait_s and client.address is not None:
            wait_s = self._messages.take(client.address, now_s)
        return SessionRefusal(Close.TOO_MANY, "too many messages", int(wait_s * 1000) + 1) if wait_s else None

    def expect_expiry(self, client: Client, expires_ms: int) -> None:
        """Return the client from `expired` when its token ends, at `expires_ms` of the wall clock."""
        if len(self._deadlines) > 2 * self._connections.total + _DEADLINES_SPARE:
            self._deadlines = [entry for entry in self._deadlines if not entry[2].is_closed]
            heapq.heapify(self._deadlines)
        heapq.heappush(self._deadlines, (expires_ms, next(self._numbers), client))

    @property
    def deadlines(self) -> int:
        """How many deadlines are kept: at most twice the connections, and `_DEADLINES_SPARE` more."""
        return len(self._deadlines)

    def expired(self, now_ms: int) -> Iterator[Client]:
        """Remove and return the clients whose token ends before the next cut, so that none follows it."""
        horizon_ms = now_ms + self._terms.cut_interval_ms
        while self._deadlines and self._deadlines[0][0] <= horizon_ms:
            _, _, client = heapq.heappop(self._deadlines)
            if not client.is_closed:
                yield client
