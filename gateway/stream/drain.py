# SPDX-License-Identifier: Apache-2.0
"""Sends everyone elsewhere, at a rate that those who take them over can bear."""

import asyncio
import heapq
from collections import deque
from typing import Any, Final

from gateway.stream.fanout import Client
from gateway.stream.hub import Hub
from gateway.stream.messages import Close, Refusal, told
from taxi.runtime.env import Env

GRACE_MS: Final = 1_500
"""So long a client may take to be `ready` elsewhere. It is shown cuts all the while."""
WINDOW_S: Final = 0.1
"""In any such stretch no more go than the rate allows it, however late the ones before were."""
_LOOK_S: Final = 0.05


class Turnstile:
    """Lets through so many a second, and no more in any window: what was missed is not made up in a crowd."""

    def __init__(self, per_s: float) -> None:
        self._window_s = max(WINDOW_S, 1 / per_s)
        self._went_s: deque[float] = deque(maxlen=max(1, int(per_s * self._window_s)))

    def free_s(self) -> float:
        """When the next one may go."""
        if len(self._went_s) < (self._went_s.maxlen or 0):
            return 0.0
        return self._went_s[0] + self._window_s

    def went(self, now_s: float) -> None:
        """One did."""
        self._went_s.append(now_s)


async def drain(hub: Hub, env: Env[Any]) -> None:
    """Nobody new comes in; each client is told to leave, and closed if it has not left in time."""
    hub.is_draining = True
    loop = asyncio.get_running_loop()
    per_s, turnstile = hub.terms.drain_per_s, Turnstile(hub.terms.drain_per_s)
    clients = list(hub.clients.values())
    env.random.shuffle(clients)
    began_s = loop.time()
    due: list[tuple[float, int, bool, Client]] = [
        (began_s + (number + env.random.random()) / per_s, number, False, client)
        for number, client in enumerate(clients)
    ]
    heapq.heapify(due)
    while due:
        at_s, number, was_told, client = heapq.heappop(due)
        while not client.is_closed and (left_s := at_s - loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left_s, _LOOK_S))  # a socket that closes rings no bell here
        if client.is_closed:
            continue
        if not was_told:
            if (free_s := turnstile.free_s()) > loop.time():
                heapq.heappush(due, (free_s, number, False, client))
                continue
            turnstile.went(loop.time())
        if was_told or not client.session.was_ready:  # who is not has nothing to take elsewhere
            hub.refuse(client, Refusal(Close.AWAY, "draining"))
        else:
            client.connection.send(told(type="drain", within_ms=GRACE_MS))
            heapq.heappush(due, (loop.time() + GRACE_MS / 1000, number, True, client))
