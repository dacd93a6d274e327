# SPDX-License-Identifier: Apache-2.0
"""The clients of a gateway: connects admission, session handler and publisher, and ends sessions.

1. `ClientAdmission` says whether a connection may begin, how much it may send and when its token ends.
2. `SessionHandler` handles a client's messages; each changes the client's session.
3. `Publisher` sends updates, notices and resets to the sessions.
4. `Hub` owns the clients and is the only one that closes them.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from gateway.stream.admission import ClientAdmission
from gateway.stream.delta_source import DeltaSource
from gateway.stream.fanout import Client
from gateway.stream.messages import Close, SessionRefusal
from gateway.stream.publisher import Publisher
from gateway.stream.session import LogOffsets, Session
from gateway.stream.session_handler import AskEnds, SessionHandler
from gateway.stream.terms import Terms
from taxi.runtime.env import Connection, Env
from taxi.runtime.faults import Fault

_JITTER_MS: Final = (100, 1_000)


class Hub:
    """All clients of a gateway.

    A client is in `clients` from its admission until its session is closed; then the publisher does not know
    it any more either. Its connection may take a moment longer.

    Args:
        env: The service's environment.
        terms: The settings.
        ask_ends: Returns the current ends of both logs. Raises BusError.
    """

    def __init__(self, env: Env[Any], terms: Terms, ask_ends: AskEnds) -> None:
        self.clients: dict[str, Client] = {}
        """By session id."""
        self.terms = terms
        self.admission = ClientAdmission(terms)
        self.publisher = Publisher(env, terms, self.refuse)
        self.handler = SessionHandler(env, terms, self.admission, self.publisher, ask_ends, self.refuse)
        self._env = env

    # --- cuts -------------------------------------------------------------------------------------

    def use(self, source: DeltaSource, *, stale: bool) -> None:
        """Use the current cut of `source` for all further updates; see `Publisher.use`."""
        self.publisher.use(source, stale=stale)

    def make_all_pending(self, ends: LogOffsets) -> None:
        """Make all live clients pending, because the source was rebuilt; see `Publisher`."""
        self.publisher.make_all_pending(ends)

    def publish(self, *, beat: bool) -> None:
        """Close clients whose token ends, then send the last cut; see `Publisher.publish`."""
        if self.publisher.source is None:
            return
        self.handler.close_expired()
        self.publisher.publish(beat=beat)
        self._env.metrics.gauge("gateway_clients", len(self.clients))

    def tell_health(self, faults: Sequence[Fault], now_s: float) -> None:
        """Set the faults to send: to all clients now if they have changed, and after each `ready`."""
        self.publisher.tell_health(faults, now_s, self.clients.values())

    def tell_verdict(self, verifier: str, gateways: list[dict[str, Any]]) -> None:
        """Send what a verifier says of the gateways: to all clients now, and after each `ready`."""
        self.publisher.tell_verdict(verifier, gateways, self.clients.values())

    # --- one client -------------------------------------------------------------------------------

    async def serve(self, connection: Connection) -> None:
        """Serve one connection until it ends. An error ends this session only; it does not raise."""
        address = self.admission.address(connection.peer)
        loop = asyncio.get_running_loop()
        client = Client(Session(self._env.new_id(), loop.time()), connection, address)
        refusal = self.admission.enter(address)
        if refusal is not None:
            self.refuse(client, refusal)
            return
        self.clients[client.session.id] = client
        try:
            await self.handler.converse(client)
        except Exception as error:  # noqa: BLE001 - a bug on one connection must not end the others'
            self._env.log.error("a session ended by a bug", error=repr(error), peer=connection.peer)
            self.refuse(client, SessionRefusal(Close.BUG, "internal error"))
        finally:
            self._remove(client, loop.time())  # `loop`, because none may be running any more
            connection.close()
            self.admission.leave(address)

    def refuse(self, client: Client, refusal: SessionRefusal) -> None:
        """Close a session. For AWAY and TOO_MANY the reason is the milliseconds to wait, with jitter."""
        reason = refusal.reason
        if refusal.code in {Close.AWAY, Close.TOO_MANY}:
            reason = str(refusal.away_ms + self._env.random.randrange(*_JITTER_MS))
        self._remove(client, asyncio.get_running_loop().time())
        client.connection.close(refusal.code, reason)
        self._env.metrics.count("gateway_closed_total", code=str(refusal.code.value))

    def _remove(self, client: Client, now_s: float) -> None:
        client.session.close(now_s)
        self.publisher.remove(client)
        self.clients.pop(client.session.id, None)
