# SPDX-License-Identifier: Apache-2.0
"""All clients of this gateway: lets them in, hears them, brings them to the last cut, and sees them off."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from gateway.stream.fanout import Client, Fanout, Frames, Tally
from gateway.stream.limits import Meters, Rate, Seats, counted
from gateway.stream.messages import (
    Close,
    Hello,
    Mismatch,
    Move,
    Refusal,
    read_hello,
    read_later,
    short,
    told,
)
from gateway.stream.picture import Picture
from gateway.stream.session import HELLO_S_MAX, Ends, Phase, Serve, Session, Wish, judge
from gateway.stream.tokens import BadTokenError, Keys
from taxi.bus import BusError
from taxi.runtime.env import Connection, Env

BEAT_MS: Final = 1_000
_JITTER_MS: Final = (100, 1_000)
_ADDRESS_MESSAGES: Final = Rate(per_s=50.0, burst=200)
"""Of all connections of one address."""
_FULL_MS: Final = 2_000
"""Who finds no seat comes back after so long."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a gateway is told about its clients."""

    city: str
    """The only one it shows."""
    gateway: str
    """Its name, for clients."""
    cut_interval_ms: int
    clients_max: int
    address_clients_max: int
    limit_loopback: bool
    drain_per_s: float
    keys: Keys


