# SPDX-License-Identifier: Apache-2.0
"""One client of the load test: follows docs/protocol.md and checks that its gateway does.

It has no rows. Whether an update is right is checked once for all clients in the same state.
"""

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from taxi.client.link import Effect, Link, LinkEvent, step
from taxi.client.protocol import SERVING, SILENCE_MS, EffectType, EventType, LinkState
from taxi.client.viewport import ViewportRequests
from taxistream.tools.loadtest.clients.line import Line
from taxistream.tools.loadtest.clients.observations import Key
from taxistream.tools.loadtest.decoding import HEADER, IMAGE
from taxistream.tools.oracle.city import Cursor
from taxistream.tools.oracle.grid import Area, BBox, OracleGrid

BEAT_S: Final = 1.0
ANSWER_S: Final = 10.0
"""A `hello` or a requested viewport must be answered within this time."""
_FAULTS: Final = frozenset({1002, 1003, 1007, 1008, 1009, 1010, 1011, 4008, 4010, 4400, 4404, 4426})
"""Close codes that a client which follows the protocol must not get."""
_BACK_ALLOWED: Final = frozenset({"ahead", "epoch"})
_MODES: Final = frozenset({"image", "resume"})


class ClientEnvironment(Protocol):
    """The part of `LoadClients` that a client uses."""

    def open(self, client: "LoadClient") -> Line: ...
    def blame(self, rule: str, *details: object) -> None: ...
    def saw(self, key: Key, message: bytes, at_ms: int, *, late: bool) -> None: ...
    def ready(self, client: "LoadClient", message: dict[str, Any]) -> None: ...
    def reset(self, reason: str) -> None: ...
    def closed(self, code: int) -> None: ...
    def leaving(self, at_s: float) -> None:
        """A client sends `hello` on another connection, because its gateway drains."""

    def handed_over(self, gap_ms: float) -> None:
        """It got the first update there, this long after the last one of the old gateway."""

    def tolerance_s(self) -> float:
        """How much later than the protocol permits something may arrive without being a violation."""


