# SPDX-License-Identifier: Apache-2.0
"""One client's session as plain data: what it said, where it stands, what is due. No socket, no clock.

GREETING ──hello──► HELD ──served──► LIVE
│                 │  ▲                │
│                 │  └─rebuilt, wrong─┤
└──────close──────┴───────close───────┴──► CLOSED
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.stream.limits import Meter, Rate
from gateway.stream.messages import Close, Refusal
from gateway.stream.picture import Area
from gateway.stream.tokens import EVERYTHING, Grant
from taxi.cursor import Cursor

HELLO_S_MAX: Final = 5.0
HELD_S_MAX: Final = 10.0
BLOCKED_S_MAX: Final = 30.0
MESSAGES: Final = Rate(per_s=5.0, burst=10)
"""Of one connection."""


@dataclass(frozen=True, slots=True)
class Serve:
    """What the client gets next: one frame from `since` (an image if None), and why it must forget."""

    since: Cursor | None
    reset: str | None = None


@dataclass(frozen=True, slots=True)
class Ends:
    """How far both logs go, read_committed."""

    loc: int
    ev: int


def judge(cursor: Cursor | None, now: Cursor, *, in_window: bool, ends: Ends | None) -> Serve | None:
    """How to go on from `cursor` at a gateway that stands at `now`; None: hold until it has caught up.

    `ends` must have been asked for after the client came; None where they are not known.
    """
    if cursor is None:
        return Serve(None)
    if cursor.epoch != now.epoch:
        return Serve(None, "epoch")
    if cursor.reached_by(now):
        return Serve(cursor) if in_window else Serve(None, "expired")
    if ends is not None and (cursor.loc > ends.loc or cursor.ev > ends.ev):
        return Serve(None, "ahead")
    return None


class Phase(Enum):
    """Where a session is in its life."""

    GREETING = "greeting"
    HELD = "held"
    LIVE = "live"
    CLOSED = "closed"


class IllegalTransitionError(RuntimeError):
    """A session was moved to where it can't go: a bug."""


_NEXT: Final = {
    Phase.GREETING: (Phase.HELD, Phase.CLOSED),
    Phase.HELD: (Phase.LIVE, Phase.CLOSED),
    Phase.LIVE: (Phase.HELD, Phase.CLOSED),
    Phase.CLOSED: (),
}


@dataclass(frozen=True, slots=True)
class Wish:
    """A view that was asked for and not served yet."""

    area: Area
    generation: int


@dataclass(slots=True)
class Session:
    """Times are seconds of the loop's clock."""

    id: str
    since_s: float
    """When this phase began."""
    phase: Phase = Phase.GREETING
    grant: Grant = EVERYTHING
    cursor: Cursor | None = None
    """Of the last cut sent to it alone, or as it said; None: it has nothing."""
    area: Area = None
    """What its rows are of."""
    wish: Wish | None = None
    """The last view asked for; those before it are never served."""
    reset: str | None = None
    """Why it must begin anew, wherever it stands."""
    ends: Ends | None = None
    """How far the logs went after this client came."""
    blocked_s: float | None = None
    """Since when nothing could be sent, because it does not read."""
    was_ready: bool = False
    """It was told `ready` before, so it may ask for views, also while it is held again."""
    messages: Meter | None = None

    # --- what it says -----------------------------------------------------------------------------

    def greet(self, cursor: Cursor | None, area: Area, grant: Grant, now_s: float) -> None:
        """It said hello: it waits for a frame from its cursor."""
        self._move(Phase.HELD, now_s)
        self.cursor, self.area, self.grant = cursor, area, grant

    def may_speak(self, now_s: float) -> float:
        """0, or the seconds after which it might have said another thing."""
        self.messages = self.messages or Meter(MESSAGES)
        return self.messages.take(now_s)

    def want(self, wish: Wish) -> None:
        """It moves on. Only the last one counts."""
        self.wish = wish

    def know(self, ends: Ends) -> None:
        """How far the logs went, asked after it came."""
        self.ends = ends

    # --- what it gets -----------------------------------------------------------------------------

    def live(self, now_s: float) -> None:
        """It was told `ready`; cuts follow."""
        self._move(Phase.LIVE, now_s)
        self.was_ready, self.reset = True, None

    def hold(self, now_s: float, ends: Ends) -> None:
        """The view was rebuilt: how to go on is to be judged anew."""
        self._move(Phase.HELD, now_s)
        self.ends = ends

    def begin_anew(self, reason: str, now_s: float) -> None:
        """Its picture is wrong: an image is due."""
        self._move(Phase.HELD, now_s)
        self.reset = reason

    def sent(self, cursor: Cursor, area: Area) -> None:
        """A frame that leads there, and to what was wished for, was handed to the transport."""
        self.cursor, self.area, self.wish, self.blocked_s = cursor, area, None, None

    def blocked(self, now_s: float) -> None:
        """Its buffer still holds an earlier frame."""
        if self.blocked_s is None:
            self.blocked_s = now_s

    # --- how it ends ------------------------------------------------------------------------------

    def close(self, now_s: float) -> None:
        """It ended; closing twice is fine."""
        if self.phase is not Phase.CLOSED:
            self._move(Phase.CLOSED, now_s)

    def overdue(self, now_s: float) -> Refusal | None:
        """Whether it has waited, or made wait, for too long."""
        if self.phase is Phase.HELD and now_s - self.since_s >= HELD_S_MAX:
            return Refusal(Close.AWAY, "not caught up")
        if self.blocked_s is not None and now_s - self.blocked_s >= BLOCKED_S_MAX:
            return Refusal(Close.TOO_SLOW, f"nothing was read for {BLOCKED_S_MAX:g} s")
        return None

    def _move(self, phase: Phase, now_s: float) -> None:
        if phase not in _NEXT[self.phase]:
            message = f"session {self.id} from {self.phase.value} to {phase.value}"
            raise IllegalTransitionError(message)
        self.phase, self.since_s = phase, now_s
