# SPDX-License-Identifier: Apache-2.0
"""A message as it goes over the wire (RFC 6455, RFC 7692): made once, however many clients get it."""

import zlib
from typing import Final

MESSAGE: Final = "message"
"""As it is: for a connection that frames for itself."""
PLAIN: Final = "plain"
"""One WebSocket frame."""
DEFLATE: Final = "deflate"
"""One WebSocket frame, compressed by itself where that pays."""

WINDOW_BITS: Final = 15
_LEVEL: Final = 1
_PAYS_BYTES: Final = 200
_PAYS_RECEIVERS: Final = 4
"""Deflating a frame costs as much CPU as writing it to a few clients."""


class Parcel:
    """A message, and what it comes to in each form."""

    __slots__ = ("_deflated", "_plain", "is_large", "message")

    def __init__(self, message: bytes | str, *, is_large: bool = False) -> None:
        """`is_large`: worth compressing for a single client."""
        self.message = message
        self.is_large = is_large
        self._plain: bytes | None = None
        self._deflated: bytes | None = None

    def wire(self, form: str, receivers: int) -> bytes | str:
        """What is handed to connections of this form, of which so many are about to get it."""
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
    """One unmasked frame (RFC 6455, 5.2)."""
    if isinstance(message, bytes):
        return _head(0x82, len(message)) + message
    payload = message.encode()
    return _head(0x81, len(payload)) + payload


def deflated(message: bytes | str) -> bytes:
    """One unmasked frame, compressed with nothing before it (RFC 7692, 7.2.1); RSV1 says so."""
    payload, opcode = (message, 0xC2) if isinstance(message, bytes) else (message.encode(), 0xC1)
    deflate = zlib.compressobj(_LEVEL, wbits=-WINDOW_BITS)
    body = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return _head(opcode, len(body) - 4) + body[:-4]  # the four bytes of an empty block are implied


def _head(opcode: int, length: int) -> bytes:
    if length < 126:
        return bytes((opcode, length))
    if length < 1 << 16:
        return bytes((opcode, 126)) + length.to_bytes(2, "big")
    return bytes((opcode, 127)) + length.to_bytes(8, "big")
