# SPDX-License-Identifier: Apache-2.0
"""A city, live, as one client sees it: `async with connect(url) as city: async for cut in city: …`.

This is the shell around decode.py, state.py, link.py and wishes.py: sockets, timers and chance.
"""

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

from taxi.client import lines
from taxi.client.decode import decode_cut
from taxi.client.lines import Line, Opener
from taxi.client.link import SERVED, SILENCE_MS, TOKEN, Do, Effect, Event, Link, State, What, step
from taxi.client.rows import IMAGE, Cut, DriverRow, RideRow, StreamError
from taxi.client.state import ClientState, Gap, WrongPicture
from taxi.client.wishes import BBox, Wishes
from taxi.cursor import Cursor

_BUSY_S: Final = 0.25
"""A timer that runs so late says that nobody could listen."""
_LISTEN_MS: Final = 500.0
_VERSION: Final = 1


class Refused(ConnectionError):  # noqa: N818 - an outcome
    """The gateway does not want this client to come back: (close code, reason)."""


@dataclass
class Tally:
    """What happened so far."""

    cuts: int = 0
    sessions: int = 0
    resumes: int = 0
    resets: dict[str, int] = field(default_factory=dict)
    mismatches: int = 0
    """Pictures that differed from the log's; each was replaced by a fresh one."""


