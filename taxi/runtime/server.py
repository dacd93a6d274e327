# SPDX-License-Identifier: Apache-2.0
"""uvicorn as a part of a service."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn

from taxi.runtime.acceptor import Acceptor
from taxi.runtime.admission import Admission
from taxi.runtime.http import BoundedHttp, BoundedState, HttpLimits

_DATE_S: Final = 1.0


class Server(uvicorn.Server):
    """A uvicorn server without signal handlers, whose main loop runs once a second instead of ten times.

    Its connections are always `BoundedHttp`, whatever `config` says, and `Admission` decides about each.
    """

    def __init__(
        self, config: uvicorn.Config, limits: HttpLimits | None = None, admission: Admission | None = None
    ) -> None:
        super().__init__(config)
        self._state = BoundedState(limits or HttpLimits(), admission or Admission())
        self.server_state = self._state
        self._stopping = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections on `sockets`, which must be given."""
        await self.lifespan.startup()
        assert sockets is not None, "a service binds its own sockets"
        acceptors = [Acceptor(each, self._connection, self._state.admission) for each in sockets]
        for acceptor in acceptors:
            acceptor.open(self.config.backlog)
        self.servers = acceptors  # type: ignore[assignment]  # they are closed, and nothing else
        self.started = True

    def _connection(self) -> BoundedHttp:
        return BoundedHttp(self.config, self._state, self.lifespan.state)

    def stop(self) -> None:
        """Close all connections; `serve` returns when that is done."""
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        """Run until `stop`. Each tick updates the `Date` header and ends requests that take too long."""
        loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            self._state.end_overdue(loop.time())
            self._state.admission.refresh(loop.time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DATE_S):
                    await self._stopping.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers; the service has its own."""
        yield
