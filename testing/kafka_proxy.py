# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy before a Kafka broker that can strand connections, as a broken NAT table or balancer does.

It tells clients its own address in place of the broker's, so that all of their connections come this way.
"""

import asyncio
import struct
from contextlib import suppress
from typing import Final, NamedTuple

_HOST: Final = b"127.0.0.1"
_METADATA_KEY: Final = 3
_WITH_CREATION: Final = 4
"""From this version on a metadata request says whether it may create topics."""


class Request(NamedTuple):
    """A request that passed by."""

    api_key: int
    version: int
    body: bytes

    @property
    def may_create_topics(self) -> bool:
        return self.api_key == _METADATA_KEY and (self.version < _WITH_CREATION or self.body[-1] != 0)


class KafkaProxy:
    """One address. `async with` opens and closes it."""

    def __init__(self, broker_port: int) -> None:
        self.requests: list[Request] = []
        self.opened = 0
        """Connections, in all."""
        self.advertised: int | None = None
        """The port that clients are sent to; None: this proxy's own."""
        self.swallows = False
        """Whether new connections are stranded from the beginning."""
        self._broker_port = broker_port
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.Event] = {}
        self._answered = asyncio.Event()
        """Set, and replaced, when an answer passes."""

    async def __aenter__(self) -> "KafkaProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def strand(self) -> None:
        """The connections that are open stay so, take what is sent, and nothing comes back any more."""
        for stranded in self._open.values():
            stranded.set()

    async def next_answer(self) -> None:
        """Wait until the broker's next answer has passed to a client."""
        await self._answered.wait()

    async def close(self) -> None:
        """Nothing answers at this address any more."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        task = asyncio.current_task()
        assert task is not None
        stranded = self._open[task] = asyncio.Event()
        if self.swallows:
            stranded.set()
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._up(reader, up_writer, stranded))
                    both.create_task(self._down(up_reader, writer, stranded))
            finally:
                up_writer.close()
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            del self._open[task]
            writer.close()

    async def _up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stranded: asyncio.Event
    ) -> None:
        while True:
            frame = await _frame(reader)
            if not stranded.is_set():
                api_key, version = struct.unpack_from(">hh", frame)
                self.requests.append(Request(api_key, version, frame))
                writer.write(struct.pack(">i", len(frame)) + frame)

    async def _down(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stranded: asyncio.Event
    ) -> None:
        shown, true = self._place(self.advertised or self.port), self._place(self._broker_port)
        while True:
            frame = (await _frame(reader)).replace(true, shown)
            if not stranded.is_set():
                with suppress(OSError):
                    writer.write(struct.pack(">i", len(frame)) + frame)
                self._answered.set()
                self._answered = asyncio.Event()

    @staticmethod
    def _place(port: int) -> bytes:
        """A broker's address, as a metadata response has it."""
        return struct.pack(">h", len(_HOST)) + _HOST + struct.pack(">i", port)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)