class City:
    """The rows of a city, and the cuts that change them. Rows change only while a cut is awaited."""

    def __init__(
        self,
        open_line: Opener,
        *,
        city: str,
        view: BBox | None,
        token: str | Callable[[], str] | None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = city
        self.gateway = ""
        """Who serves it now."""
        self.tally = Tally()
        self._open_line = open_line
        self._ask_token = _asking(token)
        self._token: str | None = None
        self._unproven = False
        """The token is a new one that no gateway has accepted yet."""
        self._chance = chance
        self._rows = ClientState()
        self._trusted = False
        self._wishes = Wishes(view)
        self._link = Link()
        self._line: Line | None = None
        self._next: Line | None = None
        self._kept: deque[bytes | str] = deque()
        """What the old line brought since hello was said on the next."""
        self._backlog: deque[bytes | str] = deque()
        """What of it has to be applied after all."""
        self._heard: asyncio.Queue[tuple[Line, lines.Happening]] = asyncio.Queue(maxsize=16)
        self._retry_s: float | None = 0.0
        self._close = (1006, "")

    # --- what a reader sees -----------------------------------------------------------------------

    @property
    def drivers(self) -> Mapping[int, DriverRow]:
        """The driver rows of the view, by number."""
        return self._rows.drivers

    @property
    def rides(self) -> Mapping[str, RideRow]:
        """The ride rows of the city, by id."""
        return self._rows.rides

    @property
    def cursor(self) -> Cursor | None:
        """Of the last cut applied; None while the rows are no picture of the log."""
        return self._rows.cursor if self._trusted else None

    @property
    def trusted(self) -> bool:
        """Whether the rows are a picture of the log: not before an image, and not between a reset and one."""
        return self._trusted

    @property
    def view(self) -> BBox | None:
        """What the rows are of; None is the whole city."""
        return self._wishes.shown

    @property
    def state(self) -> State:
        """Where the line is in its life."""
        return self._link.state

    def look_at(self, bbox: BBox | None) -> None:
        """Wish for another view. Rows are of the old one until the cut that brings the new one."""
        served = self._link.state in SERVED - {State.MOVING}
        self._wishes.want(bbox, self._now_s(), served=served)
        self._say_wish()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Cut:
        """The next cut, applied and verified. Raises Refused."""
        if self._token is None:
            self._token = self._ask_token()
        while self._link.state is not State.REFUSED or self._backlog:
            cut = await self._once()
            if cut is not None:
                return cut
        raise Refused(*self._close)

    async def aclose(self) -> None:
        """Leave."""
        for line in (self._line, self._next):
            if line is not None:
                await line.aclose()
        self._line = self._next = None

    # --- one thing after another ------------------------------------------------------------------

    async def _once(self) -> Cut | None:
        """Wait for the next thing to happen and deal with it; the cut, if one was applied."""
        if self._backlog:
            return self._message(self._backlog.popleft())
        try:
            async with asyncio.timeout_at(self._due_s()):
                line, happening = await self._heard.get()
        except TimeoutError:
            self._passed(self._now_s())
            return None
        if line is self._line:
            return self._on_line(line, happening)
        if line is self._next:
            self._on_next(line, happening)
        return None

    def _due_s(self) -> float | None:
        silences = [line.silent_s for line in (self._line, self._next) if line is not None]
        return min([*silences, *([] if self._retry_s is None else [self._retry_s])], default=None)

    def _passed(self, now_s: float) -> None:
        """A timer is due."""
        if self._retry_s is not None and self._retry_s <= now_s:
            self._retry_s = None
            self._happen(Event(What.RETRY))
        elif self._line is not None and self._line.silent_s <= now_s:
            self._silent(self._line, What.BROKEN, now_s)
        elif self._next is not None and self._next.silent_s <= now_s:
            self._silent(self._next, What.NEXT_LOST, now_s)

    def _silent(self, line: Line, what: What, now_s: float) -> None:
        """A client that was itself too busy to listen first hears what was said meanwhile."""
        if now_s - line.silent_s > _BUSY_S:
            line.watch(_LISTEN_MS)
        else:
            self._happen(Event(what))

    def _on_line(self, line: Line, happening: lines.Happening) -> Cut | None:
        if isinstance(happening, lines.Opened):
            line.watch(SILENCE_MS)
            self._happen(Event(What.OPENED))
        elif isinstance(happening, lines.Closed):
            self._happen(self._closed(What.CLOSED, happening))
        elif self._link.state is State.MOVING:
            line.watch(SILENCE_MS)
            self._kept.append(happening)
        else:
            return self._message(happening)
        return None

    def _on_next(self, line: Line, happening: lines.Happening) -> None:
        if isinstance(happening, lines.Opened):
            line.watch(SILENCE_MS)
            self._happen(Event(What.NEXT_OPENED))
        elif isinstance(happening, lines.Closed):
            self._happen(self._closed(What.NEXT_LOST, happening))
        elif isinstance(happening, str):
            line.watch(SILENCE_MS)
            self._control(json.loads(happening), ready=What.NEXT_READY)

    def _closed(self, what: What, closed: lines.Closed) -> Event:
        self._close = closed.code, closed.reason
        renewed = closed.code == TOKEN and self._renew_token()
        return Event(what, code=closed.code, reason=closed.reason, renewed=renewed)

    def _renew_token(self) -> bool:
        """Ask for another token, unless the last one was one already."""
        used, was_unproven = self._token, self._unproven
        self._token, self._unproven = self._ask_token(), True
        return not was_unproven and self._token not in {used, None}

    # --- what a gateway says ----------------------------------------------------------------------

    def _message(self, message: bytes | str) -> Cut | None:
        if isinstance(message, bytes):
            return self._cut(message)
        if self._line is not None:
            self._line.watch(SILENCE_MS)
        self._control(json.loads(message), ready=What.READY)
        return None

    def _control(self, message: dict[str, Any], *, ready: What) -> None:
        kind = message.get("type")
        if kind == "ready":
            self._rows.ready(message["epoch"])
            self.gateway = message["gateway"]
            self.tally.sessions += 1
            self.tally.resumes += message["mode"] == "resume"
            self._trusted = self._trusted or message["mode"] == "resume"
            self._happen(Event(ready))
            self._wishes.settle(self._now_s())
            self._say_wish()
        elif kind == "reset":
            self._trusted = False
            reason = str(message["reason"])
            self.tally.resets[reason] = self.tally.resets.get(reason, 0) + 1
        elif kind == "drain":
            self._happen(Event(What.DRAIN))

    def _cut(self, message: bytes) -> Cut | None:
        """Apply a cut. While the rows are not trusted nothing but an image is, nor is it a sign of life."""
        if not self._trusted and not (len(message) > 1 and message[1] & IMAGE):
            return None
        if self._line is not None:
            self._line.watch(SILENCE_MS)
        try:
            cut = decode_cut(message)
            if cut.generation and not self._wishes.arrived(cut.generation):
                raise StreamError(f"nobody asked for view {cut.generation}")
            self._rows.apply(cut)
        except WrongPicture as wrong:
            self._report(wrong)
            if message[1] & IMAGE:
                self._happen(Event(What.BROKEN, forget=True, wrong=True))
            return None
        except StreamError as error:
            self._happen(Event(What.BROKEN, forget=not isinstance(error, Gap)))
            return None
        self._trusted, self._unproven = True, False
        self.tally.cuts += 1
        self._happen(Event(What.VERIFIED))
        return cut

    def _report(self, wrong: WrongPicture) -> None:
        """Say that the picture differs; the answer is an image. One that differs as well ends the line."""
        self.tally.mismatches += 1
        if self._line is not None:
            cursor = str(self._rows.cursor)
            self._line.say(type="mismatch", cursor=cursor, own=[*wrong.own], told=[*wrong.told])
        self._forget()

    def _forget(self) -> None:
        """The rows stay for whoever draws them, but they are no longer a place to go on from."""
        self._rows.cursor = None
        self._trusted = False

    # --- carrying out -----------------------------------------------------------------------------

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _happen(self, event: Event) -> None:
        self._link, effects = step(self._link, event, self._chance())
        for effect in effects:
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        if effect.do is Do.OPEN:
            self._line = self._opened()
        elif effect.do is Do.OPEN_NEXT:
            self._next = self._opened()
        elif effect.do is Do.HELLO:
            self._hello(self._line)
        elif effect.do is Do.HELLO_NEXT:
            self._hello(self._next)
        elif effect.do is Do.CLOSE:
            _leave(self._line, self._next)
            self._line = self._next = None
            self._kept.clear()
            self._backlog.clear()
        elif effect.do is Do.CLOSE_NEXT:
            _leave(self._next)
            self._next = None
        elif effect.do is Do.ADOPT:
            _leave(self._line)
            self._line, self._next = self._next, None
            self._kept.clear()
        elif effect.do is Do.CATCH_UP:
            self._backlog, self._kept = self._kept, deque()
        elif effect.do is Do.FORGET:
            self._forget()
        else:
            self._retry_s = self._now_s() + effect.in_ms / 1000

    def _opened(self) -> Line:
        self._retry_s = None
        return Line(self._open_line, self._heard, SILENCE_MS)

    def _hello(self, line: Line | None) -> None:
        assert line is not None
        cursor = self._rows.cursor
        view = self._wishes.greet(with_rows=cursor is not None)
        said: dict[str, Any] = {"type": "hello", "v": _VERSION, "city": self.name}
        said |= {"view": view} if view is not None else {}
        said |= {"cursor": str(cursor)} if cursor is not None else {}
        said |= {"token": self._token} if self._token is not None else {}
        line.say(**said)

    def _say_wish(self) -> None:
        """Now, or as soon as the pause after the last one is over."""
        due_s, now_s = self._wishes.due_s, self._now_s()
        if self._line is None or due_s is None:
            return
        if due_s > now_s:
            asyncio.get_running_loop().call_at(due_s, self._say_wish)
        else:
            generation, bbox = self._wishes.say(now_s)
            self._line.say(type="view", generation=generation, bbox=bbox)


def _asking(token: str | Callable[[], str] | None) -> Callable[[], str | None]:
    """Where to get a token."""
    if callable(token):
        return token
    return lambda: token


def _leave(*lines_left: Line | None) -> None:
    for line in lines_left:
        if line is not None:
            line.leave()


@asynccontextmanager
async def connect(
    url: str,
    *,
    city: str = "manhattan",
    view: BBox | None = None,
    token: str | Callable[[], str] | None = None,
) -> AsyncIterator[City]:
    """A city at `ws://host:port/ws`. It connects when the first cut is awaited, and again whenever it must.

    `view`: west, south, east, north in degrees; None is the whole city. `token`, or where to get one.
    """
    shown = City(lines.websocket(url), city=city, view=view, token=token)
    try:
        yield shown
    finally:
        with contextlib.suppress(OSError):
            await shown.aclose()
