# SPDX-License-Identifier: Apache-2.0
"""One WebSocket to a gateway with time limits. What happens to it goes into a short queue."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from taxi.client.problem import Problem, of_close, of_opening, of_subprotocol
from taxi.client.protocol import ANSWER_MS, OPEN_MS_MAX, QUIET_MS, SILENCE_MS, SUBPROTOCOL

_CLOSE_S_MAX: Final = 1.0


@dataclass(frozen=True)
class SocketOpened:
    """The handshake is done."""


@dataclass(frozen=True)
class SocketClosed:
    """The socket is gone, or never was."""

    code: int = 1006
    reason: str = ""
    problem: Problem | None = None
    """Why, in words."""
    was_answered: bool = False
    """It never opened, but a server answered: that costs the other side more than a refused connection."""


class WrongProtocolError(ConnectionError):
    """A WebSocket opened that does not speak this protocol."""


SocketEvent: TypeAlias = SocketOpened | SocketClosed | bytes | str
"""What happens to a socket: it opened, a message arrived, it closed. `SocketClosed` comes last, and once."""


class Socket(Protocol):
    """What is needed of a WebSocket library."""

    async def send(self, message: str, /) -> None: ...

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Messages until it is closed. Raises ConnectionClosed if it did not end cleanly."""

    async def close(self, code: int = 1000, reason: str = "") -> None: ...

    @property
    def close_code(self) -> int | None: ...

    @property
    def close_reason(self) -> str | None: ...


Opener: TypeAlias = Callable[[], Awaitable[Socket]]
"""Opens a socket. Raises OSError, ConnectionClosed or another WebSocketException."""


def websocket(url: str) -> Opener:
    """An opener of WebSockets to `url` with the `websockets` library.

    Without compression, because updates are small. The library's own pings are off: the limit on silence is
    shorter.

    Raises:
        WrongProtocolError: by the opener: the other side did not choose the subprotocol.
        OSError, websockets.WebSocketException: by the opener: the connection did not open.
    """

    async def opened() -> Socket:
        socket = await connect(
            url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            max_size=None,
            max_queue=4,
            open_timeout=OPEN_MS_MAX / 1000,
            close_timeout=_CLOSE_S_MAX,
            ping_interval=None,
            proxy=None,
        )
        if socket.subprotocol != SUBPROTOCOL:
            await socket.close()
            raise WrongProtocolError
        return socket

    return opened


class TimedSocket:
    """A WebSocket that opens at once and has three time limits, each a time on the event loop's clock.

    `open_by_s`: until it is open. `silent_s`: until the next message (the first one counts from the start).
    `quiet_s`: half of that, only once a message has arrived. Its owner checks the limits; it does not
    act on them itself.

    What happens goes into `events` in order, `SocketClosed` last. The queue is short: if its reader is slow,
    nothing more is read from the socket, so that TCP holds the gateway back.
    """

    def __init__(
        self,
        opener: Opener,
        where: str,
        events: "asyncio.Queue[tuple[TimedSocket, SocketEvent]]",
        open_ms: float,
    ) -> None:
        self._opener = opener
        self._where = where
        self._events = events
        self._socket: Socket | None = None
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        now_s = asyncio.get_running_loop().time()
        self.open_by_s: float | None = now_s + open_ms / 1000
        self.silent_s = now_s + (open_ms + ANSWER_MS) / 1000
        self.quiet_s: float | None = None
        self._work = asyncio.create_task(self._run())

    @property
    def due_s(self) -> float:
        """The earliest of its time limits."""
        return min(limit for limit in (self.open_by_s, self.silent_s, self.quiet_s) if limit is not None)

    def extend_silence(self) -> None:
        """A message arrived: the limits for the next one begin."""
        now_s = asyncio.get_running_loop().time()
        self.silent_s, self.quiet_s = now_s + SILENCE_MS / 1000, now_s + QUIET_MS / 1000

    def postpone(self, by_ms: float) -> None:
        """Move the limits that are due, because this process was too busy to read."""
        until_s = asyncio.get_running_loop().time() + by_ms / 1000
        self.silent_s = max(self.silent_s, until_s)
        self.open_by_s = None if self.open_by_s is None else max(self.open_by_s, until_s)
        self.quiet_s = None if self.quiet_s is None else max(self.quiet_s, until_s)

    def send(self, **message: Any) -> None:
        """Send a control message."""
        self._outbox.put_nowait(json.dumps(message, separators=(",", ":")))

    def close(self) -> None:
        """Close in the background; no further event is put into the queue."""
        self._work.cancel()

    async def aclose(self) -> None:
        """Close, and wait for it."""
        self._work.cancel()
        with suppress(asyncio.CancelledError):
            await self._work

    async def _run(self) -> None:
        try:
            closed = await self._serve()
            await self._events.put((self, closed))
        finally:
            if self._socket is not None:
                await self._socket.close()

    async def _serve(self) -> SocketClosed:
        try:
            self._socket = socket = await self._opener()
        except ConnectionClosed as closed:
            code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
            return SocketClosed(code, reason, of_close(code, reason))
        except WrongProtocolError:
            return SocketClosed(problem=of_subprotocol(self._where, SUBPROTOCOL), was_answered=True)
        except (OSError, EOFError, WebSocketException) as error:
            was_answered = isinstance(error, WebSocketException)
            return SocketClosed(problem=of_opening(error, self._where), was_answered=was_answered)
        await self._events.put((self, SocketOpened()))
        sending = asyncio.create_task(self._send_all(socket))
        try:
            with suppress(ConnectionClosed):
                async for message in socket:
                    await self._events.put((self, message))
        finally:
            sending.cancel()
        code, reason = socket.close_code or 1006, socket.close_reason or ""
        return SocketClosed(code, reason, of_close(code, reason))

    async def _send_all(self, socket: Socket) -> None:
        with suppress(ConnectionClosed):
            while True:
                await socket.send(await self._outbox.get())
