# SPDX-License-Identifier: Apache-2.0
"""Decodes the messages of clients; close codes and refusals (docs/protocol.md)."""

import json
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct, field

from gateway.stream.delta_source import Box
from gateway.stream.nesting import DEPTH_MAX, is_too_deep
from taxi.cursor import Cursor

VERSION: Final = 1
SUBPROTOCOL: Final = "taxi.v1"
MESSAGE_BYTES_MAX: Final = 4096
_REASON_BYTES_MAX: Final = 120
"""RFC 6455 permits 123 bytes of close reason."""

Word = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]


class Close(int, Enum):
    """Close codes (docs/protocol.md). After 4400-4499 a client must not reconnect."""

    AWAY = 4001
    """Draining, or the gateway has not caught up: reconnect after the milliseconds in the reason."""
    TOO_SLOW = 4002
    PROTOCOL = 4008
    UNEXPECTED = 4010
    """A message that is not allowed in this state of the session."""
    TOO_MANY = 4029
    """Reconnect after the milliseconds in the reason."""
    BAD_HELLO = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    UNKNOWN_CITY = 4404
    UNSUPPORTED = 4426
    BUG = 1011


@dataclass(frozen=True)
class SessionRefusal:
    """Why the gateway ends a session."""

    code: Close
    reason: str
    """At most 123 bytes. For AWAY and TOO_MANY it is replaced by the milliseconds to wait."""
    away_ms: int = 0
    """The least time to wait; jitter is added."""


@dataclass(frozen=True)
class Hello:
    """A client's first message."""

    cursor: Cursor | None = None
    """The cursor to resume from; None for a new client."""
    viewport: Box | None = None
    """The viewport of the client's rows at the cursor, or the requested one; None for the whole city."""
    token: str | None = None


class ViewportRequest(Struct, frozen=True, tag_field="type", tag="view"):
    """The message `view`: the client requests another viewport; None for the whole city."""

    generation: Annotated[int, Meta(ge=1, le=0xFFFF)]
    bbox: Box | None


class Mismatch(Struct, frozen=True, tag_field="type", tag="mismatch"):
    """The message `mismatch`: the hash of the client's rows differs from the one in the update."""

    cursor: str
    own: tuple[Word, Word]
    received: tuple[Word, Word]


class _Type(Struct):
    type: str


class _Version(Struct):
    v: int


class _Hello(Struct):
    city: str
    cursor: str | None = None
    viewport: Box | None = field(name="view", default=None)
    token: str | None = None


_TYPE: Final = msgspec.json.Decoder(_Type)
_VERSION: Final = msgspec.json.Decoder(_Version)
_HELLO: Final = msgspec.json.Decoder(_Hello)
_LATER: Final[msgspec.json.Decoder[ViewportRequest | Mismatch]] = msgspec.json.Decoder(
    ViewportRequest | Mismatch
)
_LATER_TYPES: Final = frozenset({"view", "mismatch"})
_TOO_DEEP: Final = f"nested more than {DEPTH_MAX} deep"


def read_hello(message: bytes | str, city: str) -> Hello | SessionRefusal:
    """Decode a client's first message.

    Args:
        message: As received; binary messages are refused.
        city: The city of this gateway.

    Returns:
        The message, or why it is refused. Never raises.
    """
    if isinstance(message, bytes):
        return SessionRefusal(Close.BAD_HELLO, "hello is JSON text")
    if len(message) > MESSAGE_BYTES_MAX:
        return SessionRefusal(Close.BAD_HELLO, f"more than {MESSAGE_BYTES_MAX} bytes")
    if is_too_deep(message):
        return SessionRefusal(Close.BAD_HELLO, _TOO_DEEP)
    try:
        kind = _TYPE.decode(message).type
        if kind in _LATER_TYPES:
            return SessionRefusal(Close.UNEXPECTED, f"{kind} before hello")
        if kind != "hello":
            return SessionRefusal(Close.BAD_HELLO, "the first message is hello")
        if _VERSION.decode(message).v != VERSION:
            return SessionRefusal(Close.UNSUPPORTED, f"this gateway speaks version {VERSION}")
        return _checked(_HELLO.decode(message), city)
    except (msgspec.DecodeError, UnicodeEncodeError, ValueError) as error:
        return SessionRefusal(Close.BAD_HELLO, short(str(error)))


def _checked(hello: _Hello, city: str) -> Hello | SessionRefusal:
    """Check the city and parse the cursor. Raises ValueError if the cursor is malformed."""
    if hello.city != city:
        return SessionRefusal(Close.UNKNOWN_CITY, f"this gateway shows {city}")
    cursor = None if hello.cursor is None else Cursor.parse(hello.cursor)
    return Hello(cursor, hello.viewport, hello.token)


def read_later(message: bytes | str) -> ViewportRequest | Mismatch | SessionRefusal:
    """Decode a later message of a client, or return why it ends the session. Never raises."""
    if isinstance(message, bytes):
        return SessionRefusal(Close.PROTOCOL, "messages are JSON text")
    if len(message) > MESSAGE_BYTES_MAX:
        return SessionRefusal(Close.PROTOCOL, f"more than {MESSAGE_BYTES_MAX} bytes")
    if is_too_deep(message):
        return SessionRefusal(Close.PROTOCOL, _TOO_DEEP)
    try:
        return _LATER.decode(message)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        reason = short(str(error))
    try:
        again = _TYPE.decode(message).type == "hello"
    except (msgspec.DecodeError, UnicodeEncodeError):
        again = False
    return (
        SessionRefusal(Close.UNEXPECTED, "a second hello")
        if again
        else SessionRefusal(Close.PROTOCOL, reason)
    )


def encode_message(**message: Any) -> str:
    """A control message to a client, as text."""
    return json.dumps(message, separators=(",", ":"))


def short(reason: str) -> str:
    """The reason, truncated to the length that a close frame permits, at a character boundary."""
    return reason.encode(errors="replace")[:_REASON_BYTES_MAX].decode(errors="ignore")
