# SPDX-License-Identifier: Apache-2.0
"""One client's session as plain data: what it said, where it stands, what is due. No socket, no clock.

GREETING ──hello──► HELD ──caught up──► LIVE
│                │  ▲                │
│                │  └──view rebuilt──┤
└───────close────┴────────close──────┴──► CLOSED
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import Struct

from taxi.cursor import Cursor

VERSION: Final = 1
MESSAGE_BYTES_MAX: Final = 4096
HELLO_S_MAX: Final = 5.0
HELD_S_MAX: Final = 10.0
BLOCKED_S_MAX: Final = 30.0


class Close(int, Enum):
    """Close codes (docs/protocol.md). 4400–4499: do not come back."""

    AWAY = 4001
    """Draining, or not caught up: reconnect after the milliseconds in the reason."""
    TOO_SLOW = 4002
    PROTOCOL = 4008
    UNEXPECTED = 4010
    """A message that has no place there."""
    TOO_MANY = 4029
    BAD_HELLO = 4400
    UNKNOWN_CITY = 4404
    UNSUPPORTED = 4426
    BUG = 1011


@dataclass(frozen=True)
class Refusal:
    """Why a session ends."""

    code: Close
    reason: str
    """At most 123 bytes, as the WebSocket protocol has it."""


@dataclass(frozen=True)
class Hello:
    """What a client asks for."""

    cursor: Cursor | None


class _Version(Struct):
    type: str
    v: int


class _Hello(Struct):
    city: str
    cursor: str | None = None
    view: Any = None


_VERSION: Final = msgspec.json.Decoder(_Version)
_HELLO: Final = msgspec.json.Decoder(_Hello)


def read_hello(message: bytes | str, city: str) -> Hello | Refusal:
    """The first message of a client, or why it is none."""
    if isinstance(message, bytes):
        return Refusal(Close.BAD_HELLO, "hello is JSON text")
    if len(message) > MESSAGE_BYTES_MAX:
        return Refusal(Close.BAD_HELLO, f"more than {MESSAGE_BYTES_MAX} bytes")
    try:
        version = _VERSION.decode(message)
        if version.type != "hello":
            return Refusal(Close.BAD_HELLO, "the first message is hello")
        if version.v != VERSION:
            return Refusal(Close.UNSUPPORTED, f"this gateway speaks version {VERSION}")
        hello = _HELLO.decode(message)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        return Refusal(Close.BAD_HELLO, _short(str(error)))
    return _checked(hello, city)


def _checked(hello: _Hello, city: str) -> Hello | Refusal:
    if hello.city != city:
        return Refusal(Close.UNKNOWN_CITY, f"this gateway shows {city}")
    if hello.view is not None:
        return Refusal(Close.UNKNOWN_CITY, "the view is the whole city")
    try:
        return Hello(None if hello.cursor is None else Cursor.parse(hello.cursor))
    except ValueError as error:
        return Refusal(Close.BAD_HELLO, str(error))


def _short(reason: str) -> str:
    return reason.encode()[:120].decode(errors="ignore")


@dataclass(frozen=True)
class Serve:
    """What the client gets next: one frame from `since` (an image if None), and why it must forget."""

    since: Cursor | None
    reset: str | None = None


@dataclass(frozen=True)
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


@dataclass
class Session:
    """Times are seconds of the loop's clock."""

    id: str
    since_s: float
    """When this phase began."""
    phase: Phase = Phase.GREETING
    cursor: Cursor | None = None
    """Of the last cut sent, or as the client said it; None: it has nothing."""
    ends: Ends | None = None
    """How far the logs went after this client came."""
    blocked_s: float | None = None
    """Since when nothing could be sent, because it does not read."""

    def greet(self, hello: Hello, now_s: float) -> None:
        """It said hello: it waits for a frame from its cursor."""
        self._move(Phase.HELD, now_s)
        self.cursor = hello.cursor

    def know(self, ends: Ends) -> None:
        """How far the logs went, asked after it came."""
        self.ends = ends

    def live(self, now_s: float) -> None:
        """It was told `ready`; cuts follow."""
        self._move(Phase.LIVE, now_s)

    def hold(self, now_s: float, ends: Ends) -> None:
        """The view was rebuilt: how to go on is to be judged anew."""
        self._move(Phase.HELD, now_s)
        self.ends = ends

    def close(self, now_s: float) -> None:
        """It ended; closing twice is fine."""
        if self.phase is not Phase.CLOSED:
            self._move(Phase.CLOSED, now_s)

    def sent(self, cursor: Cursor) -> None:
        """A frame that leads to `cursor` was handed to the transport."""
        self.cursor, self.blocked_s = cursor, None

    def blocked(self, now_s: float) -> None:
        """Its buffer still holds an earlier frame."""
        if self.blocked_s is None:
            self.blocked_s = now_s

    def overdue(self, now_s: float) -> Refusal | None:
        """Whether it has waited, or made wait, for too long."""
        if self.phase is Phase.HELD and now_s - self.since_s >= HELD_S_MAX:
            return Refusal(Close.AWAY, "not caught up")
        if self.blocked_s is not None and now_s - self.blocked_s >= BLOCKED_S_MAX:
            return Refusal(Close.TOO_SLOW, "nothing was read for 30 s")
        return None

    def _move(self, phase: Phase, now_s: float) -> None:
        if phase not in _NEXT[self.phase]:
            message = f"session {self.id} from {self.phase.value} to {phase.value}"
            raise IllegalTransitionError(message)
        self.phase, self.since_s = phase, now_s
