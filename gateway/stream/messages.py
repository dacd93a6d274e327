# SPDX-License-Identifier: Apache-2.0
"""What clients say, decoded; and how a session is refused (docs/protocol.md)."""

import json
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from gateway.stream.picture import Box
from taxi.cursor import Cursor

VERSION: Final = 1
SUBPROTOCOL: Final = "taxi.v1"
MESSAGE_BYTES_MAX: Final = 4096
_REASON_BYTES_MAX: Final = 120
"""The WebSocket protocol allows a close reason 123."""

Word = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]


class Close(int, Enum):
    """Close codes (docs/protocol.md). 4400-4499: do not come back."""

    AWAY = 4001
    """Draining, or not caught up: reconnect after the milliseconds in the reason."""
    TOO_SLOW = 4002
    PROTOCOL = 4008
    UNEXPECTED = 4010
    """A message in the wrong state."""
    TOO_MANY = 4029
    """Reconnect after the milliseconds in the reason."""
    BAD_HELLO = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    UNKNOWN_CITY = 4404
    UNSUPPORTED = 4426
    BUG = 1011


@dataclass(frozen=True)
class Refusal:
    """Why a session ends."""

    code: Close
    reason: str
    """At most 123 bytes; where a client is to come back later, its milliseconds stand in its place."""
    away_ms: int = 0
    """At least so long; chance adds to it."""


@dataclass(frozen=True)
class Hello:
    """The first message."""

    cursor: Cursor | None = None
    view: Box | None = None
    """What the rows at the cursor are of, or what is wanted; None is everything."""
    token: str | None = None


class Move(Struct, frozen=True, tag_field="type", tag="view"):
    """Another view is wanted."""

    generation: Annotated[int, Meta(ge=1, le=0xFFFF)]
    bbox: Box | None


class Mismatch(Struct, frozen=True, tag_field="type", tag="mismatch"):
    """The client's rows hash to something else than it was told."""

    cursor: str
    own: tuple[Word, Word]
    told: tuple[Word, Word]


class _Type(Struct):
    type: str


class _Version(Struct):
    v: int


class _Hello(Struct):
    city: str
    cursor: str | None = None
    view: Box | None = None
    token: str | None = None


_TYPE: Final = msgspec.json.Decoder(_Type)
_VERSION: Final = msgspec.json.Decoder(_Version)
_HELLO: Final = msgspec.json.Decoder(_Hello)
_LATER: Final[msgspec.json.Decoder[Move | Mismatch]] = msgspec.json.Decoder(Move | Mismatch)
_LATER_TYPES: Final = frozenset({"view", "mismatch"})


def read_hello(message: bytes | str, city: str) -> Hello | Refusal:
    """The first message of a client, or why it is none."""
    if isinstance(message, bytes):
        return Refusal(Close.BAD_HELLO, "hello is JSON text")
    if len(message) > MESSAGE_BYTES_MAX:
        return Refusal(Close.BAD_HELLO, f"more than {MESSAGE_BYTES_MAX} bytes")
    try:
        kind = _TYPE.decode(message).type
        if kind in _LATER_TYPES:
            return Refusal(Close.UNEXPECTED, f"{kind} before hello")
        if kind != "hello":
            return Refusal(Close.BAD_HELLO, "the first message is hello")
        if _VERSION.decode(message).v != VERSION:
            return Refusal(Close.UNSUPPORTED, f"this gateway speaks version {VERSION}")
        return _checked(_HELLO.decode(message), city)
    except (msgspec.DecodeError, UnicodeEncodeError, ValueError) as error:
        return Refusal(Close.BAD_HELLO, short(str(error)))


def _checked(hello: _Hello, city: str) -> Hello | Refusal:
    """Raises ValueError where the cursor is none."""
    if hello.city != city:
        return Refusal(Close.UNKNOWN_CITY, f"this gateway shows {city}")
    cursor = None if hello.cursor is None else Cursor.parse(hello.cursor)
    return Hello(cursor, hello.view, hello.token)


def read_later(message: bytes | str) -> Move | Mismatch | Refusal:
    """Any message after the first."""
    if isinstance(message, bytes):
        return Refusal(Close.PROTOCOL, "messages are JSON text")
    if len(message) > MESSAGE_BYTES_MAX:
        return Refusal(Close.PROTOCOL, f"more than {MESSAGE_BYTES_MAX} bytes")
    try:
        return _LATER.decode(message)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        reason = short(str(error))
    try:
        again = _TYPE.decode(message).type == "hello"
    except (msgspec.DecodeError, UnicodeEncodeError):
        again = False
    return Refusal(Close.UNEXPECTED, "a second hello") if again else Refusal(Close.PROTOCOL, reason)


def told(**message: Any) -> str:
    """A message to a client."""
    return json.dumps(message, separators=(",", ":"))


def short(reason: str) -> str:
    """As much of it as a close frame takes."""
    return reason.encode(errors="replace")[:_REASON_BYTES_MAX].decode(errors="ignore")
