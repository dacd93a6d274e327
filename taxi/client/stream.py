# SPDX-License-Identifier: Apache-2.0
"""A live city as one client sees it: `async with connect(url) as city: async for update in city: …`.

This is the asynchronous shell around decode.py, replica.py, link.py and viewport.py: sockets, timers, chance.
"""

import asyncio
import contextlib
import json
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self, TypeAlias
from urllib.parse import urlsplit

from taxi.city_time import CityTime, Period
from taxi.client import timed_socket
from taxi.client.decode import decode_update
from taxi.client.link import Effect, Link, LinkEvent, open_ms, step
from taxi.client.problem import Fault, GatewayVerdict, Problem, ProblemKind
from taxi.client.protocol import IMAGE_FLAG, SERVING, SILENCE_MS, VERSION, EffectType, EventType, LinkState
from taxi.client.replica import GapError, HashMismatchError, Replica
from taxi.client.rows import DriverRow, RideRow, ScenarioUnderWay, StreamError, Update
from taxi.client.timed_socket import Opener, SocketEvent, TimedSocket
from taxi.client.viewport import View, ViewportRequests
from taxi.cursor import Cursor

_BUSY_S: Final = 0.25
"""If a timer runs this much late, this process was too busy to read its sockets."""
_LISTEN_MS: Final = 500.0
_LASTING_FAILURES: Final = 3
"""From so many failures on, a problem is logged."""
GIVE_UP_S: Final = 30.0
_log: Final = logging.getLogger("taxi.client")

TokenSource: TypeAlias = Callable[[], str | None]


class StreamRefusedError(ConnectionError):
    """A gateway said not to come back. `args` is (close code, reason)."""


class StreamUnreachableError(ConnectionError):
    """No image arrived within `give_up_s`; the text says why. Awaiting another update starts over."""


class LinkStatus(NamedTuple):
    """The state of the connection to a gateway."""

    state: LinkState
    problem: Problem | None
    """Why no connection serves; None while one does, and before the first attempt has failed."""
    retry_in_s: float | None
    """When the next attempt begins, if that is known."""


@dataclass
class StreamStats:
    """Counts since the stream was made."""

    updates: int = 0
    sessions: int = 0
    resumes: int = 0
    resets: dict[str, int] = field(default_factory=dict)
    """By reason."""
    mismatches: int = 0
    """Updates after which counts or hash of the rows were not the gateway's."""


