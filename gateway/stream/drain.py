# SPDX-License-Identifier: Apache-2.0
"""Sends everyone elsewhere, at a rate that those who take them over can bear."""

import asyncio
from typing import Any, Final

from gateway.stream.fanout import Client
from gateway.stream.hub import Hub
from gateway.stream.messages import Close, Refusal, told
from taxi.runtime.env import Env

GRACE_MS: Final = 1_500
"""So long a client may take to be `ready` elsewhere. It is shown cuts all the while."""
_LOOK_S: Final = 0.05


async def drain(hub: Hub, env: Env[Any]) -> None:
    """Nobody new comes in; each client is told to leave, and closed if it has not left in time."""
    hub.is_draining = True
    loop = asyncio.get_running_loop()
    per_s = hub.terms.drain_per_s
    clients = list(hub.clients.values())
    env.random.shuffle(clients)
    began_s = loop.time()
    due: list[tuple[float, int, Client]] = []
    for number, client in enumerate(clients):
        told_s = began_s + (number + env.random.random()) / per_s
        due += [(told_s, 0, client), (told_s + GRACE_MS / 1000, 1, client)]
    for at_s, is_end, client in sorted(due, key=lambda step: step[:2]):
        while not client.is_closed and (left_s := at_s - loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left_s, _LOOK_S))  # a socket that closes rings no bell here
        if client.is_closed:
            continue
        if is_end:
            hub.refuse(client, Refusal(Close.AWAY, "draining"))
        else:
            client.connection.send(told(type="drain", within_ms=GRACE_MS))
