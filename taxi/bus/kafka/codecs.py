# SPDX-License-Identifier: Apache-2.0
"""Decompression of record batches up to a size limit: a megabyte of zstd can expand to 30 GB of zeros."""

import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

import cramjam

NONE: Final = 0
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
"""Values of the three lowest bits of a batch's attributes (Kafka documentation, "Message Format")."""
INFLATED_BYTES_MAX: Final = 32 << 20
"""Limit of one batch. A broker accepts batches of 1 MiB, and JSON is compressed to about a tenth."""
_FIRST_GUESS: Final = 8
"""Estimate of decompressed size ÷ compressed size; the buffer grows by the same factor."""
_FIRST_GUESS_MIN: Final = 4 << 10
_XERIAL_HEADER: Final = b"\x82SNAPPY\x00"
_XERIAL_BYTES: Final = 16
_GZIP_WINDOW: Final = 31

Bytes = bytes | memoryview


class CodecError(ValueError):
    """The data is damaged, its codec is unknown, or it expands to more than INFLATED_BYTES_MAX."""


def decompress(codec: int, data: Bytes) -> Bytes:
    """The decompressed records of a batch.

    Args:
        codec: The codec bits of the batch's attributes.
        data: The batch after its header.

    Raises:
        CodecError: `data` can't be decompressed within INFLATED_BYTES_MAX.
    """
    if codec == NONE:
        return data
    if codec not in _DECODERS:
        message = f"unknown compression codec {codec}"
        raise CodecError(message)
    name, decode = _DECODERS[codec]
    try:
        decoded: Bytes = decode(data)
    except CodecError:
        raise
    except (zlib.error, cramjam.DecompressionError, struct.error, ValueError, MemoryError) as error:
        message = f"damaged {name} data: {error}"
        raise CodecError(message) from None
    return decoded


def _gzip(data: Bytes) -> bytes:
    pieces: list[bytes] = []
    left, rest = INFLATED_BYTES_MAX, bytes(data)
    while rest:
        member = zlib.decompressobj(_GZIP_WINDOW)
        pieces.append(member.decompress(rest, left + 1))
        left -= len(pieces[-1])
        if left < 0:
            raise _too_large()
        if not member.eof:
            message = "damaged gzip data: it ends early"
            raise CodecError(message)
        rest = member.unused_data
    return b"".join(pieces)


def _snappy(data: Bytes) -> bytes:
    """Decompress one block, or the framing of xerial's snappy-java, which Java clients write."""
    if bytes(data[: len(_XERIAL_HEADER)]) != _XERIAL_HEADER:
        return _snappy_block(data, INFLATED_BYTES_MAX)
    pieces: list[bytes] = []
    left, at = INFLATED_BYTES_MAX, _XERIAL_BYTES
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        at += 4
        if not 0 < size <= len(data) - at:
            message = f"damaged snappy data: a block of {size} bytes where {len(data) - at} are left"
            raise CodecError(message)
        pieces.append(_snappy_block(data[at : at + size], left))
        left -= len(pieces[-1])
        at += size
    return b"".join(pieces)


def _snappy_block(data: Bytes, at_most: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(data) > at_most:
        raise _too_large()
    return bytes(cramjam.snappy.decompress_raw(data))


def _within(decompress_into: Callable[[Bytes, bytearray], int]) -> Callable[[Bytes], memoryview]:
    """A decoder that grows its output buffer up to the limit: lz4 and zstd do not always give the size."""

    def decode(data: Bytes) -> memoryview:
        size = max(_FIRST_GUESS * len(data), _FIRST_GUESS_MIN)
        while True:
            size = min(size, INFLATED_BYTES_MAX)
            out = bytearray(size)
            try:
                return memoryview(out)[: decompress_into(data, out)]
            except cramjam.DecompressionError as error:
                if "whole buffer" not in str(error):
                    raise
                if size == INFLATED_BYTES_MAX:
                    raise _too_large() from None
            size *= _FIRST_GUESS

    return decode


def _too_large() -> CodecError:
    return CodecError(f"more than {INFLATED_BYTES_MAX >> 20} MiB when decompressed")


_DECODERS: Final[dict[int, tuple[str, Callable[[Bytes], Any]]]] = {
    GZIP: ("gzip", _gzip),
    SNAPPY: ("snappy", _snappy),
    LZ4: ("lz4", _within(cramjam.lz4.decompress_into)),
    ZSTD: ("zstd", _within(cramjam.zstd.decompress_into)),
}
