# SPDX-License-Identifier: Apache-2.0
"""The state machine of one client's session. Deterministic: no socket, and callers pass the time.

GREETING ──hello──► PENDING ──served──► LIVE
│                   │  ▲                │
│                   │  └─rebuilt, wrong─┤
└───────close───────┴───────close───────┴──► CLOSED
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.access.limits import Gcra, Rate
from gateway.access.tokens import EVERYTHING, Grant
from gateway.stream.delta_source import Area
from gateway.stream.messages import Close, SessionRefusal
from taxi.cursor import Cursor

HELLO_S_MAX: Final = 5.0
PENDING_S_MAX: Final = 10.0
PENDING_NOTICE_S: Final = 1.0
"""How often a pending client is sent `pending`: as often as others get at least an empty update."""
BLOCKED_S_MAX: Final = 30.0
MESSAGES: Final = Rate(per_s=6.0, burst=20)
"""Messages of one connection. The protocol permits 5 a second and a burst of 10. This limit is higher,
because the network may delay messages by up to two seconds and deliver them together with later ones."""


@dataclass(frozen=True, slots=True)
class Serve:
    """How to serve a client: with an update that begins at `since`, or with an image if that is None."""

    since: Cursor | None
    reset: str | None = None
    """Why the client must discard its rows; None if it need not."""


@dataclass(frozen=True, slots=True)
class LogOffsets:
    """An offset in each of the two logs that rows are made from: their ends, for example."""

    loc: int
    """Of `taxi.locations`."""
    ev: int
    """Of `taxi.events`."""


def judge(cursor: Cursor | None, now: Cursor, *, in_window: bool, ends: LogOffsets | None) -> Serve | None:
    """Decide how a client resumes.

    Args:
        cursor: The client's; None if it has no rows.
        now: The gateway's last cut.
        in_window: Whether the gateway can begin an update at `cursor`.
        ends: The ends of the logs, asked for after the client connected; None if they are not known.

    Returns:
        How to serve it, or None if it must wait until the gateway has reached its cursor.
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


class SessionPhase(Enum):
    """The state of a session. The module's docstring shows the transitions."""

    GREETING = "greeting"
    """The client has not sent `hello`."""
    PENDING = "pending"
    """It waits until this gateway can send it an update."""
    LIVE = "live"
    """It was sent `ready` and gets updates."""
    CLOSED = "closed"
    """The session has ended."""


class IllegalSessionTransitionError(RuntimeError):
    """A transition that the table does not permit, which is a bug."""


_NEXT: Final = {
    SessionPhase.GREETING: (SessionPhase.PENDING, SessionPhase.CLOSED),
    SessionPhase.PENDING: (SessionPhase.LIVE, SessionPhase.CLOSED),
    SessionPhase.LIVE: (SessionPhase.PENDING, SessionPhase.CLOSED),
    SessionPhase.CLOSED: (),
}


@dataclass(frozen=True, slots=True)
class Wish:
    """A viewport that the client requested and has not got yet."""

    area: Area
    generation: int


@dataclass(slots=True)
class Session:
    """One client's session. All times are those of the event loop, in seconds."""

    id: str
    since_s: float
    """When the current phase began."""
    phase: SessionPhase = SessionPhase.GREETING
    grant: Grant = EVERYTHING
    cursor: Cursor | None = None
    """The cursor of its rows, as it sent it or after the last update for it alone; None if it has no rows.
    Out of date while the client is in a group."""
    area: Area = None
    """The viewport of its rows."""
    wish: Wish | None = None
    """The last viewport that it requested; earlier ones are dropped."""
    reset: str | None = None
    """Why it must get an image, whatever its cursor is; None if it need not."""
    ends: LogOffsets | None = None
    """The ends of the logs, asked for after this client connected; None if not known."""
    blocked_s: float | None = None
    """Since when it has not read what was sent; None if it has."""
    was_ready: bool = False
    """It was sent `ready` before. So it may request viewports, also while it is pending again."""
    messages: Gcra | None = None
    """The limiter of its messages, made with the first one."""
    noticed_s: float | None = None
    """When it was last sent `pending`."""

    # --- what it says -----------------------------------------------------------------------------

    def greet(self, cursor: Cursor | None, area: Area, grant: Grant, now_s: float) -> None:
        """Handle `hello`: the session becomes pending."""
        self._move(SessionPhase.PENDING, now_s)
        self.cursor, self.area, self.grant = cursor, area, grant

    def message_wait_s(self, now_s: float) -> float:
        """Count a message of this client: 0, or the seconds after which it would have been allowed."""
        self.messages = self.messages or Gcra(MESSAGES)
        return self.messages.take(now_s)

    def want(self, wish: Wish) -> None:
        """Record a requested viewport; it replaces an earlier one."""
        self.wish = wish

    def know(self, ends: LogOffsets) -> None:
        """Record the ends of the logs."""
        self.ends = ends

    # --- what it gets -----------------------------------------------------------------------------

    def live(self, now_s: float) -> None:
        """Record that `ready` is sent: the session becomes live."""
        self._move(SessionPhase.LIVE, now_s)
        self.was_ready, self.reset = True, None

    def make_pending(self, now_s: float, ends: LogOffsets) -> None:
        """Make a live session pending, because the source of updates was rebuilt."""
        self._move(SessionPhase.PENDING, now_s)
        self.ends = ends

    def require_image(self, reason: str, now_s: float) -> None:
        """Make a live session pending until it gets an image, because its rows are wrong."""
        self._move(SessionPhase.PENDING, now_s)
        self.reset = reason

    def sent(self, cursor: Cursor, area: Area) -> None:
        """Record that an update to this cursor and viewport was passed to the transport."""
        self.cursor, self.area, self.wish, self.blocked_s = cursor, area, None, None

    def blocked(self, now_s: float) -> None:
        """Record that the client has not read an earlier update yet."""
        if self.blocked_s is None:
            self.blocked_s = now_s

    # --- how it ends ------------------------------------------------------------------------------

    def is_pending_notice_due(self, now_s: float) -> bool:
        """Whether to send `pending` now. If it returns True, that counts as sent."""
        noticed_lately = self.noticed_s is not None and now_s - self.noticed_s < PENDING_NOTICE_S
        if self.phase is not SessionPhase.PENDING or noticed_lately:
            return False
        self.noticed_s = now_s
        return True

    def close(self, now_s: float) -> None:
        """End the session. May be called twice."""
        if self.phase is not SessionPhase.CLOSED:
            self._move(SessionPhase.CLOSED, now_s)

    def overdue(self, now_s: float) -> SessionRefusal | None:
        """The reason to end the session if it has been pending or has not read for too long; else None."""
        if self.phase is SessionPhase.PENDING and now_s - self.since_s >= PENDING_S_MAX:
            return SessionRefusal(Close.AWAY, "not caught up")
        if self.blocked_s is not None and now_s - self.blocked_s >= BLOCKED_S_MAX:
            return SessionRefusal(Close.TOO_SLOW, f"nothing was read for {BLOCKED_S_MAX:g} s")
        return None

    def _move(self, phase: SessionPhase, now_s: float) -> None:
        if phase not in _NEXT[self.phase]:
            message = f"session {self.id} from {self.phase.value} to {phase.value}"
            raise IllegalSessionTransitionError(message)
        self.phase, self.since_s = phase, now_s
