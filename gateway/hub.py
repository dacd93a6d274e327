# SPDX-License-Identifier: Apache-2.0
"""All clients of this gateway: each gets the same frame where it stands with the others, else one diff."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.city.view import View
from gateway.session import (
    HELLO_S_MAX,
    Close,
    Ends,
    Phase,
    Refusal,
    Serve,
    Session,
    judge,
    read_hello,
)
from gateway.settings import Settings
from taxi.bus import BusError
from taxi.cursor import Cursor
from taxi.runtime.env import Connection, Env

BEAT_MS: Final = 1_000
_FRAMES_KEPT_MAX: Final = 64
_GRACE_MS: Final = 300
"""Between the last `drain` and the closing of sockets that nobody left."""


@dataclass(eq=False)
class Client:
    """A connection and the session on it."""

    session: Session
    connection: Connection


@dataclass
class Frames:
    """Frames of the last cut, each encoded once, by where it starts."""

    view: View
    stale: bool
    _made: dict[Cursor | None, bytes] = field(default_factory=dict)

    def since(self, cursor: Cursor | None) -> bytes:
        """The frame from there to the last cut."""
        frame = self._made.get(cursor)
        if frame is None:
            if len(self._made) >= _FRAMES_KEPT_MAX:
                self._made.clear()
            frame = self._made[cursor] = self.view.diff(cursor, None, None, stale=self.stale)
        return frame


class Hub:
    """Sends cuts, and lets clients in and go. Between two awaits the view stands at a closed cut."""

    def __init__(self, env: Env[Settings], ask_ends: Callable[[], Awaitable[Ends]]) -> None:
        self.clients: dict[str, Client] = {}
        self._env = env
        self._ask_ends = ask_ends
        self._frames: Frames | None = None
        self._draining = False

    # --- cuts -------------------------------------------------------------------------------------

    def show(self, view: View, *, stale: bool) -> None:
        """The view has closed a cut (or is another): what is sent from now on comes from it."""
        self._frames = Frames(view, stale)

    def hold_all(self, ends: Ends) -> None:
        """The view was rebuilt: everyone is judged anew, at the next cut."""
        now_s = asyncio.get_running_loop().time()
        for client in self.clients.values():
            if client.session.phase is Phase.LIVE:
                client.session.hold(now_s, ends)

    def publish(self, *, beat: bool) -> None:
        """Send the last cut to everyone who has not got it; with `beat` to everyone."""
        if self._frames is None:
            return
        now_s, sent, size = asyncio.get_running_loop().time(), 0, 0
        cursor = self._frames.view.cursor
        for client in list(self.clients.values()):
            session = client.session
            if session.phase is Phase.LIVE and (beat or session.cursor != cursor):
                length = self._send_cut(client, self._frames, now_s)
                sent, size = sent + (length > 0), size + length
            elif session.phase is Phase.HELD:
                self._go_on(client)
            refusal = session.overdue(now_s)
            if refusal is not None:
                self.refuse(client, refusal)
        self._env.metrics.count("gateway_frames_total", sent)
        self._env.metrics.count("gateway_bytes_total", size)

    def _send_cut(self, client: Client, frames: Frames, now_s: float) -> int:
        """One frame from wherever the client stands, if it has read the one before; its length or 0."""
        session, view = client.session, frames.view
        if client.connection.backlog():
            session.blocked(now_s)
            self._env.metrics.count("gateway_skipped_total")
            return 0
        since = session.cursor
        assert since is not None  # a live client was sent a cut
        if not view.serves(since):
            self._restart(client, frames, Serve(None, "overflow"))
            return 0
        frame = frames.since(since)
        client.connection.send(frame)
        assert view.cursor is not None
        session.sent(view.cursor)
        return len(frame)

    # --- sessions ---------------------------------------------------------------------------------

    def _go_on(self, client: Client) -> None:
        """Serve a held client, if its time has come."""
        frames, session = self._frames, client.session
        if frames is None or frames.view.cursor is None:
            return
        in_window = session.cursor is not None and frames.view.serves(session.cursor)
        verdict = judge(session.cursor, frames.view.cursor, in_window=in_window, ends=session.ends)
        if verdict is not None:
            session.live(asyncio.get_running_loop().time())
            self._restart(client, frames, verdict)

    def _restart(self, client: Client, frames: Frames, verdict: Serve) -> None:
        """Say how it goes on, then send the frame."""
        view, connection = frames.view, client.connection
        assert view.cursor is not None
        if verdict.reset is not None:
            connection.send(_text(type="reset", reason=verdict.reset))
        mode = "image" if verdict.since is None else "resume"
        reason = {} if verdict.reset is None else {"reason": verdict.reset}
        ready = {
            "session": client.session.id,
            "gateway": self._env.settings.name or "gateway",
            "mode": mode,
            **reason,
            "epoch": view.cursor.epoch,
            **view.hello(),
            "cut_interval_ms": self._env.settings.cut_interval_ms,
            "beat_interval_ms": BEAT_MS,
        }
        connection.send(_text(type="ready", v=1, **ready))
        connection.send(frames.since(verdict.since))
        client.session.sent(view.cursor)
        self._env.metrics.count("gateway_sessions_total", how=verdict.reset or mode)

    async def serve(self, connection: Connection) -> None:
        """One client from its hello to its end. Whatever it does, it ends only itself."""
        loop = asyncio.get_running_loop()
        client = Client(Session(self._env.new_id(), loop.time()), connection)
        if len(self.clients) >= self._env.settings.clients_max or self._draining:
            self.refuse(client, Refusal(Close.TOO_MANY, "too many clients"))
            return
        self.clients[client.session.id] = client
        try:
            await self._converse(client)
        except Exception as error:  # noqa: BLE001 - a bug on one connection must not end the others'
            self._env.log.error("a session ended by a bug", error=repr(error), peer=connection.peer)
            self.refuse(client, Refusal(Close.BUG, "internal error"))
        finally:
            client.session.close(loop.time())
            connection.close()
            self.clients.pop(client.session.id, None)

    async def _converse(self, client: Client) -> None:
        try:
            async with asyncio.timeout(HELLO_S_MAX):
                message = await client.connection.receive()
        except TimeoutError:
            self.refuse(client, Refusal(Close.PROTOCOL, f"no hello within {HELLO_S_MAX:g} s"))
            return
        if message is None or client.session.phase is Phase.CLOSED:
            return
        hello = read_hello(message, self._env.settings.city)
        if isinstance(hello, Refusal):
            self.refuse(client, hello)
            return
        client.session.greet(hello, asyncio.get_running_loop().time())
        self._go_on(client)
        if client.session.phase is Phase.HELD and hello.cursor is not None:
            await self._measure(client)
        if await client.connection.receive() is not None:
            self.refuse(client, Refusal(Close.UNEXPECTED, "nothing is expected after hello"))

    async def _measure(self, client: Client) -> None:
        """It is ahead of this gateway: of the log as well? Without a broker it is held and sent away."""
        try:
            ends = await self._ask_ends()
        except BusError:
            return
        if client.session.phase is Phase.HELD:
            client.session.know(ends)
            self._go_on(client)

    def refuse(self, client: Client, refusal: Refusal) -> None:
        """Close it and say why; for `AWAY` the reason is the time to stay away."""
        away = refusal.code is Close.AWAY
        reason = str(self._env.random.randrange(100, 1_000)) if away else refusal.reason
        client.session.close(asyncio.get_running_loop().time())
        client.connection.close(refusal.code, reason)
        self._env.metrics.count("gateway_closed_total", code=str(refusal.code.value))

    async def drain(self, within_ms: int) -> None:
        """Send everyone elsewhere, one after another, so that they don't arrive there all at once."""
        self._draining = True
        clients = [client for client in self.clients.values() if client.session.phase is not Phase.CLOSED]
        for left, client in zip(range(len(clients), 0, -1), clients, strict=True):
            client.connection.send(
                _text(type="drain", within_ms=_GRACE_MS + within_ms * left // len(clients))
            )
            await asyncio.sleep(within_ms / 1000 / len(clients))
        if clients:
            await asyncio.sleep(_GRACE_MS / 1000)
        for client in clients:
            if client.session.phase is not Phase.CLOSED:
                self.refuse(client, Refusal(Close.AWAY, "draining"))


def _text(**message: Any) -> str:
    return json.dumps(message, separators=(",", ":"))