class Hub:
    """Sends cuts, and lets clients in and go. Between two awaits the picture stands at a closed cut."""

    def __init__(self, env: Env[Any], terms: Terms, ask_ends: Callable[[], Awaitable[Ends]]) -> None:
        self.clients: dict[str, Client] = {}
        self.terms = terms
        self._env = env
        self._ask_ends = ask_ends
        self._fanout = Fanout()
        self._held: dict[Client, None] = {}
        self._seats = Seats(terms.clients_max, terms.address_clients_max)
        self._messages = Meters(_ADDRESS_MESSAGES)
        self._frames: Frames | None = None
        self._expiries: list[tuple[int, int, Client]] = []
        self._born = count()
        self.is_draining = False

    # --- cuts -------------------------------------------------------------------------------------

    def show(self, picture: Picture, *, stale: bool) -> None:
        """It has closed a cut (or is another picture): what is sent from now on comes from it."""
        self._frames = Frames(picture, stale=stale, metrics=self._env.metrics, now_s=self._now_s)

    def hold_all(self, ends: Ends) -> None:
        """The picture was rebuilt: everyone is judged anew, at the next cut."""
        now_s = self._now_s()
        for client in list(self._fanout.everyone()):
            self._fanout.leave(client)
            client.session.hold(now_s, ends)
            self._held[client] = None

    def publish(self, *, beat: bool) -> None:
        """Send the last cut to everyone who has not got it; with `beat` to everyone."""
        if self._frames is None:
            return
        now_s = self._now_s()
        self._expire()
        tally = self._fanout.abreast(self._frames, now_s, beat=beat)
        if tally.frames:
            self._env.metrics.observe("gateway_write_seconds", self._now_s() - now_s)
        for client in list(self._fanout.apart):
            self._catch_up(client, self._frames, now_s, tally)
        for client in list(self._held):
            self._go_on(client)
            self._end_if_overdue(client, now_s)
        self._count(tally)

    def _catch_up(self, client: Client, frames: Frames, now_s: float, tally: Tally) -> None:
        """One frame from wherever it stands, to the view it wants, if it has read the one before."""
        session, picture = client.session, frames.picture
        if client.connection.backlog():
            session.blocked(now_s)
            tally.skipped += 1
            self._end_if_overdue(client, now_s)
            return
        since = session.cursor
        assert since is not None
        assert picture.cursor is not None
        if not picture.serves(since):
            self._restart(client, frames, Serve(None, "overflow"))
            return
        tally.bytes += self._send_from(client, frames, Serve(since))
        tally.frames += 1

    def _send_from(self, client: Client, frames: Frames, serve: Serve, *before: str) -> int:
        """The one way by which a client comes to the last cut on its own; the bytes that cut took."""
        session, cursor = client.session, frames.picture.cursor
        assert cursor is not None
        wish = session.wish or Wish(session.area, 0)
        wire = frames.since(serve.since, session.area, wish.area, wish.generation).wire(
            client.connection.form, 1
        )
        client.connection.send_before(before, wire)
        session.sent(cursor, wish.area)
        self._fanout.join(client)
        return len(wire)

    def _count(self, tally: Tally) -> None:
        metrics = self._env.metrics
        if tally.frames:
            metrics.count("gateway_frames_total", tally.frames)
            metrics.count("gateway_bytes_total", tally.bytes)
        if tally.skipped:
            metrics.count("gateway_skipped_total", tally.skipped)
        waiting = sum(client.connection.backlog() for client in self._fanout.apart)
        metrics.gauge("gateway_backlog_bytes", waiting)
        metrics.gauge("gateway_clients", len(self.clients))

    # --- how a session goes on --------------------------------------------------------------------

    def _go_on(self, client: Client) -> None:
        """Serve a held client, if its time has come."""
        frames, session = self._frames, client.session
        if frames is None or frames.picture.cursor is None:
            return
        if session.reset is not None:
            if not client.connection.backlog():
                self._restart(client, frames, Serve(None, session.reset))
            return
        if session.cursor is not None and frames.picture.awaits(session.cursor):
            return
        in_window = session.cursor is not None and frames.picture.serves(session.cursor)
        verdict = judge(session.cursor, frames.picture.cursor, in_window=in_window, ends=session.ends)
        if verdict is not None:
            self._restart(client, frames, verdict)

    def _restart(self, client: Client, frames: Frames, verdict: Serve) -> None:
        """Say how it goes on, then send the frame."""
        session, cursor = client.session, frames.picture.cursor
        assert cursor is not None
        if session.phase is Phase.HELD:
            session.live(self._now_s())
        self._held.pop(client, None)
        reason = {} if verdict.reset is None else {"reason": verdict.reset}
        words = []
        if reason:
            words.append(told(type="reset", **reason))
            self._env.metrics.count("gateway_resets_total", reason=str(verdict.reset))
        mode = "image" if verdict.since is None else "resume"
        ready = {
            "session": session.id,
            "gateway": self.terms.gateway,
            "mode": mode,
            **reason,
            "epoch": cursor.epoch,
            **frames.picture.hello(),
            "cut_interval_ms": self.terms.cut_interval_ms,
            "beat_interval_ms": BEAT_MS,
        }
        words.append(told(type="ready", v=1, **ready))
        size = self._send_from(client, frames, verdict, *words)
        metrics = self._env.metrics
        metrics.count("gateway_sessions_total", how=verdict.reset or mode)
        metrics.count("gateway_frames_total")
        metrics.count("gateway_bytes_total", size)

    def _end_if_overdue(self, client: Client, now_s: float) -> None:
        refusal = client.session.overdue(now_s)
        if refusal is not None:
            self.refuse(client, refusal)

    # --- one client -------------------------------------------------------------------------------

    async def serve(self, connection: Connection) -> None:
        """One client from its hello to its end. Whatever it does, it ends only itself."""
        address = counted(connection.peer, loopback=self.terms.limit_loopback)
        loop = asyncio.get_running_loop()
        client = Client(Session(self._env.new_id(), loop.time()), connection, address)
        if self.is_draining:
            self.refuse(client, Refusal(Close.AWAY, "draining"))
            return
        if not self._seats.enter(address):
            self.refuse(client, Refusal(Close.TOO_MANY, "too many connections", _FULL_MS))
            return
        self.clients[client.session.id] = client
        try:
            await self._converse(client)
        except Exception as error:  # noqa: BLE001 - a bug on one connection must not end the others'
            self._env.log.error("a session ended by a bug", error=repr(error), peer=connection.peer)
            self.refuse(client, Refusal(Close.BUG, "internal error"))
        finally:
            self._forget(client, loop.time())
            connection.close()
            self._seats.leave(address)

    def _forget(self, client: Client, now_s: float) -> None:
        client.session.close(now_s)
        self._fanout.leave(client)
        self._held.pop(client, None)
        self.clients.pop(client.session.id, None)

    async def _converse(self, client: Client) -> None:
        try:
            async with asyncio.timeout(HELLO_S_MAX):
                message = await client.connection.receive()
        except TimeoutError:
            self.refuse(client, Refusal(Close.PROTOCOL, f"no hello within {HELLO_S_MAX:g} s"))
            return
        if message is None or client.is_closed:
            return
        refusal = self._greet(client, read_hello(message, self.terms.city))
        if refusal is None and client.session.phase is Phase.HELD and client.session.cursor is not None:
            await self._measure(client)
        while refusal is None and (message := await client.connection.receive()) is not None:
            refusal = self._hear(client, message)
        if refusal is not None:
            self.refuse(client, refusal)

    def _greet(self, client: Client, hello: Hello | Refusal) -> Refusal | None:
        """It said hello; why it is turned away."""
        if isinstance(hello, Refusal):
            return hello
        try:
            grant = self.terms.keys.read(hello.token, self._env.now_ms())
        except BadTokenError as error:
            return Refusal(Close.UNAUTHORIZED, short(str(error)))
        if grant.city not in {None, self.terms.city}:
            return Refusal(Close.FORBIDDEN, "the token is for another city")
        if self._frames is None:
            return Refusal(Close.AWAY, "nothing to show yet")
        try:
            area = self._frames.picture.area(hello.view)
        except ValueError as error:
            return Refusal(Close.BAD_HELLO, short(str(error)))
        client.session.greet(hello.cursor, area, grant, self._now_s())
        self._held[client] = None
        if grant.expires_ms is not None:
            self._watch(client, grant.expires_ms)
        if client.session.phase is Phase.HELD:
            self._go_on(client)
        return None

    def _hear(self, client: Client, message: bytes | str) -> Refusal | None:
        """A message after the first; why it ends the session."""
        session, now_s = client.session, self._now_s()
        if client.is_closed:
            return None
        wait_s = session.may_speak(now_s)
        if not wait_s and client.address is not None:
            wait_s = self._messages.take(client.address, now_s)
        if wait_s:
            return Refusal(Close.TOO_MANY, "too many messages", int(wait_s * 1000) + 1)
        said = read_later(message)
        if isinstance(said, Refusal):
            return said
        if not session.was_ready:
            return Refusal(Close.UNEXPECTED, "nothing is expected before ready")
        if isinstance(said, Move):
            return self._move(client, said)
        self._mend(client, said)
        return None

    def _move(self, client: Client, move: Move) -> Refusal | None:
        """Another view is wanted: it comes with the next cut."""
        assert self._frames is not None
        try:
            area = self._frames.picture.area(move.bbox)
        except ValueError as error:
            return Refusal(Close.PROTOCOL, short(str(error)))
        client.session.want(Wish(area, move.generation))
        if client.session.phase is Phase.LIVE:
            self._fanout.set_apart(client)
        return None

    def _mend(self, client: Client, mismatch: Mismatch) -> None:
        """Its picture is wrong. That is a bug, here or there: both sides of it are written down."""
        session = client.session
        self._env.metrics.count("gateway_mismatches_total")
        if session.phase is not Phase.LIVE:
            return  # an image is due already
        self._fanout.leave(client)  # tells the session where it stands
        self._env.log.error(
            "a client's picture is wrong",
            session=session.id,
            cursor=mismatch.cursor,
            sent=str(session.cursor),
            own=_hex(mismatch.own),
            told=_hex(mismatch.told),
            area=str(session.area),
        )
        session.begin_anew("mismatch", self._now_s())
        self._held[client] = None

    async def _measure(self, client: Client) -> None:
        """It is ahead of this gateway: of the log as well? Without a broker it is held and sent away."""
        try:
            ends = await self._ask_ends()
        except BusError:
            return
        self._expire()
        if client.session.phase is Phase.HELD:
            client.session.know(ends)
            self._go_on(client)

    # --- how sessions end -------------------------------------------------------------------------

    def _watch(self, client: Client, expires_ms: int) -> None:
        """Its token ends then."""
        if len(self._expiries) > 2 * len(self.clients) + 1_000:  # mostly of clients that left long ago
            self._expiries = [entry for entry in self._expiries if not entry[2].is_closed]
            heapq.heapify(self._expiries)
        heapq.heappush(self._expiries, (expires_ms, next(self._born), client))
        self._expire()

    def _expire(self) -> None:
        """No frame follows an expired token: it ends before the cut that might."""
        horizon_ms = self._env.now_ms() + self.terms.cut_interval_ms
        while self._expiries and self._expiries[0][0] <= horizon_ms:
            _, _, client = heapq.heappop(self._expiries)
            if not client.is_closed:
                self.refuse(client, Refusal(Close.UNAUTHORIZED, "the token has expired"))

    def refuse(self, client: Client, refusal: Refusal) -> None:
        """Close it and say why; where it is to come back later, the reason is after how long."""
        reason = refusal.reason
        if refusal.code in {Close.AWAY, Close.TOO_MANY}:
            reason = str(refusal.away_ms + self._env.random.randrange(*_JITTER_MS))
        self._forget(client, self._now_s())
        client.connection.close(refusal.code, reason)
        self._env.metrics.count("gateway_closed_total", code=str(refusal.code.value))

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


def _hex(lanes: tuple[int, int]) -> str:
    return f"{lanes[0]:08x} {lanes[1]:08x}"