class CityStream:
    """The rows of a city, kept up to date from any gateway. Made by `connect`.

    Invariants: rows change only while an update is awaited, never between two steps of `async for`. While
    `trusted`, `drivers` and `rides` are the rows at `cursor`, and their hash is the one the gateway sent.
    """

    def __init__(
        self,
        opener: Opener,
        *,
        city: str,
        view: View,
        token: str | TokenSource | None,
        where: str = "the gateway",
        on_link: Callable[[LinkStatus], None] | None = None,
        on_health: Callable[[tuple[Fault, ...]], None] | None = None,
        give_up_s: float | None = GIVE_UP_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`opener` opens a WebSocket; `where` is its host and port, for people. Others as for `connect`."""
        self.name = city
        self.gateway = ""
        """The gateway that serves, or served last."""
        self.stats = StreamStats()
        self.problem: Problem | None = None
        """Why no connection serves; None while one does."""
        self.faults: tuple[Fault, ...] = ()
        """What the gateway says is wrong although its updates arrive. Empty: it says that all is well."""
        self.city_time = CityTime()
        """How log time becomes city time, as of the last update."""
        self.scenarios: tuple[ScenarioUnderWay, ...] = ()
        """The scenarios under way as of the last update, the oldest first."""
        self.verdicts: dict[str, tuple[GatewayVerdict, ...]] = {}
        """Verifier → what it said last of each gateway. Empty: no verifier runs, or none has spoken yet."""
        self._where = where
        self._on_link = on_link
        self._on_health = on_health
        self._give_up_after_s = give_up_s
        self._give_up_at_s: float | None = None
        self._had_image = False
        self._logged = ""
        self._opener = opener
        self._token_source = _token_source(token)
        self._token: str | None = None
        self._chance = chance
        self._replica = Replica()
        self._trusted = False
        self._views = ViewportRequests(view)
        self._link = Link(wants_token=token is not None)
        self._present: TimedSocket | None = None
        self._next: TimedSocket | None = None
        self._kept: deque[bytes | str] = deque()
        """What arrived on the present connection since `hello` was sent on the next one."""
        self._backlog: deque[bytes | str] = deque()
        """What of it has to be applied after all, because the next one failed."""
        self._events: asyncio.Queue[tuple[TimedSocket, SocketEvent]] = asyncio.Queue(maxsize=16)
        self._retry_at_s: float | None = 0.0
        self._actions: Mapping[EffectType, Callable[[], None]] = {
            EffectType.OPEN: self._open_present,
            EffectType.HELLO: lambda: self._send_hello(self._present),
            EffectType.CLOSE: self._close,
            EffectType.FORGET: self._forget,
            EffectType.OPEN_NEXT: self._open_next,
            EffectType.HELLO_NEXT: lambda: self._send_hello(self._next),
            EffectType.CLOSE_NEXT: self._close_next,
            EffectType.APPLY_KEPT: self._apply_kept,
            EffectType.ADOPT_NEXT: self._adopt_next,
        }

    # --- what a reader sees -----------------------------------------------------------------------

    @property
    def drivers(self) -> Mapping[int, DriverRow]:
        """The driver rows of the view, by number."""
        return self._replica.drivers

    @property
    def rides(self) -> Mapping[str, RideRow]:
        """The ride rows of the whole city, by id."""
        return self._replica.rides

    @property
    def cursor(self) -> Cursor | None:
        """The cursor of the last update applied; None while the rows are not `trusted`."""
        return self._replica.cursor if self._trusted else None

    @property
    def trusted(self) -> bool:
        """Whether the rows match the last update's hash.

        False before the first image, and from a reset or a mismatch to the image that follows it.
        """
        return self._trusted

    @property
    def hash(self) -> tuple[int, int]:
        """The two lanes of the hash over the rows held now."""
        return self._replica.lanes

    @property
    def view(self) -> View:
        """The view that the rows are of; None is the whole city."""
        return self._views.shown

    @property
    def state(self) -> LinkState:
        """The state of the connection."""
        return self._link.state

    def request_view(self, view: View) -> None:
        """Ask for another view. Rows are of the old one until the update that brings the new one.

        Requests may be made as fast as a map moves: at most five a second are sent, and the last one always.
        """
        is_served = self._link.state in SERVING - {LinkState.HANDOVER_GREETING}
        self._views.want(view, self._now_s(), is_served=is_served)
        self._send_view()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Update:
        """The next update, applied and verified.

        Raises:
            StreamRefusedError: a gateway said not to come back.
            StreamUnreachableError: there never was an image, and `give_up_s` has passed.
            StopAsyncIteration: the stream was closed.
        """
        if self._link.state is LinkState.UNREACHABLE:
            self._handle(LinkEvent(EventType.RETRY))
        if self._give_up_at_s is None and self._give_up_after_s is not None and not self._had_image:
            self._give_up_at_s = self._now_s() + self._give_up_after_s
        while self._link.state not in {LinkState.REFUSED, LinkState.STOPPED} or self._backlog:
            update = await self._next_step()
            if update is not None:
                self._had_image, self._give_up_at_s, self._logged = True, None, ""
                return update
            if self._give_up_at_s is not None and self._give_up_at_s <= self._now_s():
                self._give_up()
        if self._link.state is LinkState.STOPPED:
            raise StopAsyncIteration
        assert self._link.refusal is not None
        raise StreamRefusedError(*self._link.refusal)

    async def aclose(self) -> None:
        """Close the connection. The rows stay as they are; no further update arrives."""
        sockets = self._present, self._next
        self._handle(LinkEvent(EventType.STOP))
        for each in sockets:
            if each is not None:
                await each.aclose()

    def _give_up(self) -> None:
        """Raises StreamUnreachableError."""
        self._give_up_at_s = None
        why = self.problem.text if self.problem else "no gateway sent one"
        self._handle(LinkEvent(EventType.GIVE_UP))
        message = f"no image within {self._give_up_after_s:g} s: {why}"
        raise StreamUnreachableError(message)

    # --- one event after another ------------------------------------------------------------------

    async def _next_step(self) -> Update | None:
        """Wait for the next event and handle it; the update, if one was applied."""
        if self._backlog:
            return self._receive(self._backlog.popleft())
        try:
            async with asyncio.timeout_at(self._due_s()):
                socket, event = await self._events.get()
        except TimeoutError:
            self._handle_timers(self._now_s())
            return None
        if socket is self._present:
            return self._on_present(socket, event)
        if socket is self._next:
            self._on_next(socket, event)
        return None

    def _due_s(self) -> float | None:
        limits = [socket.due_s for socket in (self._present, self._next) if socket is not None]
        limits += [due_s for due_s in (self._retry_at_s, self._give_up_at_s) if due_s is not None]
        return min(limits, default=None)

    def _handle_timers(self, now_s: float) -> None:
        if self._retry_at_s is not None and self._retry_at_s <= now_s:
            self._retry_at_s = None
            self._handle(LinkEvent(EventType.RETRY))
        elif self._present is not None and self._present.due_s <= now_s:
            self._handle_limit(self._present, EventType.BROKEN, now_s)
        elif self._next is not None and self._next.due_s <= now_s:
            self._handle_limit(self._next, EventType.NEXT_BROKEN, now_s)

    def _handle_limit(self, socket: TimedSocket, type_: EventType, now_s: float) -> None:
        """A time limit of a socket has passed.

        If this process was itself too busy to read, it first reads what has arrived meanwhile.
        """
        if now_s - socket.due_s > _BUSY_S:
            socket.postpone(_LISTEN_MS)
        elif socket.due_s == socket.quiet_s:
            socket.quiet_s = None
            if socket is self._present:
                self._handle(LinkEvent(EventType.QUIET))
        else:
            self._handle(LinkEvent(type_), _silence(self._link.state, self._where))

    def _on_present(self, socket: TimedSocket, event: SocketEvent) -> Update | None:
        if isinstance(event, timed_socket.SocketOpened):
            socket.open_by_s = None
            self._handle(LinkEvent(EventType.OPENED))
        elif isinstance(event, timed_socket.SocketClosed):
            self._handle(_closed(EventType.CLOSED, event), event.problem)
        elif self._link.state is LinkState.HANDOVER_GREETING:
            socket.extend_silence()
            self._kept.append(event)
        else:
            return self._receive(event)
        return None

    def _on_next(self, socket: TimedSocket, event: SocketEvent) -> None:
        if isinstance(event, timed_socket.SocketOpened):
            socket.open_by_s = None
            self._handle(LinkEvent(EventType.NEXT_OPENED))
        elif isinstance(event, timed_socket.SocketClosed):
            self._handle(_closed(EventType.NEXT_CLOSED, event), event.problem)
        elif isinstance(event, str):
            socket.extend_silence()
            self._control(event, ready=EventType.NEXT_READY, broken=EventType.NEXT_BROKEN)

    # --- what a gateway sends ---------------------------------------------------------------------

    def _receive(self, message: bytes | str) -> Update | None:
        if isinstance(message, bytes):
            return self._update(message)
        if self._present is not None:
            self._present.extend_silence()
        self._control(message, ready=EventType.READY, broken=EventType.BROKEN)
        return None

    def _control(self, text: str, *, ready: EventType, broken: EventType) -> None:
        """Handle a control message. Types that this version does not know are ignored."""
        try:
            message = _parsed(text)
            kind = message.get("type")
            if kind == "ready":
                self._ready(message, ready)
            elif kind == "reset":
                self._trusted = False
                reason = str(message["reason"])
                self.stats.resets[reason] = self.stats.resets.get(reason, 0) + 1
            elif kind == "drain":
                self._handle(LinkEvent(EventType.DRAIN))
            elif kind == "health":
                self._set_faults(_faults(message))
            elif kind == "city_time":
                self.city_time = _city_time(message)
            elif kind == "scenarios":
                self.scenarios = _scenarios(message)
            elif kind == "verdict":
                self.verdicts[str(message["verifier"])] = _checked(message)
            elif kind == "pending" and self._link.state not in SERVING:
                problem = Problem(ProblemKind.PENDING, "the gateway has not caught up yet: waiting for it")
                self._handle(LinkEvent(EventType.PENDING), problem)
        except (KeyError, StreamError) as error:
            problem = Problem(ProblemKind.UNREADABLE, f"a message of the gateway could not be read: {error}")
            self._handle(LinkEvent(broken, forget=True), problem)

    def _ready(self, message: dict[str, Any], ready: EventType) -> None:
        self._replica.ready(str(message["epoch"]))
        self.gateway = str(message["gateway"])
        self.stats.sessions += 1
        self.stats.resumes += message["mode"] == "resume"
        self._trusted = self._trusted or message["mode"] == "resume"
        self._set_faults(())
        self.city_time, self.scenarios = CityTime(), ()
        self._handle(LinkEvent(ready))
        self._views.settle(self._now_s())
        self._send_view()

    def _set_faults(self, faults: tuple[Fault, ...]) -> None:
        if faults == self.faults:
            return
        self.faults = faults
        if self._on_health is not None:
            self._on_health(faults)

    def _update(self, message: bytes) -> Update | None:
        """Apply an update. Without trusted rows only an image is applied, or counts as a sign of life."""
        is_image = len(message) > 1 and bool(message[1] & IMAGE_FLAG)
        if not self._trusted and not is_image:
            return None
        if self._present is not None:
            self._present.extend_silence()
        try:
            update = decode_update(message)
            if not self._views.is_requested(update.generation):
                raise StreamError(f"view {update.generation} was not requested")
            self._views.applied(update.generation)
            self._replica.apply(update)
        except HashMismatchError as mismatch:
            self._report(mismatch)
            if is_image:
                text = "the gateway sent an image that does not match its own hash"
                self._handle(LinkEvent(EventType.WRONG_IMAGE), Problem(ProblemKind.UNREADABLE, text))
            return None
        except StreamError as error:
            problem = Problem(ProblemKind.UNREADABLE, str(error))
            self._handle(LinkEvent(EventType.BROKEN, forget=not isinstance(error, GapError)), problem)
            return None
        self._trusted = True
        self.stats.updates += 1
        self._handle(LinkEvent(EventType.VERIFIED))
        return update

    def _report(self, mismatch: HashMismatchError) -> None:
        """Tell the gateway that the rows differ. It answers with an image."""
        self.stats.mismatches += 1
        if self._present is not None:
            cursor = str(self._replica.cursor)
            own, received = [*mismatch.own], [*mismatch.received]
            self._present.send(type="mismatch", cursor=cursor, own=own, received=received)
        self._forget()

    def _forget(self) -> None:
        """Keep the rows, which may be drawn, but do not continue from their cursor."""
        self._replica.cursor = None
        self._trusted = False

    # --- carrying out effects ---------------------------------------------------------------------

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _handle(self, event: LinkEvent, problem: Problem | None = None) -> None:
        """Change the state as the event says. `problem`: what is wrong, if no connection serves after it."""
        before = self._link.state
        self._link, effects = step(self._link, event, self._chance())
        for effect in effects:
            self._carry_out(effect)
        if before is not self._link.state or problem is not None:
            self._explain(problem)
        if Effect(EffectType.ASK) in effects:
            self._ask()

    def _explain(self, problem: Problem | None) -> None:
        """Tell the application of another state, or of another reason why no connection serves."""
        state = self._link.state
        self.problem = None if state in SERVING else problem or self.problem
        if self._on_link is not None:
            retry_in_s = None if self._retry_at_s is None else max(0.0, self._retry_at_s - self._now_s())
            self._on_link(LinkStatus(state, self.problem, retry_in_s))
        if self.problem is None or self.problem.text == self._logged:
            return
        if self._link.failures >= _LASTING_FAILURES or state is LinkState.REFUSED:
            self._logged = self.problem.text
            _log.warning("no connection to a gateway: %s", self.problem.text)

    def _carry_out(self, effect: Effect) -> None:
        if effect.type is EffectType.RETRY:
            self._retry_at_s = self._now_s() + effect.in_ms / 1000
        elif effect.type is not EffectType.ASK:
            self._actions[effect.type]()

    def _open_present(self) -> None:
        self._present = self._open()

    def _open_next(self) -> None:
        self._next = self._open()

    def _close(self) -> None:
        _close(self._present, self._next)
        self._present = self._next = self._retry_at_s = None
        self._kept.clear()
        self._backlog.clear()

    def _close_next(self) -> None:
        _close(self._next)
        self._next = None

    def _adopt_next(self) -> None:
        _close(self._present)
        self._present, self._next = self._next, None
        self._kept.clear()

    def _apply_kept(self) -> None:
        self._backlog, self._kept = self._kept, deque()

    def _open(self) -> TimedSocket:
        self._retry_at_s = None
        return TimedSocket(self._opener, self._where, self._events, open_ms(self._link))

    def _ask(self) -> None:
        """Ask the application for a token. What its function raises goes to the reader; it is asked again."""
        used = self._token
        try:
            self._token = self._token_source()
        except BaseException:
            self._handle(LinkEvent(EventType.NO_TOKEN))
            raise
        self._handle(LinkEvent(EventType.TOKEN, is_new=self._token not in {used, None}))

    def _send_hello(self, socket: TimedSocket | None) -> None:
        assert socket is not None
        cursor = self._replica.cursor
        view = self._views.greet(has_rows=cursor is not None)
        hello: dict[str, Any] = {"type": "hello", "v": VERSION, "city": self.name}
        hello |= {"view": view} if view is not None else {}
        hello |= {"cursor": str(cursor)} if cursor is not None else {}
        hello |= {"token": self._token} if self._token is not None else {}
        socket.send(**hello)

    def _send_view(self) -> None:
        """Request the wanted view, now or as soon as the pause after the last request is over."""
        due_s, now_s = self._views.due_s, self._now_s()
        if self._present is None or due_s is None:
            return
        if due_s > now_s:
            asyncio.get_running_loop().call_at(due_s, self._send_view)
        else:
            generation, bbox = self._views.next_request(now_s)
            self._present.send(type="view", generation=generation, bbox=bbox)


def _token_source(token: str | TokenSource | None) -> TokenSource:
    return token if callable(token) else lambda: token


def _closed(type_: EventType, closed: timed_socket.SocketClosed) -> LinkEvent:
    return LinkEvent(type_, code=closed.code, reason=closed.reason, was_answered=closed.was_answered)


def _parsed(text: str) -> dict[str, Any]:
    """A control message. Raises StreamError."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StreamError(str(error)) from None
    if not isinstance(message, dict):
        raise StreamError(f"no control message: {text[:80]}")
    return message


def _faults(message: dict[str, Any]) -> tuple[Fault, ...]:
    """The faults of a `health` message; entries that are none are left out."""
    faults = message.get("faults")
    return tuple(
        Fault(fault["code"], fault["text"])
        for fault in (faults if isinstance(faults, list) else [])
        if isinstance(fault, dict)
        and isinstance(fault.get("code"), str)
        and isinstance(fault.get("text"), str)
    )


def _checked(message: dict[str, Any]) -> tuple[GatewayVerdict, ...]:
    """The gateways of a `verdict` message. Raises StreamError."""
    try:
        return tuple(
            GatewayVerdict(
                str(one["gateway"]),
                int(one["cut_ms"]),
                int(one["checked"]),
                int(one["wrong"]),
                str(one["rule"]),
                str(one["text"]),
            )
            for one in message["gateways"]
        )
    except (TypeError, ValueError) as error:
        raise StreamError(f"no verdict: {error}") from None


def _city_time(message: dict[str, Any]) -> CityTime:
    """The periods of a `city_time` message. Raises StreamError."""
    try:
        return CityTime([Period(*map(int, period)) for period in message["periods"]])
    except (TypeError, ValueError) as error:
        raise StreamError(f"no periods: {error}") from None


def _scenarios(message: dict[str, Any]) -> tuple[ScenarioUnderWay, ...]:
    """The scenarios of a `scenarios` message. Raises StreamError."""
    try:
        return tuple(
            ScenarioUnderWay(
                str(one["name"]),
                str(one["title"]),
                int(one["since_ms"]),
                int(one["lasts_s"]),
                None if one.get("area") is None else _disc(*one["area"]),
            )
            for one in message["under_way"]
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StreamError(f"no scenarios: {error!r}") from None


def _disc(lng: float, lat: float, radius_m: float) -> tuple[float, float, int]:
    return float(lng), float(lat), int(radius_m)


def _silence(state: LinkState, where: str) -> Problem:
    """Nothing came in time."""
    if state is LinkState.CONNECTING:
        text = f"nothing answers at {where}"
    elif state is LinkState.GREETING:
        text = f"a connection to {where} opened, but no gateway answers on it"
    else:
        text = f"the gateway has sent nothing for {SILENCE_MS / 1000:g} s"
    return Problem(ProblemKind.SILENT, text)


def _close(*sockets: TimedSocket | None) -> None:
    for socket in sockets:
        if socket is not None:
            socket.close()


@asynccontextmanager
async def connect(
    url: str,
    *,
    city: str = "manhattan",
    view: View = None,
    token: str | TokenSource | None = None,
    on_link: Callable[[LinkStatus], None] | None = None,
    on_health: Callable[[tuple[Fault, ...]], None] | None = None,
    give_up_s: float | None = GIVE_UP_S,
) -> AsyncIterator[CityStream]:
    """A city at `ws://host:port/ws`. It connects when the first update is awaited, and again if it must.

    Args:
        url: the socket of a gateway, or of a proxy before several.
        city: its name, as the gateway knows it.
        view: west, south, east, north in degrees; None is the whole city.
        token: a token, or a function that gives one. The function is called before the first connection, and
            again after a close with 4401; if it gives the same token or None then, the client is refused.
        on_link: called whenever the connection is in another state, or more is known about why none serves.
        on_health: called whenever the gateway's list of faults changes.
        give_up_s: how long to try for a first image; then awaiting an update raises StreamUnreachableError.
            None: for ever. A client that had an image goes on trying whatever this says.

    Raises:
        ValueError: `url` is not a WebSocket address.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"ws", "wss"} or not parts.hostname:
        message = f"{url!r} is no WebSocket address: ws://HOST:PORT/ws or wss://HOST/ws is wanted"
        raise ValueError(message)
    stream = CityStream(
        timed_socket.websocket(url),
        city=city,
        view=view,
        token=token,
        where=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        on_link=on_link,
        on_health=on_health,
        give_up_s=give_up_s,
    )
    try:
        yield stream
    finally:
        with contextlib.suppress(OSError):
            await stream.aclose()
