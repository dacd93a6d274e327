# SPDX-License-Identifier: Apache-2.0
"""Six ordinary clients and one that reconnects repeatedly: measures how long they wait during attacks."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from taxi.client.protocol import SUBPROTOCOL

COUNT: Final = 6
_SOURCE: Final = "127.0.0.2"
_COMES_S: Final = 0.5
_LATE_S: Final = 10.0


class Ordinary:
    """What they saw since `begin`."""

    def __init__(self, port: int) -> None:
        self.lost: list[str] = []
        """How lines ended."""
        self.longest_s = self.newcomer_s = 0.0
        """Between two cuts; from opening a connection to the first cut."""
        self._port = port
        self._last_s: dict[int, float] = {}
        self._stopped = threading.Event()

    def begin(self) -> None:
        """Start the measurement again."""
        self.longest_s = self.newcomer_s = 0.0
        self.lost.clear()

    def end(self) -> None:
        """A gap that still lasts counts, too."""
        self.longest_s = max(self.longest_s, *(time.monotonic() - last_s for last_s in self._last_s.values()))

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """On a thread of their own."""
        thread = threading.Thread(target=lambda: asyncio.run(self._watch()))
        thread.start()
        try:
            while len(self._last_s) < COUNT:
                time.sleep(0.05)
            yield
        finally:
            self._stopped.set()
            thread.join()

    async def _watch(self) -> None:
        tasks = [asyncio.create_task(self._follow(number)) for number in range(COUNT)]
        tasks.append(asyncio.create_task(self._come_again()))
        while not self._stopped.is_set():  # noqa: ASYNC110 - it is a thread's
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _follow(self, number: int) -> None:
        while True:
            try:
                async with self._line() as line:
                    while True:
                        if isinstance(await line.recv(), bytes):
                            self._note(number, time.monotonic())
            except (OSError, WebSocketException, TimeoutError) as error:
                self.lost.append(repr(error))
                await asyncio.sleep(0.1)

    def _note(self, number: int, now_s: float) -> None:
        self.longest_s = max(self.longest_s, now_s - self._last_s.get(number, now_s))
        self._last_s[number] = now_s

    async def _come_again(self) -> None:
        while True:
            began_s = time.monotonic()
            try:
                async with asyncio.timeout(_LATE_S), self._line() as line:
                    while isinstance(await line.recv(), str):
                        pass
                    self.newcomer_s = max(self.newcomer_s, time.monotonic() - began_s)
            except (OSError, WebSocketException, TimeoutError) as error:
                self.newcomer_s = _LATE_S
                self.lost.append(f"a newcomer: {error!r}")
            await asyncio.sleep(_COMES_S)

    @contextlib.asynccontextmanager
    async def _line(self):  # type: ignore[no-untyped-def]
        line: ClientConnection
        async with connect(
            f"ws://127.0.0.1:{self._port}/ws",
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            max_size=None,
            ping_interval=None,
            close_timeout=1,
            local_addr=(_SOURCE, 0),
        ) as line:
            await line.send(json.dumps({"type": "hello", "v": 1, "city": "manhattan"}))
            yield line
