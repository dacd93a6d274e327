# SPDX-License-Identifier: Apache-2.0
"""A proxy between clients and a gateway that sometimes corrupts what the gateway sends."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from testing.loadtest_observations import sections, with_header, with_sections

Lie = Callable[[bytes, int], list[bytes]]
"""What is passed on instead of the n-th cut of a connection."""
_EVERY = 7


def header(message: bytes) -> tuple[int, int, int, int]:
    """Flags, previous ev, next loc, next ev."""
    _, flags = struct.unpack_from("<BB", message)
    (ev_before,) = struct.unpack_from("<Q", message, 24)
    loc, ev = struct.unpack_from("<QQ", message, 32)
    return flags, ev_before, loc, ev


def dropped(message: bytes, n: int) -> list[bytes]:
    return [] if n % _EVERY == 3 else [message]


def repeated(message: bytes, n: int) -> list[bytes]:
    moved = struct.unpack_from("<Q", message, 16) != struct.unpack_from("<Q", message, 32)
    return [message, message] if n % _EVERY == 3 and moved else [message]


class Swapped:
    """Two cuts in the wrong order."""

    def __init__(self) -> None:
        self._held: bytes | None = None

    def __call__(self, message: bytes, n: int) -> list[bytes]:
        held, self._held = self._held, None
        if held is not None:
            return [message, held]
        if n % _EVERY == 3:
            self._held = message
            return []
        return [message]


def flipped(message: bytes, n: int) -> list[bytes]:
    """A bit among the rows."""
    spoiled = bytearray(message)
    if n % _EVERY == 3 and len(message) > 120:
        spoiled[110] ^= 4
    return [bytes(spoiled)]


def wrong_hash(message: bytes, n: int) -> list[bytes]:
    (lane,) = struct.unpack_from("<I", message, 60)
    return [with_header(message, lane_a=lane ^ 1)] if n % _EVERY == 3 else [message]


def wrong_epoch(message: bytes, n: int) -> list[bytes]:
    return [with_header(message, epoch_check=7)] if n % _EVERY == 3 else [message]


def half_a_batch(message: bytes, n: int) -> list[bytes]:
    del n
    flags, ev_before, _, ev = header(message)
    return [message if flags & 1 or ev == ev_before else with_header(message, ev=ev - 2)]


def skipped_event(message: bytes, n: int) -> list[bytes]:
    del n
    drivers, rides, feed = sections(message)
    if not feed:
        return [message]
    events = json.loads(feed[4:])[1:]
    lie = struct.pack("<I", len(events)) + json.dumps(events).encode()
    return [with_sections(message, drivers, rides, lie)]


def beyond_the_log(message: bytes, n: int) -> list[bytes]:
    """A position that is not on the log yet."""
    loc = header(message)[2]
    return [with_header(message, loc=loc + 5_000_000)] if n % _EVERY == 3 else [message]


def image_for_a_diff(message: bytes, n: int) -> list[bytes]:
    spoiled = with_header(message, flags=1, loc_before=0, ev_before=0)
    return [spoiled] if n % _EVERY == 3 and not message[1] & 1 else [message]


LIES: dict[str, tuple[Callable[[], Lie], set[str]]] = {
    "dropped": (lambda: dropped, {"chain"}),
    "repeated": (lambda: repeated, {"chain"}),
    "swapped": (Swapped, {"chain"}),
    "flipped": (lambda: flipped, {"wrong_row", "bytes", "ghost_row", "missing_row"}),
    "wrong hash": (lambda: wrong_hash, {"wrong_hash"}),
    "wrong epoch": (lambda: wrong_epoch, {"epoch"}),
    "half a batch": (lambda: half_a_batch, {"half_batch"}),
    "skipped event": (lambda: skipped_event, {"feed"}),
    "beyond the log": (lambda: beyond_the_log, {"ahead_of_log"}),
    "image for a diff": (lambda: image_for_a_diff, {"image_unasked"}),
}
"""Lie → how it is made, and the rules of which at least one must be named."""


def frames(data: bytearray) -> Iterator[tuple[int, bytes]]:
    """Whole frames of a gateway; what is left stays in `data`."""
    while len(data) >= 2:
        length, head = data[1], 2
        if length == 126:
            length, head = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, head = int.from_bytes(data[2:10], "big"), 10
        if len(data) < head + length:
            return
        yield data[0], bytes(data[head : head + length])
        del data[: head + length]


def framed(kind: int, payload: bytes) -> bytes:
    n = len(payload)
    if n < 126:
        return bytes((kind, n)) + payload
    if n < 1 << 16:
        return bytes((kind, 126)) + n.to_bytes(2, "big") + payload
    return bytes((kind, 127)) + n.to_bytes(8, "big") + payload


@asynccontextmanager
async def lying(url: str, make: Callable[[], Lie]) -> AsyncIterator[str]:
    """The address of a gateway that lies."""
    there = urlsplit(url)
    assert there.hostname is not None

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(there.hostname, there.port)
        upwards = asyncio.create_task(_copied(reader, up_writer))
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                writer.write(await up_reader.readuntil(b"\r\n\r\n"))
                await _spoiled(up_reader, writer, make())
        finally:
            upwards.cancel()
            writer.close()
            up_writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"ws://127.0.0.1:{port}/ws"
    finally:
        server.close()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.close()


async def _spoiled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lie: Lie) -> None:
    held, n = bytearray(), 0
    while data := await reader.read(65_536):
        held += data
        for kind, payload in frames(held):
            if kind != 0x82:
                writer.write(framed(kind, payload))
                continue
            for message in lie(payload, n):
                writer.write(framed(kind, message))
            n += 1
