# SPDX-License-Identifier: Apache-2.0
"""Drains a gateway: moves its clients to other gateways, at a limited rate."""

import asyncio
import heapq
from typing import Any, Final

from gateway.access.limits import SlidingWindowLimiter
from gateway.stream.fanout import Client
from gateway.stream.hub import Hub
from gateway.stream.messages import Close, SessionRefusal, encode_message
from taxi.runtime.env import Env

GRACE_MS: Final = 1_500
"""How long a client may take to be `ready` at another gateway. It gets updates meanwhile."""
WINDOW_S: Final = 0.1
"""The window of the rate limit: no more clients leave in any interval of this length than the rate allows."""
_POLL_S: Final = 0.05


async def drain(hub: Hub, env: Env[Any]) -> None:
    """Refuse new clients, and move the others away in random order, `Terms.drain_per_s` a second.

    Each client gets a `drain` message. It is closed if it is still connected after `GRACE_MS`. A client that
    was never `ready` is closed at its turn. Returns when all clients are gone.
    """
    hub.admission.is_draining = True
    loop = asyncio.get_running_loop()
    per_s, limiter = hub.terms.drain_per_s, SlidingWindowLimiter(hub.terms.drain_per_s, WINDOW_S)
    clients = list(hub.clients.values())
    env.random.shuffle(clients)
    began_s = loop.time()
    due: list[tuple[float, int, bool, Client]] = [
        (began_s + (number + env.random.random()) / per_s, number, False, client)
        for number, client in enumerate(clients)
    ]
    heapq.heapify(due)
    while due:
        at_s, number, was_notified, client = heapq.heappop(due)
        while not client.is_closed and (left_s := at_s - loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left_s, _POLL_S))  # polled, because a closed socket sends no event here
        if client.is_closed:
            continue
        if not was_notified:
            if (free_s := limiter.free_s()) > loop.time():
                heapq.heappush(due, (free_s, number, False, client))
                continue
            limiter.went(loop.time())
        # Without `ready` it has no state to resume elsewhere.
        if was_notified or not client.session.was_ready:
            hub.refuse(client, SessionRefusal(Close.AWAY, "draining"))
        else:
            client.connection.send(encode_message(type="drain", within_ms=GRACE_MS))
            heapq.heappush(due, (loop.time() + GRACE_MS / 1000, number, True, client))