@dataclass
class LoadClient:
    """One client, over all of its connections."""

    name: str
    world: ClientEnvironment
    city: str
    dice: random.Random
    token: str | None = None
    view: BBox | None = None
    link: Link = field(default_factory=Link)
    line: Line | None = None
    next: Line | None = None
    cursor: Cursor | None = None
    epoch: str = ""
    gateway: str = ""
    grid: OracleGrid | None = None
    area: Area = None
    """The viewport of its rows."""
    killed_ms: int = 0
    """When its gateway was killed (wall clock); 0 if it has got an update of another one since."""
    killed_line: Line | None = None
    """The connection to the killed gateway."""
    recovered_ms: Callable[["LoadClient", int], None] | None = None
    """Called with the first update after that."""
    expects: str = ""
    """The required outcome of `hello`: `image`, `resume`, or the reason of a reset; empty: the normal one."""
    _views: ViewportRequests = field(init=False)
    _image_due: bool = False
    """The next update must be an image, because of a reset or because there was no cursor."""
    _excuse: str = ""
    """The reason of the last reset, until its image arrived."""
    _late: bool = False
    """It was disconnected by its own choice, so the next update's latency is not counted."""
    _kept: deque[tuple[bytes | str, int]] = field(default_factory=deque)
    """Messages of the old connection during a handover, with their arrival times."""
    _cut_ms: int = 0
    """When the last update arrived on any connection (wall clock)."""
    _moving: bool = False
    """Its gateway drained, and it has another connection without an update so far."""
    _heard_s: float = 0.0
    """When the last update arrived on this connection; 0 if none did."""
    _asked_s: float = 0.0
    """Since when it waits for the answer to `hello`; 0 if it does not."""
    _wished_s: float = 0.0
    """Since when it waits for a requested viewport; 0 if it does not."""
    _retry: asyncio.TimerHandle | None = None
    _now_s: Callable[[], float] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the requested viewport."""
        self._views = ViewportRequests(self.view)
        self._now_s = asyncio.get_running_loop().time

    # --- what `LoadClients` does with it -----------------------------------------------------------

    def start(self) -> None:
        """Connect now."""
        self._happen(LinkEvent(EventType.RETRY))

    def look_at(self, bbox: BBox | None) -> None:
        """Request another viewport."""
        self._views.want(
            bbox, self._now_s(), is_served=self.link.state in SERVING - {LinkState.HANDOVER_GREETING}
        )
        self._say_wish()

    def leave(self, away_s: float, *, cursor: Cursor | None, epoch: str = "", expects: str = "") -> None:
        """Disconnect, and reconnect with this cursor after `away_s`."""
        self._drop()
        self.cursor, self.epoch, self.expects = cursor, epoch or self.epoch, expects
        self._late = True
        self._excuse = ""
        self.killed_ms = 0
        self.link = Link()
        self._wait(away_s)

    def stop(self) -> None:
        """Disconnect and do not reconnect."""
        self._drop()
        if self._retry is not None:
            self._retry.cancel()

    @property
    def is_live(self) -> bool:
        """Whether it gets updates and its rows are complete."""
        return self.link.state in SERVING and self.cursor is not None and not self._image_due

    def check(self, now_s: float) -> None:
        """Report what is overdue. Call it a few times a second."""
        late_s = self.world.tolerance_s()
        if self._asked_s and now_s - self._asked_s > ANSWER_S + late_s:
            self._asked_s = 0.0
            self.world.blame("hello_hangs", self.name, "at", self.gateway or "an unknown gateway")
        if self._wished_s and now_s - self._wished_s > ANSWER_S + late_s:
            self._wished_s = 0.0
            self.world.blame("view_ignored", self.name, "at", self.gateway)
        for line, lost in ((self.line, EventType.BROKEN), (self.next, EventType.NEXT_BROKEN)):
            if line is not None and line.silent_s <= now_s:
                self._happen(LinkEvent(lost))

    # --- events of its connections ----------------------------------------------------------------

    def opened(self, line: Line) -> None:
        self._patient(line)
        self._happen(LinkEvent(EventType.OPENED if line is self.line else EventType.NEXT_OPENED))

    def heard_update(self, line: Line, message: bytes, at_ms: int) -> None:
        if line is not self.line:
            if line is self.next:
                self._broken("outcome", "an update before ready")
            return
        if self.link.state is LinkState.HANDOVER_GREETING:
            self._patient(line)
            self._kept.append((message, at_ms))
            return
        self._take_update(line, message, at_ms)

    def heard_text(self, line: Line, text: str, at_ms: int) -> None:
        try:
            message = json.loads(text)
            kind = message["type"]
        except (ValueError, TypeError, KeyError):
            self.world.blame("words", self.name, "received", text[:100])
            return
        self._patient(line)  # also `pending`, which comes every second
        if line is self.line and self.link.state is LinkState.HANDOVER_GREETING:
            self._kept.append((text, at_ms))
        elif line in {self.line, self.next}:
            self._control(line, kind, message)

    def lost(self, line: Line, code: int, reason: str) -> None:
        self.world.closed(code)
        if code in _FAULTS:
            self.world.blame("closed_for_fault", self.name, code, reason)
        if line is self.line:
            self._happen(LinkEvent(EventType.CLOSED, code=code, reason=reason))
        elif line is self.next:
            self._happen(LinkEvent(EventType.NEXT_CLOSED, code=code, reason=reason))

    def misframed(self, line: Line, why: str) -> None:
        del line
        self._broken("bytes", why)

    # --- updates ----------------------------------------------------------------------------------

    def _take_update(self, line: Line, message: bytes, at_ms: int) -> None:
        now_s = self._now_s()
        self._mind_the_beat(now_s)
        line.silent_s = now_s + SILENCE_MS / 1000
        if len(message) < HEADER.size:
            self._broken("bytes", f"an update of {len(message)} bytes")
            return
        head = HEADER.unpack_from(message)
        generation, since, to = head[2], (head[6], head[7]), (head[8], head[9])
        is_image = bool(head[1] & IMAGE)
        if not self._follows(is_image=is_image, since=since, to=to):
            return
        old = self.area
        if generation and not self._arrived(generation):
            return
        key = (None if is_image else since, to, old, self.area, self.epoch)
        self.world.saw(key, message, at_ms, late=self._late)
        self.cursor = to
        self._image_due = self._late = False
        self._excuse = ""
        if self._moving:
            self._moving = False
            self.world.handed_over(at_ms - self._cut_ms)
        self._cut_ms = at_ms
        if self.killed_ms and self.recovered_ms is not None and line is not self.killed_line:
            self.recovered_ms(self, at_ms)
        if self.link.failures:
            self._happen(LinkEvent(EventType.VERIFIED))

    def _mind_the_beat(self, now_s: float) -> None:
        if self._heard_s and now_s - self._heard_s > BEAT_S + self.world.tolerance_s():
            self.world.blame("silence", self.name, f"{now_s - self._heard_s:.2f} s at", self.gateway)
        self._heard_s = now_s

    def _follows(self, *, is_image: bool, since: Cursor, to: Cursor) -> bool:
        """Whether this update is allowed after the last one."""
        at = self.cursor
        if is_image != self._image_due:
            rule, what = ("image_unasked", "an image") if is_image else ("chain", "no image after a reset")
            self._broken(rule, f"{what} at {at}", forget=True)
            return False
        if not is_image and since != at:
            self._broken("chain", f"an update from {since} for a client at {at}")
            return False
        forward = at is None or (to[0] >= at[0] and to[1] >= at[1])
        if not forward and self._excuse not in _BACK_ALLOWED:
            self._broken("cursor_went_back", f"from {at} to {to} at {self.gateway}", forget=True)
            return False
        return True

    def _arrived(self, generation: int) -> bool:
        if not self._views.is_requested(generation):
            self._broken("generation", f"{generation} was not asked for", forget=True)
            return False
        self._views.applied(generation)
        self.area = self._area(self._views.shown)
        if self._views.shown == self._views.wanted:
            self._wished_s = 0.0
        return True

    def _area(self, bbox: BBox | None) -> Area:
        return None if self.grid is None else self.grid.area(bbox)

    def _broken(self, rule: str, what: str, *, forget: bool = False) -> None:
        self.world.blame(rule, f"{self.name}: {what}")
        self._happen(LinkEvent(EventType.BROKEN, forget=forget))

    # --- words ------------------------------------------------------------------------------------

    def _control(self, line: Line, kind: str, message: dict[str, Any]) -> None:
        if kind == "ready":
            self._ready(line, message)
        elif kind == "reset":
            self._excuse, self._image_due = str(message.get("reason")), True
            if self._excuse not in self.expects.split("|"):
                self.world.reset(self._excuse)
        elif kind == "drain":
            self._happen(LinkEvent(EventType.DRAIN))

    def _ready(self, line: Line, message: dict[str, Any]) -> None:
        mode, epoch = message.get("mode"), message.get("epoch")
        if mode not in _MODES or not isinstance(epoch, str) or "grid" not in message:
            self.world.blame("words", self.name, "received", str(message)[:200])
            return
        self._patient(line)
        if self._asked_s:
            self._hold_to_outcome(mode)
        self._asked_s = 0.0
        self._image_due = mode == "image"
        self.grid, self.epoch, self.gateway = (
            OracleGrid.from_ready(message["grid"]),
            epoch,
            str(message.get("gateway")),
        )
        self._heard_s = self._now_s()
        self._happen(LinkEvent(EventType.READY if line is self.line else EventType.NEXT_READY))
        self.area = self._area(self._views.shown)
        self.world.ready(self, message)
        self._views.settle(self._now_s())
        self._say_wish()

    def _hold_to_outcome(self, mode: str) -> None:
        """Check the answer to `hello`: an image without a cursor or after a reset, otherwise as expected."""
        fair = mode == ("image" if self.cursor is None or self._excuse else "resume")
        came = self._excuse or mode
        if not fair or (self.expects and came not in self.expects.split("|")):
            wanted = self.expects or ("resume" if self.cursor else "image")
            self.world.blame("outcome", f"{self.name}: {came} for {self.cursor}, not {wanted}")
        self.expects = ""

    def _hello(self, line: Line | None) -> None:
        assert line is not None
        view = self._views.greet(has_rows=self.cursor is not None)
        said: dict[str, Any] = {"type": "hello", "v": 1, "city": self.city}
        if view is not None:
            said["view"] = view
        if self.cursor is not None:
            said["cursor"] = f"{self.epoch}:{self.cursor[0]}:{self.cursor[1]}"
        if self.token is not None:
            said["token"] = self.token
        self._excuse, self._wished_s, self._asked_s = "", 0.0, self._now_s()
        line.say(json.dumps(said))

    def _say_wish(self) -> None:
        due_s, now_s = self._views.due_s, self._now_s()
        if self.line is None or due_s is None:
            return
        if due_s > now_s:
            asyncio.get_running_loop().call_at(due_s, self._say_wish)
            return
        generation, bbox = self._views.next_request(now_s)
        self._wished_s = self._wished_s or now_s
        self.line.say(json.dumps({"type": "view", "generation": generation, "bbox": bbox}))

    # --- lines ------------------------------------------------------------------------------------

    def _happen(self, event: LinkEvent) -> None:
        self.link, effects = step(self.link, event, self.dice.random())
        for effect in effects:
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        if effect.type is EffectType.OPEN:
            self.line = self._opened()
        elif effect.type is EffectType.HELLO:
            self._hello(self.line)
        elif effect.type is EffectType.CLOSE:
            self._drop()
        elif effect.type is EffectType.FORGET:
            self.cursor = None
        elif effect.type is EffectType.ASK:
            self._happen(LinkEvent(EventType.TOKEN))  # it has no other one
        elif effect.type is EffectType.RETRY:
            self._wait(effect.in_ms / 1000)
        else:
            self._carry_out_handover(effect)

    def _carry_out_handover(self, effect: Effect) -> None:
        if effect.type is EffectType.OPEN_NEXT:
            self.next = self._opened()
        elif effect.type is EffectType.HELLO_NEXT:
            self.world.leaving(self._now_s())
            self._hello(self.next)
        elif effect.type is EffectType.CLOSE_NEXT:
            self._leave(self.next)
            self.next, self._asked_s = None, 0.0
            self._image_due, self._excuse = False, ""
        elif effect.type is EffectType.ADOPT_NEXT:
            self._leave(self.line)
            self.line, self.next = self.next, None
            self._moving = self.link.state is LinkState.LIVE
            self._kept.clear()
        elif effect.type is EffectType.APPLY_KEPT:
            self._catch_up()

    def _catch_up(self) -> None:
        kept, self._kept = self._kept, deque()
        for message, at_ms in kept:
            if self.line is None:
                break
            if isinstance(message, bytes):
                self._take_update(self.line, message, at_ms)
            else:
                self.heard_text(self.line, message, at_ms)

    def _opened(self) -> Line:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        line = self.world.open(self)
        self._patient(line)
        return line

    def _wait(self, seconds: float) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later(seconds, self._happen, LinkEvent(EventType.RETRY))

    def _drop(self) -> None:
        for line in (self.line, self.next):
            self._leave(line)
        self.line = self.next = None
        self._kept.clear()
        self._asked_s = self._wished_s = self._heard_s = 0.0

    def _leave(self, line: Line | None) -> None:
        if line is not None:
            line.leave()

    def _patient(self, line: Line, seconds: float = SILENCE_MS / 1000) -> None:
        line.silent_s = self._now_s() + seconds
