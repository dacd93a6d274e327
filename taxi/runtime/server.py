# SPDX-License-Identifier: Apache-2.0
"""uvicorn inside a service."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

import uvicorn

_DATE_S: Final = 1.0


class Server(uvicorn.Server):
    """Leaves signals to the service, and looks once a second for what to do, not ten times."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    def stop(self) -> None:
        """Close everything; `serve` returns when that is done."""
        self.should_exit = True
        self._told.set()

    async def main_loop(self) -> None:
        """Until told to stop. Each tick writes the `Date` of answers anew."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DATE_S):
                    await self._told.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield
