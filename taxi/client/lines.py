# SPDX-License-Identifier: Apache-2.0
"""One WebSocket to a gateway, told as happenings in a short queue: who reads slowly is waited for."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from taxi.client.decode import SUBPROTOCOL

_OPEN_S_MAX: Final = 3.0
_CLOSE_S_MAX: Final = 1.0


@dataclass(frozen=True)
class Opened:
    """The handshake is done."""


@dataclass(frozen=True)
class Closed:
    """The socket is gone, or never was."""

    code: int = 1006
    reason: str = ""


Happening: TypeAlias = Opened | Closed | bytes | str


class Socket(Protocol):
    """What a line needs of a WebSocket."""

    async def send(self, message: str, /) -> None: ...

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Messages until it is closed; raises ConnectionClosed where that was no clean end."""

    async def close(self, code: int = 1000, reason: str = "") -> None: ...

    @property
    def close_code(self) -> int | None: ...

    @property
    def close_reason(self) -> str | None: ...


Opener: TypeAlias = Callable[[], Awaitable[Socket]]


def websocket(url: str) -> Opener:
    """Opens sockets of the `websockets` library. Without compression: frames are small."""

    async def opened() -> Socket:
        socket: Socket = await connect(
            url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            max_size=None,
            max_queue=4,
            open_timeout=_OPEN_S_MAX,
            close_timeout=_CLOSE_S_MAX,
            ping_interval=None,  # a silence of three seconds tells sooner
            proxy=None,
        )
        return socket

    return opened


class Line:
    """Opens at once. Everything that happens to it goes into the queue, in order; `Closed` comes last."""

    def __init__(
        self, opener: Opener, heard: "asyncio.Queue[tuple[Line, Happening]]", patience_ms: float
    ) -> None:
        self._opener = opener
        self._heard = heard
        self._socket: Socket | None = None
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        self.watch(patience_ms)
        self._work = asyncio.create_task(self._run())

    def watch(self, patience_ms: float) -> None:
        """A word came: the next one is awaited for so long."""
        self.silent_s = asyncio.get_running_loop().time() + patience_ms / 1000

    def say(self, **message: Any) -> None:
        """Send a control message."""
        self._outbox.put_nowait(json.dumps(message, separators=(",", ":")))

    def leave(self) -> None:
        """Close in the background; nothing more is heard of it."""
        self._work.cancel()

    async def aclose(self) -> None:
        """Close, and wait for it."""
        self._work.cancel()
        with suppress(asyncio.CancelledError):
            await self._work

    async def _run(self) -> None:
        try:
            closed = await self._live()
            await self._heard.put((self, closed))
        finally:
            if self._socket is not None:
                await self._socket.close()

    async def _live(self) -> Closed:
        try:
            self._socket = socket = await self._opener()
        except ConnectionClosed as closed:
            return Closed(closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else Closed()
        except (OSError, WebSocketException):
            return Closed()
        await self._heard.put((self, Opened()))
        speaking = asyncio.create_task(self._speak(socket))
        try:
            with suppress(ConnectionClosed):
                async for message in socket:
                    await self._heard.put((self, message))
        finally:
            speaking.cancel()
        return Closed(socket.close_code or 1006, socket.close_reason or "")

    async def _speak(self, socket: Socket) -> None:
        with suppress(ConnectionClosed):
            while True:
                await socket.send(await self._outbox.get())
