# SPDX-License-Identifier: Apache-2.0
"""Keeps `parts.json` up to date while a demo runs, also on a disk that is slow or full for a while."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from taxi.runtime import parts as parts_file
from taxi.runtime.machine_errors import NO_ROOM
from taxi.runtime.parts import Parts

RETRY_S: Final = 2.0
RESERVE_BYTES: Final = 64 << 10
"""Given up on a full disk, so that the file can still say that it is full."""


class StatusFile:
    """Writes in a thread, because a write must reach the disk, which can take long. The newest state wins."""

    def __init__(self, data_dir: Path, newest: Callable[[], Parts]) -> None:
        """`newest`: gives what the file should say."""
        self.error: OSError | None = None
        """Why the last write failed. The file then still says what it said before."""
        self._data_dir = data_dir
        self._newest = newest
        self._reserve = data_dir / "reserve"
        self._changed = asyncio.Event()
        self._lock = asyncio.Lock()

    def changed(self) -> None:
        """There is something new to write."""
        self._changed.set()

    async def keep(self) -> None:
        """Write after each change, for ever. What failed is tried again every `RETRY_S`."""
        while True:
            await self._changed.wait()
            await self.write()
            if self.error is not None:
                await asyncio.sleep(RETRY_S)

    async def write(self) -> None:
        """Write now. Never raises: see `error`."""
        async with self._lock:
            self._changed.clear()
            try:
                await asyncio.to_thread(self._write, self._newest())
            except OSError as error:
                self.error = error
                self._changed.set()
            else:
                self.error = None

    def close(self) -> None:
        """Delete what was kept in reserve."""
        with suppress(OSError):
            self._reserve.unlink()

    def _write(self, parts: Parts) -> None:
        """Raises OSError."""
        try:
            parts_file.write(self._data_dir, parts)
        except OSError as error:
            if error.errno not in NO_ROOM or not self._reserve.exists():
                raise
            self._reserve.unlink()
            parts_file.write(self._data_dir, parts)
            return
        if not self._reserve.exists():
            try:
                self._reserve.write_bytes(bytes(RESERVE_BYTES))
            except OSError:
                self.close()
