# SPDX-License-Identifier: Apache-2.0
"""Handles what clients send: `hello`, `view` and `mismatch`, and the end of their tokens."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.access.limits import Gcra, Rate
from gateway.stream.admission import ClientAdmission
from gateway.stream.fanout import Client
from gateway.stream.messages import (
    Close,
    Hello,
    Mismatch,
    SessionRefusal,
    ViewportRequest,
    read_hello,
    read_later,
    short,
)
from gateway.stream.publisher import CloseSession, Publisher
from gateway.stream.session import HELLO_S_MAX, PENDING_S_MAX, LogOffsets, SessionPhase, Wish
from gateway.stream.terms import Terms
from taxi.bus import BusError
from taxi.runtime.env import Env

AskEnds = Callable[[], Awaitable[LogOffsets]]
"""Returns the current ends of both logs. Raises BusError."""
_COMPLAINTS: Final = Rate(per_s=1.0, burst=20)
"""`mismatch` messages to log, of all clients together, because a client may send any number."""
_ASK_AGAIN_S: Final = 0.5
"""Pause before the broker is asked again for the ends of the logs."""


class SessionHandler:
    """The conversation with each client.

    It sends nothing itself. It changes the client's session, and the publisher sends what follows from that.

    Invariants:

    - A client is added to the publisher once, after its `hello` was accepted and before it is served.
    - After a refusal, or once the session is closed, no message of the client has an effect.
    - A session does not outlive its token, also if the clock leaps.

    Args:
        env: The service's environment.
        terms: The settings.
        admission: Limits and tokens.
        publisher: Sends updates and notices.
        ask_ends: Asks the broker for the ends of both logs.
        close: Ends a session.
    """

    def __init__(
        self,
        env: Env[Any],
        terms: Terms,
        admission: ClientAdmission,
        publisher: Publisher,
        ask_ends: AskEnds,
        close: CloseSession,
    ) -> None:
        self._env = env
        self._terms = terms
        self._admission = admission
        self._publisher = publisher
        self._ask_ends = ask_ends
        self._close = close
        self._complaints = Gcra(_COMPLAINTS)

    async def converse(self, client: Client) -> None:
        """Handle a client's messages until it disconnects or is refused."""
        try:
            async with asyncio.timeout(HELLO_S_MAX):
                message = await client.connection.receive()
        except TimeoutError:
            self._close(client, SessionRefusal(Close.PROTOCOL, f"no hello within {HELLO_S_MAX:g} s"))
            return
        if message is None or client.is_closed:
            return
        refusal = self._greet(client, read_hello(message, self._terms.city))
        session = client.session
        if refusal is None and session.phase is SessionPhase.PENDING and session.cursor is not None:
            await self.compare_with_log(client)
        while refusal is None and (message := await client.connection.receive()) is not None:
            refusal = self._hear(client, message)
        if refusal is not None:
            self._close(client, refusal)

    def close_expired(self) -> None:
        """Close clients whose token ends before the next cut, so that no update is sent after it."""
        for client in self._admission.expired(self._env.now_ms()):
            self._close(client, SessionRefusal(Close.UNAUTHORIZED, "the token has expired"))

    def _greet(self, client: Client, hello: Hello | SessionRefusal) -> SessionRefusal | None:
        """Handle the first message. Returns the reason if the client is refused."""
        if isinstance(hello, SessionRefusal):
            return hello
        grant = self._admission.authorize(hello.token, self._env.now_ms())
        if isinstance(grant, SessionRefusal):
            return grant
        source = self._publisher.source
        if source is None:
            return SessionRefusal(Close.AWAY, "nothing to show yet")
        try:
            area = source.area(hello.viewport)
        except ValueError as error:
            return SessionRefusal(Close.BAD_HELLO, short(str(error)))
        client.session.greet(hello.cursor, area, grant, self._now_s())
        self._publisher.add(client)
        if grant.expires_ms is not None:
            self._admission.expect_expiry(client, grant.expires_ms)
            self.close_expired()
        if client.session.phase is SessionPhase.PENDING:
            self._publisher.try_to_serve(client)
            self._publisher.send_pending(client)
        return None

    def _hear(self, client: Client, message: bytes | str) -> SessionRefusal | None:
        """Handle a later message. Returns the reason if it ends the session."""
        if client.is_closed:
            return None
        refusal = self._admission.check_message(client, self._now_s())
        if refusal is not None:
            return refusal
        said = read_later(message)
        if isinstance(said, SessionRefusal):
            return said
        if not client.session.was_ready:
            return SessionRefusal(Close.UNEXPECTED, "nothing is expected before ready")
        if isinstance(said, ViewportRequest):
            return self._change_viewport(client, said)
        self.correct(client, said)
        return None

    def _change_viewport(self, client: Client, request: ViewportRequest) -> SessionRefusal | None:
        """Handle `view`: the rows of the requested viewport come with the next cut."""
        source = self._publisher.source
        assert source is not None
        try:
            area = source.area(request.bbox)
        except ValueError as error:
            return SessionRefusal(Close.PROTOCOL, short(str(error)))
        self._publisher.request_viewport(client, Wish(area, request.generation))
        return None

    def correct(self, client: Client, mismatch: Mismatch) -> None:
        """Handle `mismatch`, a bug in the gateway or the client: log both hashes and reset the client."""
        self._env.metrics.count("gateway_mismatches_total")
        if client.session.phase is not SessionPhase.LIVE:
            return  # it will get an image anyway
        self._publisher.reset(client, "mismatch")
        if not self._complaints.take(self._now_s()):
            self._log_mismatch(client, mismatch)

    def _log_mismatch(self, client: Client, mismatch: Mismatch) -> None:
        session = client.session
        self._env.log.error(
            "a client's picture is wrong",
            session=session.id,
            cursor=short(ascii(mismatch.cursor)),  # control characters are escaped
            sent=str(session.cursor),
            own=_hex(mismatch.own),
            received=_hex(mismatch.received),
            area=str(session.area),
        )

    async def compare_with_log(self, client: Client) -> None:
        """Find out whether a client whose cursor is ahead of this gateway is ahead of the log, too.

        While the broker does not answer, this is unknown: the client stays pending and the broker is asked
        again. `Session.overdue` limits the time.
        """
        while client.session.phase is SessionPhase.PENDING:
            try:
                async with asyncio.timeout(PENDING_S_MAX):
                    ends = await self._ask_ends()
                break
            except (BusError, TimeoutError):
                await asyncio.sleep(_ASK_AGAIN_S)
        else:
            return
        self.close_expired()
        if client.session.phase is SessionPhase.PENDING:
            client.session.know(ends)
            self._publisher.try_to_serve(client)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


def _hex(lanes: tuple[int, int]) -> str:
    return f"{lanes[0]:08x} {lanes[1]:08x}"
