# SPDX-License-Identifier: Apache-2.0
"""Encodes messages as WebSocket frames (RFC 6455, RFC 7692), once for all clients that get them."""

import zlib
from typing import Final

MESSAGE: Final = "message"
"""Form of connections that do the framing themselves: the message is passed on unchanged."""
PLAIN: Final = "plain"
"""Form of connections without compression: one WebSocket frame."""
DEFLATE: Final = "deflate"
"""Form of connections with permessage-deflate: one frame, compressed without context if that is worth it."""

WINDOW_BITS: Final = 15
_LEVEL: Final = 1
_PAYS_BYTES: Final = 200
_PAYS_RECEIVERS: Final = 4
"""Compressing a frame takes as much CPU time as writing it to this many clients."""


class Parcel:
    """A message with its encodings, each computed at its first use."""

    __slots__ = ("_deflated", "_plain", "is_large", "message")

    def __init__(self, message: bytes | str, *, is_large: bool = False) -> None:
        """`is_large`: compress it even for a single client."""
        self.message = message
        self.is_large = is_large
        self._plain: bytes | None = None
        self._deflated: bytes | None = None

    def wire(self, form: str, receivers: int) -> bytes | str:
        """The encoded message for connections of this form.

        Args:
            form: MESSAGE, PLAIN or DEFLATE.
            receivers: How many connections will get it; with few receivers it is not compressed.
        """
        if form == MESSAGE:
            return self.message
        if form == DEFLATE and (self._deflated is not None or self._pays(receivers)):
            if self._deflated is None:
                self._deflated = deflated(self.message)
            return self._deflated
        if self._plain is None:
            self._plain = framed(self.message)
        return self._plain

    def _pays(self, receivers: int) -> bool:
        return len(self.message) > _PAYS_BYTES and (self.is_large or receivers >= _PAYS_RECEIVERS)


def framed(message: bytes | str) -> bytes:
    """Encode a message as one unmasked frame (RFC 6455, 5.2): binary for bytes, text for str."""
    if isinstance(message, bytes):
        return _head(0x82, len(message)) + message
    payload = message.encode()
    return _head(0x81, len(payload)) + payload


def deflated(message: bytes | str) -> bytes:
    """Encode a message as one unmasked, compressed frame without context (RFC 7692, 7.2.1); RSV1 is set."""
    payload, opcode = (message, 0xC2) if isinstance(message, bytes) else (message.encode(), 0xC1)
    deflate = zlib.compressobj(_LEVEL, wbits=-WINDOW_BITS)
    body = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return _head(opcode, len(body) - 4) + body[:-4]  # RFC 7692 removes the empty block at the end


def _head(opcode: int, length: int) -> bytes:
    if length < 126:
        return bytes((opcode, length))
    if length < 1 << 16:
        return bytes((opcode, 126)) + length.to_bytes(2, "big")
    return bytes((opcode, 127)) + length.to_bytes(8, "big")
